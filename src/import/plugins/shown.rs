//! Which options of plugins the report shows with their values. Whatever is not known to be harmless may be a secret.

/// What the plugins call things that are no secrets, without the name of the backend before it.
const HARMLESS: [&str; 62] = [
    "acl_cache_seconds",
    "acl_cachejitter",
    "acl_cacheseconds",
    "acl_file",
    "acl_jitter_seconds",
    "acl_path",
    "aclcheck_uri",
    "aclquery",
    "allow_native_passwords",
    "anonusername",
    "auth_cache_seconds",
    "auth_cachejitter",
    "auth_cacheseconds",
    "auth_jitter_seconds",
    "backends",
    "cache",
    "cacheseconds",
    "cdbname",
    "check_prefix",
    "config_file",
    "connect_tries",
    "db",
    "dbname",
    "dbpath",
    "default_action",
    "disable_superuser",
    "endpoint",
    "exhaust_backend_first",
    "getuser_uri",
    "hasher",
    "hostname",
    "host",
    "ip",
    "log_dest",
    "log_file",
    "log_level",
    "log_quiet",
    "method",
    "mode",
    "params_mode",
    "password_file",
    "password_path",
    "port",
    "prefixes",
    "protocol",
    "pyauth_module",
    "pyauth_module_path",
    "register",
    "response_mode",
    "retry_count",
    "source",
    "sslmode",
    "strip_prefix",
    "superquery",
    "superuser_uri",
    "superusers",
    "timeout",
    "topic_prefix",
    "user",
    "userquery",
    "verify_peer",
    "with_tls",
];

/// Backends, as options begin with their names.
const BACKENDS: [&str; 9] = ["cache", "cdb", "files", "http", "mysql", "openam", "pg", "redis", "sqlite"];

/// An option as the report shows it: `auth_opt_http_host 127.0.0.1`, or `auth_opt_http_key …`.
pub(in crate::import) fn shown(prefix: &str, name: &str, rest: &str) -> String {
    let key = name.split_whitespace().next().unwrap_or_default();
    let bare = match key.split_once('_') {
        Some((backend, bare)) if BACKENDS.contains(&backend) && !HARMLESS.contains(&key) => bare,
        _ => key,
    };
    // An address can hold a login, and a question with a key in it.
    let may_hold_one = (bare.ends_with("uri") || bare == "endpoint" || bare.ends_with("host"))
        && rest.contains(['@', '?', '&', ';']);
    match HARMLESS.contains(&bare) && key == name && !may_hold_one {
        true => format!("{prefix}{key} {}", rest.trim()),
        false => format!("{prefix}{key} …"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_shown_if_it_is_known_to_be_no_secret() {
        for (name, value, is_shown) in [
            ("backends", "files, http", true),
            ("http_host", "127.0.0.1", true),
            ("http_getuser_uri", "/user", true),
            ("pg_userquery", "SELECT pw FROM users WHERE name = $1", true),
            ("files_acl_path", "/etc/acl", true),
            ("cache", "true", true),
            ("pg_password", "hidden", false),
            ("redis_pass", "hidden", false),
            ("http_getuser_uri", "/user?key=hidden", false),
            ("http_host", "me:hidden@auth.example", false),
            ("pw", "hidden", false),
            ("cache_password", "hidden", false),
            ("http_headers", "X-Key: hidden", false),
            ("openam_client_secret", "hidden", false),
            // A tab ends no key, so what follows is the value that was meant.
            ("host\thidden", "", false),
        ] {
            let text = shown("auth_opt_", name, value);
            assert_eq!(text.ends_with(value) && !text.contains('…'), is_shown, "{text}");
            assert!(!text.contains("hidden"), "{text}");
        }
    }

    #[test]
    fn no_name_is_there_twice_and_none_sounds_like_a_secret() {
        for name in HARMLESS {
            assert_eq!(HARMLESS.iter().filter(|other| **other == name).count(), 1, "{name}");
            let file = name.ends_with("_file") || name.ends_with("_path");
            assert!(
                file || name == "allow_native_passwords" || !super::super::pyauth::is_secret(name),
                "{name}"
            );
        }
    }
}
