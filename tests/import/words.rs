//! Every key of mosquitto.conf(5) is known: none is ignored in silence.

use super::Origin;

/// The keys of the manual page of Mosquitto 2.0, and some that it does not name.
const KEYS: &str = "\
    acl_file address addresses allow_anonymous allow_duplicate_messages allow_zero_length_clientid auth_opt_abc \
    auth_plugin auth_plugin_deny_special_chars auto_id_prefix autosave_interval autosave_on_changes bind_address \
    bind_interface bridge_alpn bridge_attempt_unsubscribe bridge_bind_address bridge_cafile bridge_capath \
    bridge_certfile bridge_identity bridge_insecure bridge_keyfile bridge_max_packet_size bridge_outgoing_retain \
    bridge_protocol_version bridge_psk bridge_require_ocsp bridge_tls_version cafile capath certfile \
    check_retain_source ciphers ciphers_tls1.3 cleansession clientid clientid_prefixes connection \
    connection_messages crlfile dhparamfile global_plugin http_dir idle_timeout include_dir keepalive_interval \
    keyfile listener local_cleansession local_clientid local_password local_username log_dest log_facility \
    log_timestamp log_timestamp_format log_type max_connections max_inflight_bytes max_inflight_messages \
    max_keepalive max_packet_size max_qos max_queued_bytes max_queued_messages max_topic_alias memory_limit \
    message_size_limit mount_point notification_topic notifications notifications_local_only password \
    password_file per_listener_settings persistence persistence_file persistence_location \
    persistent_client_expiration pid_file plugin plugin_opt_abc port protocol psk_file psk_hint \
    queue_qos0_messages remote_clientid remote_password remote_username require_certificate restart_timeout \
    retain_available round_robin set_tcp_nodelay socket_domain start_type sys_interval threshold tls_engine \
    tls_engine_kpass_sha1 tls_keyform tls_version topic try_private upgrade_outgoing_qos use_identity_as_username \
    use_subject_as_username use_username_as_clientid user username websockets_headers_size websockets_log_level \
    websockets_origin";

/// A value that a key could have.
fn value(key: &str) -> &'static str {
    match key {
        "port" | "max_packet_size" => "21999",
        "listener" => "21998 127.0.0.1",
        "address" | "addresses" | "bind_address" | "bridge_bind_address" => "127.0.0.1",
        "protocol" => "mqtt",
        "socket_domain" => "ipv4",
        "log_dest" => "stderr",
        "log_type" => "all",
        "persistent_client_expiration" => "1d",
        "bridge_protocol_version" => "mqttv311",
        "start_type" => "automatic",
        "tls_version" | "bridge_tls_version" => "tlsv1.2",
        "include_dir" => "conf.d",
        _ => "1",
    }
}

#[test]
fn every_key_of_the_manual_page_is_answered_and_none_is_unknown() {
    let keys: Vec<&str> = KEYS.split_whitespace().collect();
    let mut answered = 0;
    for key in keys {
        let before = match key {
            _ if key.starts_with("auth_plugin_") || key.contains("_opt_") => "plugin /x.so\n",
            "connection" | "per_listener_settings" => "",
            "address" | "addresses" | "topic" => "connection c\n",
            _ => "listener 21997 127.0.0.1\nconnection c\naddress 127.0.0.1\ntopic # out\n",
        };
        let origin = Origin::new(&format!("{before}{key} {}\n", value(key))).with("conf.d/x.conf", "");
        let imported = origin.imported();
        let (verdict, note) = imported.line("mosquitto.conf", before.lines().count() + 1);
        assert!(!note.contains("no such key"), "{key}: {verdict}: {note}");
        assert!(
            key == "connection" || !note.contains("Mosquitto refuses"),
            "the value of this test is wrong: {key}: {note}"
        );
        answered += 1;
    }
    assert!(answered > 110);
}

#[test]
fn what_mosquitto_would_refuse_is_said_and_left_out() {
    for (conf, line, words) in [
        ("allow_anonymous TRUE\n", 1, "neither true nor false"),
        ("listener\n", 1, "the port is missing"),
        ("listener 70000\n", 1, "no port"),
        ("\tlistener 1883\n", 1, "a key ends with a space"),
        ("persistence_file a\npersistence_file b\n", 2, "was given before"),
        ("auth_opt_x y\n", 1, "no plugin before it"),
        ("topic # out\n", 1, "no `connection` before it"),
        (" # no comment\n", 1, "no such key"),
        ("acl_file a\nper_listener_settings true\n", 2, "must come before"),
        ("max_keepalive 70000\n", 1, "from 0 to 65535"),
        ("persistent_client_expiration 5\n", 1, "a number and h, d, w, m or y"),
        ("port 0\n", 1, "no such port"),
    ] {
        let origin = Origin::new(conf).with("a", "");
        let imported = origin.imported();
        let (verdict, note) = imported.line("mosquitto.conf", line);
        assert!(verdict == "not possible" && note.contains(words), "{conf:?}: {verdict}: {note}");
    }
}

#[test]
fn bounds_and_settings_of_the_whole_become_keys_of_the_same_meaning() {
    let conf = "max_inflight_messages 7\nmax_queued_messages 0\nmax_packet_size 5000\npersistent_client_expiration 2w\n\
                sys_interval 3\ncheck_retain_source false\nlog_type error\nlog_type warning\nlistener 1883 127.0.0.1\n\
                max_connections 5\nlistener 1884 127.0.0.1\nmax_connections -1\n";
    let origin = Origin::new(conf);
    let imported = origin.imported();
    let toml = imported.toml();
    for line in [
        "inflight = 7  # mosquitto.conf:1",
        "queued_messages = 0  # mosquitto.conf:2",
        "packet_size = 5000  # mosquitto.conf:3",
        "session_expiry = 1209600  # mosquitto.conf:4",
        "sys_interval = 3  # mosquitto.conf:5",
        "retained_source = \"unchecked\"  # mosquitto.conf:6",
        "level = \"warn\"  # mosquitto.conf:7, mosquitto.conf:8",
        "connections = 5  # mosquitto.conf:10",
        "connections = 0  # mosquitto.conf:12",
    ] {
        assert!(toml.contains(line), "{line} in {toml}");
    }
}
