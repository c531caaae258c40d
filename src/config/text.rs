//! Text that means something: paths, addresses, names, patterns.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::error::quoted;
use super::scalar::{Fault, Scalar};

pub(super) fn text<'v>(value: &'v DeValue<'_>, example: &str) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| Fault::wrong_type("a string", value, format!("in quotes, as \"{example}\"")))
}

/// Writes a TOML string.
pub(super) fn show_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A path; a relative one starts at the folder of the file it stands in.
pub(super) enum RelativePath {}

impl Scalar for RelativePath {
    type Value = PathBuf;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<PathBuf, Fault> {
        match text(value, "state")? {
            "" => Err(Fault::new("is empty", "give a path; a relative one starts at this file's folder")),
            path if path.contains('\0') => Err(Fault::new("holds the null character", "take it out")),
            path => Ok(match path.strip_prefix("$CREDENTIALS_DIRECTORY/") {
                Some(name) => credentials(std::env::var_os("CREDENTIALS_DIRECTORY")).join(name),
                None => folder.join(path),
            }),
        }
    }

    fn show(value: &PathBuf) -> String {
        show_text(&value.to_string_lossy())
    }
}

/// A folder, which need not exist yet.
pub(super) enum Folder {}

impl Scalar for Folder {
    type Value = PathBuf;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<PathBuf, Fault> {
        let path = RelativePath::parse(value, folder)?;
        match path.metadata() {
            Ok(found) if !found.is_dir() => {
                let what = format!("is {}, which is a file and no folder", quoted(&path.to_string_lossy()));
                Err(Fault::new(what, "name a folder, or move the file away"))
            }
            _ => Ok(path),
        }
    }

    fn show(value: &PathBuf) -> String {
        RelativePath::show(value)
    }
}

/// Where systemd puts the credentials of the service (`LoadCredential=`). A command that is not run by it reads the same
/// configuration; what it names must not differ, or `check` and `reload` would see other files than the gateway.
fn credentials(directory: Option<OsString>) -> PathBuf {
    let directory = directory.filter(|directory| Path::new(directory).is_absolute());
    directory.map_or_else(|| "/run/credentials/latchgate.service".into(), PathBuf::from)
}

/// IP address and port.
pub(super) enum Address {}

impl Scalar for Address {
    type Value = SocketAddr;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<SocketAddr, Fault> {
        const HELP: &str =
            "an IP address and a port, as \"127.0.0.1:1883\", \"[::1]:1883\" or \"0.0.0.0:1883\"";
        let written = value.as_str().ok_or_else(|| Fault::wrong_type("a string", value, HELP))?;
        written.parse().map_err(|_| {
            let help = if written.parse::<std::net::IpAddr>().is_ok() {
                format!("the port is missing; {HELP}")
            } else if written.starts_with("localhost") {
                format!("a host name cannot be listened on; {HELP}")
            } else {
                HELP.to_owned()
            };
            Fault::new(format!("is not an address: {}", quoted(written)), help)
        })
    }

    fn show(value: &SocketAddr) -> String {
        format!("\"{value}\"")
    }
}

/// An IP address and a port that may be left out.
pub(super) enum OptionalAddress {}

impl Scalar for OptionalAddress {
    type Value = Option<SocketAddr>;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Option<SocketAddr>, Fault> {
        Address::parse(value, folder).map(Some)
    }

    fn show(value: &Option<SocketAddr>) -> String {
        value.as_ref().map(Address::show).unwrap_or_default()
    }

    const EXAMPLE: Option<&'static str> = Some("127.0.0.1:8080");
}

/// A short name without control characters.
pub(super) enum Name {}

impl Scalar for Name {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        const HELP: &str = "1 to 64 characters, none of them a control character";
        match text(value, "plain")? {
            name if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) => {
                Err(Fault::new(format!("cannot be {}", quoted(name)), HELP))
            }
            name => Ok(name.to_owned()),
        }
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// A short name that may be left out.
pub(super) enum OptionalName {}

impl Scalar for OptionalName {
    type Value = Option<String>;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<Option<String>, Fault> {
        Name::parse(value, folder).map(Some)
    }

    fn show(value: &Option<String>) -> String {
        value.as_ref().map(Name::show).unwrap_or_default()
    }

    const EXAMPLE: Option<&'static str> = Some("pinctrl-bcm2711");
}

/// The identity of the gateway: a name that can be one level of a topic.
pub(super) enum Identity {}

impl Scalar for Identity {
    type Value = String;

    fn parse(value: &DeValue<'_>, folder: &Path) -> Result<String, Fault> {
        let id = Name::parse(value, folder)?;
        if id.contains(['/', '+', '#']) {
            let what = format!("cannot be {}", quoted(&id));
            return Err(Fault::new(what, "it becomes a level of topics: take out /, + and #"));
        }
        Ok(id)
    }

    fn show(value: &String) -> String {
        show_text(value)
    }

    const EXAMPLE: Option<&'static str> = Some("b827eb08451e");
}

/// A user name, or `bridge:NAME`.
pub(super) enum User {}

impl Scalar for User {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        const HELP: &str = "give a user name, or bridge:NAME; patterns and roles have no place here";
        let name = text(value, "operator")?;
        let wrong =
            name.is_empty() || name.chars().any(char::is_control) || name == "*" || name.len() > 65535;
        match wrong || name.starts_with("role:") {
            true => Err(Fault::new(format!("cannot be {}", quoted(name)), HELP)),
            false => Ok(name.to_owned()),
        }
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// A user name that may be left out.
pub(super) enum OptionalUser {}

impl Scalar for OptionalUser {
    type Value = Option<String>;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Option<String>, Fault> {
        let name = text(value, "guest")?;
        let what = format!("cannot be {}", quoted(name));
        if name.is_empty() || name.chars().any(char::is_control) || name == "*" || name.len() > 65535 {
            return Err(Fault::new(what, "give a user name; without the key, such clients are refused"));
        }
        if name.starts_with("role:") || name.starts_with("bridge:") {
            return Err(Fault::new(what, "user names cannot begin with role: or bridge:"));
        }
        Ok(Some(name.to_owned()))
    }

    fn show(value: &Option<String>) -> String {
        show_text(value.as_deref().unwrap_or_default())
    }

    const EXAMPLE: Option<&'static str> = Some("guest");
}

/// The beginning of user names, up to an underscore; empty if there is none.
pub(super) enum Prefix {}

impl Scalar for Prefix {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        match text(value, "web")? {
            prefix if prefix.contains('_') || prefix.chars().any(char::is_control) => {
                let what = format!("cannot be {}", quoted(prefix));
                Err(Fault::new(
                    what,
                    "it ends before the first underscore of a name: give what stands before it",
                ))
            }
            prefix => Ok(prefix.to_owned()),
        }
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// Any text without control characters.
pub(super) enum Plain {}

impl Scalar for Plain {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        let written = text(value, "gateway")?;
        if written.chars().any(char::is_control) {
            return Err(Fault::new("holds a control character", "take it out"));
        }
        Ok(written.to_owned())
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// The origin of web pages as browsers send it, `*` or `null`. Kept in lower case, without a default port.
pub(super) enum Origin {}

impl Scalar for Origin {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        const HELP: &str = "scheme and host, and the port unless it is the scheme's own, as \"https://lamp.example:8443\"; nothing \
             after it, not even a slash; \"*\" is every page";
        let written = text(value, "https://lamp.example")?;
        let origin = written.to_ascii_lowercase();
        if origin == "*" || origin == "null" {
            return Ok(origin);
        }
        let wrong = || Fault::new(format!("holds {}, which is no origin", quoted(written)), HELP);
        let (scheme, rest) = origin.split_once("://").ok_or_else(wrong)?;
        let known = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let named = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| known(c) || c == '_'),
        };
        let counted = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if scheme.is_empty() || !scheme.chars().all(|c| known(c) || c == '+') || !named || !counted {
            return Err(wrong());
        }
        let own = match scheme {
            "http" => Some("80"),
            "https" => Some("443"),
            _ => None,
        };
        Ok(match port {
            Some(port) if Some(port) != own => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        })
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// How patterns are written.
const GLOB_HELP: &str =
    "known: * for any characters, ? for one, [abc] for one of these, [!a-z] for none of these";

/// A pattern as in file names: `*`, `?`, `[abc]`, `[!a-z]`.
pub(super) enum Glob {}

impl Scalar for Glob {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        let pattern = text(value, "admin-*")?;
        match glob_fault(pattern) {
            None => Ok(pattern.to_owned()),
            Some(why) => {
                let what = format!("holds the pattern {}, {why}", quoted(pattern));
                Err(Fault::new(what, GLOB_HELP))
            }
        }
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

/// What is wrong with a pattern's syntax.
fn glob_fault(pattern: &str) -> Option<&'static str> {
    match glob::Pattern::new(pattern) {
        _ if pattern.is_empty() => Some("which is empty"),
        Ok(_) => None,
        Err(error) if error.msg.contains("range") => Some("whose [ is never closed"),
        Err(_) => Some("in which ** means nothing: use *"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scalar::parse;
    use super::*;

    #[test]
    fn patterns_are_checked_as_they_will_be_matched() {
        for right in ["S*", "?", "[abc]x", "[!a-z]", "[]]", "[!]]x", "日*"] {
            assert_eq!(glob_fault(right), None, "{right}");
        }
        for wrong in ["", "[", "[]", "[!]", "a[b", "a**", "[日"] {
            assert!(glob_fault(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn relative_paths_start_at_the_folder_of_the_file() {
        assert_eq!(parse::<RelativePath>("'state'"), Ok("/etc/gate/state".into()));
        assert_eq!(parse::<RelativePath>("'/var/lib/x'"), Ok("/var/lib/x".into()));
        assert!(parse::<RelativePath>("''").is_err());
    }

    #[test]
    fn a_folder_may_be_missing_and_may_be_no_file() {
        assert_eq!(parse::<Folder>("'state'"), Ok("/etc/gate/state".into()));
        assert_eq!(parse::<Folder>("'/'"), Ok("/".into()));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(parse::<Folder>(&format!("'{}'", file.path().display())).is_err());
    }

    #[test]
    fn a_credential_is_found_where_systemd_put_it_also_by_commands_that_it_did_not_start() {
        let named = parse::<RelativePath>("'$CREDENTIALS_DIRECTORY/server.key'");
        assert_eq!(named, Ok(credentials(std::env::var_os("CREDENTIALS_DIRECTORY")).join("server.key")));
        assert_eq!(credentials(Some("/run/c/x".into())), Path::new("/run/c/x"));
        for other in [None, Some("".into()), Some("relative".into())] {
            assert_eq!(credentials(other), Path::new("/run/credentials/latchgate.service"));
        }
        assert_eq!(parse::<RelativePath>("'$HOME/x'"), Ok("/etc/gate/$HOME/x".into()));
    }

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for (written, kept) in [
            ("'https://lamp.example'", "https://lamp.example"),
            ("'HTTPS://Lamp.Example:443'", "https://lamp.example"),
            ("'http://lamp.example:443'", "http://lamp.example:443"),
            ("'http://[::1]:8080'", "http://[::1]:8080"),
            ("'http://[::1]'", "http://[::1]"),
            ("'capacitor://localhost'", "capacitor://localhost"),
            ("'*'", "*"),
            ("'null'", "null"),
        ] {
            assert_eq!(parse::<Origin>(written), Ok(kept.to_owned()), "{written}");
        }
        for wrong in [
            "''",
            "'lamp.example'",
            "'https://lamp.example/'",
            "'https://lamp.example/mqtt'",
            "'https://'",
            "'https://*.example'",
            "'https://lamp.example:0'",
            "'https://lamp.example:x'",
            "'https://a b'",
            "'https://[lamp]'",
            "'https://me@lamp.example'",
            "'://lamp.example'",
        ] {
            assert!(parse::<Origin>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_anonymous_name_is_a_user_name() {
        assert_eq!(parse::<OptionalUser>("'guest'"), Ok(Some("guest".into())));
        for wrong in ["''", "'*'", "'role:x'", "'bridge:x'", "\"a\\u0000\""] {
            assert!(parse::<OptionalUser>(wrong).is_err(), "{wrong}");
        }
    }
}
