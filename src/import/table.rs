//! Every key that a `mosquitto.conf` can hold, up to Mosquitto 2.1: where it belongs, and what its value looks like.

/// Where a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The whole broker.
    General,
    /// The listener that is open, or the default one.
    Listener,
    /// The same if `per_listener_settings` is true, else the whole broker.
    Security,
    /// The bridge that is open.
    Bridge,
    /// What opens a listener, a bridge or a plugin, or belongs to one in another way.
    Opener,
    /// The plugin that is open.
    Plugin,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// All that follows; given once.
    Text,
    /// All that follows; the later one counts.
    LastText,
    /// A value of its own on each line.
    Each,
    /// No value that anybody looks at.
    Nothing,
}

/// The spelling that the rest of this room uses, for a key with several.
pub(super) fn canonical(key: &str) -> &str {
    match key {
        "addresses" => "address",
        "clientid" => "remote_clientid",
        "username" => "remote_username",
        "password" => "remote_password",
        "maximum_qos" => "max_qos",
        "retained_persistence" => "persistence",
        "auth_plugin" => "plugin",
        other => other,
    }
}

/// What is known of a key: its canonical spelling, its place and its kind.
pub(super) fn known(key: &str) -> Option<(&'static str, Place, Kind)> {
    TABLE.iter().find(|(name, ..)| *name == canonical(key)).copied()
}

use Kind::{Each, Flag, LastText, Nothing, Number, Text};
use Place::{Bridge, General, Listener, Opener, Plugin, Security};

/// By their canonical spelling.
pub(super) const TABLE: &[(&str, Place, Kind)] = &[
    ("accept_protocol_versions", Listener, LastText),
    ("acl_file", Security, Text),
    ("address", Bridge, Text),
    ("allow_anonymous", Security, Flag),
    ("allow_duplicate_messages", General, Flag),
    ("allow_zero_length_clientid", Security, Flag),
    ("auth_plugin_deny_special_chars", Plugin, Flag),
    ("auto_id_prefix", Security, Text),
    ("autosave_interval", General, Number),
    ("autosave_on_changes", General, Flag),
    ("bind_address", Listener, Text),
    ("bind_interface", Listener, Text),
    ("bridge_alpn", Bridge, Text),
    ("bridge_attempt_unsubscribe", Bridge, Flag),
    ("bridge_bind_address", Bridge, Text),
    ("bridge_cafile", Bridge, Text),
    ("bridge_capath", Bridge, Text),
    ("bridge_certfile", Bridge, Text),
    ("bridge_ciphers", Bridge, Text),
    ("bridge_ciphers_tls1.3", Bridge, Text),
    ("bridge_identity", Bridge, Text),
    ("bridge_insecure", Bridge, Flag),
    ("bridge_keyfile", Bridge, Text),
    ("bridge_max_packet_size", Bridge, Number),
    ("bridge_max_topic_alias", Bridge, Number),
    ("bridge_outgoing_retain", Bridge, Flag),
    ("bridge_protocol_version", Bridge, LastText),
    ("bridge_psk", Bridge, Text),
    ("bridge_receive_maximum", Bridge, Number),
    ("bridge_reload_type", Bridge, LastText),
    ("bridge_require_ocsp", Bridge, Flag),
    ("bridge_session_expiry_interval", Bridge, Number),
    ("bridge_tcp_keepalive", Bridge, LastText),
    ("bridge_tcp_user_timeout", Bridge, Number),
    ("bridge_tls_use_os_certs", Bridge, Flag),
    ("bridge_tls_version", Bridge, Text),
    ("cafile", Listener, Text),
    ("capath", Listener, Text),
    ("certfile", Listener, Text),
    ("check_retain_source", General, Flag),
    ("ciphers", Listener, Text),
    ("ciphers_tls1.3", Listener, Text),
    ("cleansession", Bridge, Flag),
    ("clientid_prefixes", General, Text),
    ("connection", Opener, LastText),
    ("connection_messages", General, Flag),
    ("crlfile", Listener, Text),
    ("dhparamfile", Listener, Text),
    ("disable_client_cert_date_checks", Listener, Flag),
    ("enable_control_api", General, Flag),
    ("enable_proxy_protocol", Listener, Number),
    ("global_max_clients", General, Number),
    ("global_max_connections", General, Number),
    ("global_plugin", Opener, LastText),
    ("http_api", Listener, LastText),
    ("http_dir", Listener, Text),
    ("idle_timeout", Bridge, Number),
    ("keepalive_interval", Bridge, Number),
    ("keyfile", Listener, Text),
    ("listener", Opener, LastText),
    ("listener_allow_anonymous", Listener, Flag),
    ("listener_auto_id_prefix", Listener, Text),
    ("local_cleansession", Bridge, Flag),
    ("local_clientid", Bridge, Text),
    ("local_password", Bridge, Text),
    ("local_username", Bridge, Text),
    ("log_dest", General, Each),
    ("log_facility", General, Number),
    ("log_timestamp", General, Flag),
    ("log_timestamp_format", General, Text),
    ("log_type", General, Each),
    ("max_connections", Listener, Number),
    ("max_inflight_bytes", General, Number),
    ("max_inflight_messages", General, Number),
    ("max_keepalive", General, Number),
    ("max_packet_size", General, Number),
    ("max_qos", Listener, Number),
    ("max_queued_bytes", General, Number),
    ("max_queued_messages", General, Number),
    ("max_topic_alias", Listener, Number),
    ("max_topic_alias_broker", Listener, Number),
    ("memory_limit", General, Number),
    ("message_size_limit", General, Number),
    ("mount_point", Listener, Text),
    ("notification_topic", Bridge, Text),
    ("notifications", Bridge, Flag),
    ("notifications_local_only", Bridge, Flag),
    ("packet_buffer_size", General, Number),
    ("packet_max_auth", General, Number),
    ("packet_max_connect", General, Number),
    ("packet_max_simple", General, Number),
    ("packet_max_sub", General, Number),
    ("packet_max_un", General, Number),
    ("password_file", Security, Text),
    ("per_listener_settings", Opener, Flag),
    ("persistence", General, Flag),
    ("persistence_file", General, Text),
    ("persistence_location", General, Text),
    ("persistent_client_expiration", General, LastText),
    ("pid_file", General, Text),
    ("plugin", Opener, LastText),
    ("plugin_load", Opener, LastText),
    ("plugin_use", Opener, LastText),
    ("port", Listener, Number),
    ("protocol", Listener, LastText),
    ("proxy_protocol_v2_require_tls", Listener, Flag),
    ("psk_file", Security, Text),
    ("psk_hint", Listener, Text),
    ("queue_qos0_messages", General, Flag),
    ("quic_log_level", General, Nothing),
    ("remote_clientid", Bridge, Text),
    ("remote_password", Bridge, Text),
    ("remote_username", Bridge, Text),
    ("require_certificate", Listener, Flag),
    ("restart_timeout", Bridge, LastText),
    ("retain_available", General, Flag),
    ("retain_expiry_interval", General, LastText),
    ("retry_interval", General, Nothing),
    ("round_robin", Bridge, Flag),
    ("set_tcp_nodelay", General, Flag),
    ("socket_domain", Listener, LastText),
    ("start_type", Bridge, LastText),
    ("sys_interval", General, Number),
    ("threshold", Bridge, Number),
    ("tls_engine", Listener, Text),
    ("tls_engine_kpass_sha1", Listener, Text),
    ("tls_keyform", Listener, LastText),
    ("tls_version", Listener, Text),
    ("topic", Bridge, Each),
    ("try_private", Bridge, Flag),
    ("upgrade_outgoing_qos", General, Flag),
    ("use_identity_as_username", Listener, Flag),
    ("use_subject_as_username", Listener, Flag),
    ("use_username_as_clientid", Listener, Flag),
    ("user", General, LastText),
    ("websockets_headers_size", General, Number),
    ("websockets_log_level", General, Nothing),
    ("websockets_origin", Listener, Each),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_no_key_twice() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn old_spellings_are_known() {
        for old in [
            "addresses",
            "clientid",
            "username",
            "password",
            "maximum_qos",
            "retained_persistence",
            "auth_plugin",
        ] {
            assert!(known(old).is_some() && canonical(old) != old, "{old}");
        }
        assert_eq!(known("nonsense"), None);
    }
}
