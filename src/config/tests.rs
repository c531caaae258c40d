//! The configuration as a whole: what is read, what is refused, and where.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/gate/gate.toml"))
}

/// `line:column: what` of every problem.
fn problems(text: &str) -> Vec<String> {
    let error = parse(text).expect_err("the text is wrong");
    error.problems().iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.what)).collect()
}

fn helps(text: &str) -> Vec<String> {
    parse(text).expect_err("the text is wrong").problems().iter().map(|p| p.help.clone()).collect()
}

#[test]
fn an_empty_file_is_the_built_in_configuration_with_its_state_beside_it() {
    let config = parse("").unwrap();
    assert_eq!(config.gateway.state, Path::new("/etc/gate/latchgate-state"));
    let gateway = Gateway { state: "latchgate-state".into(), ..config.gateway.clone() };
    assert_eq!(Config { gateway, file: None, ..config }, Config::builtin());
    assert_eq!(Config::builtin().listeners[0].address, "127.0.0.1:1883".parse().unwrap());
}

#[test]
fn the_printed_reference_reads_back_to_the_defaults() {
    let reference = reference();
    assert!(reference.contains("\n# id = \"b827eb08451e\"\n"), "the same on every machine");
    let read = Config::parse(&reference, Path::new("latchgate.toml")).unwrap();
    assert_eq!(Config { file: None, ..read }, Config::builtin(), "{reference}");
}

#[test]
fn the_printed_reference_documents_every_key() {
    let reference = reference();
    let mut documented = false;
    for line in reference.lines() {
        let key = line.trim_start_matches("# ").split_once(" = ").map(|(key, _)| key);
        if key.is_some_and(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) {
            assert!(documented, "{line} has no comment above it");
        }
        documented = line.starts_with('#');
    }
    for key in ["# id", "# anonymous", "state", "connect_timeout", "verified", "refused_publish_v3", "level"]
    {
        assert!(reference.contains(&format!("\n{key} = ")), "{key}");
    }
}

#[test]
fn every_key_of_the_file_reaches_the_configuration() {
    let config = parse(
        r#"
        [gateway]
        id = "porch"
        state = "state"
        [[listener]]
        name = "plain"
        address = "0.0.0.0:1883"
        anonymous = "guest"
        [listener.limits]
        connections = 5
        [[listener]]
        name = "local"
        address = "[::1]:1884"
        protocol = "websocket"
        origins = ["https://Lamp.example:443", "null"]
        [limits]
        connections = 7
        packet_size = 0
        connect_timeout = 3
        [auth]
        backends = ["sqlite"]
        upgrade_passwords = false
        [auth.cache]
        verified = "90s"
        [acl]
        retained_source = "unchecked"
        superusers = ["S*"]
        topic_prefix = "/location/%/#"
        subscribe = "overlap"
        refused_publish_v3 = "disconnect"
        [panel]
        driver = "gpiochip"
        chip = "porch-io"
        button = 0
        led = 4
        debounce = "5ms"
        required = true
        [log]
        level = "debug"
        target = "journal"
        format = "json"
        "#,
    )
    .unwrap();
    assert_eq!(
        config.gateway,
        Gateway { id: "porch".into(), state: "/etc/gate/state".into(), sys_interval: 10 }
    );
    assert_eq!(config.file.as_deref(), Some(Path::new("/etc/gate/gate.toml")));

    let [plain, local] = &config.listeners[..] else { panic!("two listeners") };
    assert_eq!((plain.anonymous.as_deref(), local.anonymous.as_deref()), (Some("guest"), None));
    assert_eq!((plain.protocol, local.protocol), (Protocol::Mqtt, Protocol::Websocket));
    assert_eq!(
        (&plain.origins[..], &local.origins[..]),
        (&[][..], &["https://lamp.example", "null"].map(String::from)[..])
    );
    assert_eq!((plain.limits.connections, local.limits.connections, config.limits.connections), (5, 7, 7));
    assert_eq!((plain.limits.packet_size, local.limits.packet_size), (usize::MAX, usize::MAX));
    assert_eq!(plain.limits.connect_timeout, Duration::from_secs(3));

    assert!(!config.auth.upgrade_passwords);
    assert_eq!(config.auth.cache.verified, Duration::from_secs(90));
    let acl = Acl {
        retained_source: RetainedSource::Unchecked,
        superusers: vec!["S*".into()],
        topic_prefix: Some("/location/%/#".into()),
        subscribe: SubscribeRule::Overlap,
        refused_publish_v3: RefusedPublish::Disconnect,
    };
    assert_eq!(config.acl, acl);
    let panel = Panel {
        driver: PanelDriver::GpioChip,
        chip: Some("porch-io".into()),
        button: 0,
        led: 4,
        debounce: Duration::from_millis(5),
        required: true,
    };
    assert_eq!(config.panel, panel);
    assert_eq!(config.log, Log { level: Level::Debug, target: LogTarget::Journal, format: LogFormat::Json });
}

#[test]
fn an_error_shows_file_line_column_the_line_and_what_to_do() {
    let error = parse("[limits]\nconections = 5\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "/etc/gate/gate.toml:2:1: unknown key `conections` in [limits]\n \
         2 | conections = 5\n   | ^^^^^^^^^^\n   = did you mean `connections`?"
    );
}

#[test]
fn what_a_websocket_listener_may_say_is_checked_where_it_stands() {
    let listener = |rest: &str| format!("[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\n{rest}");
    assert_eq!(
        problems(&listener("protocol = \"websockets\"\n")),
        ["4:12: `listener.protocol` cannot be `websockets`"]
    );
    assert_eq!(
        problems(&listener("origins = [\"*\"]\n")),
        ["4:11: `origins` is for WebSocket listeners: only web pages have one"]
    );
    assert_eq!(
        problems(&listener("protocol = \"websocket\"\norigins = [\"*\", \"lamp.example\"]\n")),
        ["5:17: `listener.origins` holds `lamp.example`, which is no origin"]
    );
}

#[test]
fn all_errors_are_reported_in_the_order_of_the_file() {
    let text = "[log]\nlevel = \"inof\"\n[limits]\npending = -1\nconnections = \"many\"\n[loq]\n";
    assert_eq!(
        problems(text),
        [
            "2:9: `log.level` cannot be `inof`",
            "4:11: `limits.pending` cannot be negative",
            "5:15: `limits.connections` must be a whole number, not a string",
            "6:2: unknown key `loq`",
        ]
    );
    assert!(helps(text)[0].starts_with("did you mean \"info\"?"));
    assert_eq!(helps(text)[3], "did you mean `log`?");
}

#[test]
fn the_address_for_monitoring_is_not_one_of_a_listener() {
    let taken = "[admin]\nhttp = \"127.0.0.1:1883\"";
    assert_eq!(
        problems(taken),
        ["1:1: `http` cannot have 127.0.0.1:1883: listener \"plain\" has 127.0.0.1:1883"]
    );
    assert!(parse("[admin]\nhttp = \"127.0.0.1:8080\"").is_ok());
}

#[test]
fn characters_of_many_bytes_before_an_error_leave_its_column_right() {
    assert_eq!(problems("gateway = { id = \"日本ü\", stat = 1 }"), ["1:25: unknown key `stat` in [gateway]"]);
    assert_eq!(problems("\u{feff}stat = 1"), ["1:1: unknown key `stat`"]);
    assert_eq!(problems("# é\r\n\r\nstat = 1\r\n"), ["3:1: unknown key `stat`"]);
}

#[test]
fn what_is_no_toml_is_shown_at_its_place() {
    let found = problems("[gateway]\nid = \"porch\nstate = \"x\"\n");
    assert!(found[0].starts_with("2:12: "), "{found:?}");
    let found = problems("[log]\nlevel = \"info\"\nlevel = \"warn\"\n");
    assert!(found[0].starts_with("3:1: duplicate key"), "{found:?}");
}

#[test]
fn listeners_need_a_name_and_an_address_of_their_own() {
    let text = "[[listener]]\nname = 'a'\naddress = '127.0.0.1:1883'\n\
                [[listener]]\nname = 'a'\naddress = '0.0.0.0:1883'\n[[listener]]\n";
    assert_eq!(
        problems(text),
        [
            "5:8: a second listener has the name `a`",
            "6:11: 0.0.0.0:1883 is taken: listener `a` has 127.0.0.1:1883",
            "7:1: this listener has no `name`",
            "7:1: this listener has no `address`",
        ]
    );
}

#[test]
fn different_addresses_and_free_ports_do_not_collide() {
    let addresses = ["127.0.0.1:1", "127.0.0.2:1", "[::]:1", "0.0.0.0:2", "127.0.0.1:0", "127.0.0.1:0"];
    let text: String = (0..)
        .zip(addresses)
        .map(|(n, address)| format!("[[listener]]\nname = 'l{n}'\naddress = '{address}'\n"))
        .collect();
    assert_eq!(parse(&text).unwrap().listeners.len(), addresses.len());
}

#[test]
fn a_list_of_listeners_without_any_is_an_error() {
    assert_eq!(problems("listener = []"), ["1:12: there is no listener, so nobody could connect"]);
    assert_eq!(problems("[listener]\nname = 'a'"), ["1:1: `listener` is a list of sections"]);
    assert_eq!(problems("listener = [3]"), ["1:13: a listener is a section, not a whole number"]);
}

#[test]
fn wrong_values_point_at_their_place() {
    for (line, expected) in [
        ("gateway.id = 'a/b'", "1:14: `gateway.id` cannot be `a/b`"),
        ("gateway = 3", "1:11: `gateway` is a section, not a whole number"),
        ("auth.backends = ['sqlite', 'nis']", "1:28: `auth.backends` cannot be `nis`"),
        ("auth.backends = []", "1:17: `auth.backends` is empty"),
        ("auth.cache.verified = 300", "1:23: `auth.cache.verified` must be a duration, not a whole number"),
        ("auth.cache.verified = '5 weeks'", "1:23: `auth.cache.verified` is not a duration: `5 weeks`"),
        (
            "acl.superusers = ['S*', '[a']",
            "1:25: `acl.superusers` holds the pattern `[a`, whose [ is never closed",
        ),
        ("limits.inflight = 65536", "1:19: `limits.inflight` is too large"),
        ("tls = {}", "1:1: unknown key `tls`"),
    ] {
        assert_eq!(problems(line), [expected], "{line}");
    }
    assert!(helps("auth.backends = ['nis']")[0].starts_with("known: \"sqlite\", \"files\""));
}

#[test]
fn a_panel_that_cannot_work_is_told_where_it_is_wrong() {
    for (text, expected) in [
        ("[panel]\nbutton = 4\nled = 4", "3:7: `panel.button` and `panel.led` are both line 4"),
        ("[panel]\nled = 17", "2:7: `panel.button` and `panel.led` are both line 17"),
        ("[panel]\nbutton = 70000", "2:10: `panel.button` is too large"),
        ("[panel]\ndebounce = '2s'", "2:12: `panel.debounce` is so long that presses would be missed"),
        ("[panel]\ndriver = 'gpio'", "2:10: `panel.driver` cannot be `gpio`"),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
    #[cfg(not(feature = "rppal"))]
    assert_eq!(
        problems("panel = { driver = 'rppal' }"),
        ["1:20: `panel.driver` cannot be \"rppal\": this executable was built without it"]
    );
}

#[test]
fn a_wrong_address_says_what_is_missing() {
    let listener = |address: &str| format!("[[listener]]\nname = 'a'\naddress = '{address}'\n");
    assert_eq!(problems(&listener("::1")), ["3:11: `listener.address` is not an address: `::1`"]);
    assert!(helps(&listener("::1"))[0].starts_with("the port is missing"));
    assert!(helps(&listener("localhost:1883"))[0].starts_with("a host name cannot be listened on"));
    assert!(helps(&listener("127.0.0.1:99999"))[0].starts_with("an IP address and a port"));
}

#[test]
fn a_listener_cannot_limit_what_counts_for_the_whole_gateway() {
    let text = "[[listener]]\nname = 'a'\naddress = '127.0.0.1:1'\nlimits = { sessions = 1 }\n";
    assert_eq!(problems(text), ["4:12: `sessions` counts for the whole gateway, not for one listener"]);
}

#[test]
fn a_file_of_nothing_but_errors_is_answered_briefly() {
    let text: String = (0..10_000).map(|n| format!("nonsense{n} = 1\n")).collect();
    let error = parse(&text).unwrap_err();
    assert!(error.problems().len() <= 30);
    assert!(error.to_string().ends_with("and 9970 more"));
}

#[test]
fn hostile_files_are_answered_with_an_error() {
    let deep = format!("a = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!("\"{}\" = 1", "k".repeat(900_000));
    let dotted = format!("{}x = 1", "a.".repeat(10_000));
    for text in
        [deep.as_str(), &long, &dotted, "\0", "[[[", "=", "[gateway", "a = \u{1b}[31m", "listener = {}"]
    {
        let said = parse(text).expect_err("it is wrong").to_string();
        assert!(!said.contains(['\0', '\u{1b}']) && said.len() < 2000, "{said}");
    }
}

#[test]
fn questionable_settings_are_allowed_with_a_warning() {
    assert_eq!(Config::builtin().warnings(), [""; 0]);
    let config = parse(
        "acl.superusers = ['*']\nlimits.pending = 0\n[[listener]]\nname = 'a'\naddress = '0.0.0.0:1883'\n\
         anonymous = 'guest'",
    );
    let warnings = config.unwrap().warnings();
    for (warning, word) in warnings.iter().zip(["not encrypted", "no login", "pending", "every user"]) {
        assert!(warning.contains(word), "{warning}");
    }
    assert_eq!(warnings.len(), 4);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    /// Pieces of real files in any order get further than noise does.
    #[test]
    fn no_mixture_of_real_pieces_makes_the_parser_panic(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "[[", "]]", "{", "}", "=", ".", ",", "\n", "\r\n", " ", "\"", "'", "\"\"\"", "#", "-", "0",
                "65536", "1e9", "listener", "limits", "gateway", "auth", "cache", "name", "address", "acl", "log",
                "level", "superusers", "id", "日本", "\u{feff}", "\"127.0.0.1:1883\"", "\"5m\"", "\\u0000", "true",
                "1979-05-27",
            ]),
            0..40,
        )
    ) {
        if let Err(error) = parse(&pieces.concat()) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_bytes_of_a_file_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &bytes)?;
        let _ = Config::load(Some(file.path()));
    }
}

#[test]
fn a_listener_can_ask_backends_of_its_own() {
    let files = "[auth.files]\npassword_file = 'p'\n";
    let listener = "[[listener]]\nname = 'a'\naddress = '127.0.0.1:1'\nbackends = ['files']\n";
    let config = parse(&format!("{files}{listener}")).unwrap();
    assert_eq!(config.listeners[0].backends, [Backend::Files]);
    assert_eq!(config.backends(), [Backend::Sqlite, Backend::Files]);
    assert!(problems(listener)[0].contains("neither `password_file` nor `acl_file`"));
    assert!(problems("auth.files.prefix = 'a_b'")[0].contains("cannot be `a_b`"));
}
