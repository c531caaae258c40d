//! Whatever a file holds, each of its lines is answered, and what is made is a configuration.

use std::path::Path;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{Report, Request, mosquitto, rehearse, table};
use crate::config::{Config, ConfigError};

fn looks_right(file: &Path) -> Result<(), ConfigError> {
    Config::load(Some(file)).map(drop)
}

/// Imports a text, with or without a folder; the report, once all that must hold was looked at.
fn import(text: &[u8], whole: bool) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("m.conf"), folder.path().join("out"));
    std::fs::write(&file, text).unwrap();
    let report = match whole {
        true => mosquitto(&Request { file: &file, out: &out, ipv6: true, check: &looks_right }),
        false => rehearse(&file, true).map(|(report, _)| report),
    };
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n').count();
    let expected = if text.is_empty() { 0 } else { lines };
    let own: Vec<usize> =
        report.entries().iter().filter(|entry| entry.file == file).map(|entry| entry.line).collect();
    assert_eq!(own, (1..=expected).collect::<Vec<_>>());
    for entry in report.entries() {
        assert!(entry.verdict.is_some() && !entry.note.contains("is not understood"), "{entry:?}");
        assert!(entry.quiet || !entry.text.chars().any(char::is_control), "{entry:?}");
    }
    report
}

#[test]
fn every_key_of_the_table_is_answered_wherever_it_stands() {
    // Each import makes a database, so all keys come at once; before them what they need, or nothing.
    let before = ["", "listener 1 127.0.0.1\n", "connection c\naddress h\ntopic # out\n", "plugin /x.so\n"];
    for (value, before) in
        ["1", "true", "-5 7", "/nowhere", "99999999999999999999", ""].iter().zip(before.iter().cycle())
    {
        let lines: String = table::TABLE.iter().map(|(key, ..)| format!("{key} {value}\n")).collect();
        import(format!("{before}{lines}").as_bytes(), true);
    }
}

#[test]
fn the_options_of_a_plugin_whose_listener_is_left_out_for_another_reason_are_answered() {
    import(
        b"plugin mosquitto_dynamic_security.so\nplugin_opt_config_file nowhere\nlistener 1 here x\n",
        true,
    );
    import(
        b"plugin mosquitto_dynamic_security.so\nplugin_opt_config_file nowhere\nlistener 1 host.invalid\n",
        true,
    );
    import(b"plugin_load one /x/go-auth.so\nplugin_use one\nlistener 0\nplugin_use two\n", true);
    import(b"plugin_load one /x/go-auth.so\nplugin_opt_backends files\n", true);
}

fn line() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = table::TABLE.iter().map(|(key, ..)| *key).collect();
    let values = [
        "true",
        "false",
        "0",
        "1",
        "5",
        "70000",
        "-1",
        "1883 127.0.0.1",
        "8883",
        "0 /run/x",
        "localhost",
        "::1",
        "::1:1883",
        "# out 1 a/ b/",
        "a/b both 2",
        "\"\" in 0 x y",
        "+x in",
        "websockets",
        "tlsv1.2",
        "mqttv50",
        "file",
        "none",
        "h:1 i:2",
        "5 3",
        "3 9",
        "2d",
        "a\u{e9} b",
        "\"",
        "\\ '",
        "{gateway.id}",
        "{gateway.x}",
        "https://a.example",
        "",
        " ",
        "x\ty",
    ];
    let known = (select(keys), select(values.to_vec())).prop_map(|(key, value)| format!("{key} {value}"));
    let words = [
        "listener 1884",
        "connection a",
        "connection b.c/d",
        "address h",
        "topic x/# both 1",
        "per_listener_settings true",
    ];
    prop_oneof![4 => known, 2 => select(words.to_vec()).prop_map(str::to_owned), 1 => "[ -~]{0,30}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_are_answered_each_once_and_become_a_right_configuration(lines in vec(line(), 0..25)) {
        import(lines.join("\n").as_bytes(), false);
    }

    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..300)) {
        // A folder to include is none of this machine's.
        prop_assume!(!bytes.windows(11).any(|window| window == b"include_dir"));
        import(&bytes, false);
    }
}
