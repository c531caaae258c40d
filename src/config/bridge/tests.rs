//! Bridges as they are read, and what is refused of them.

use std::path::Path;

use super::super::{Config, ConfigError};
use super::*;
use crate::mqtt::QoS;

const HEAD: &str = "gateway.id = 'b8'\n[[bridge]]\n";
const ROUTE: &str = "[[bridge.route]]\ntopic = 'a/#'\ndirection = 'out'\n";

fn parse(keys: &str) -> Result<Config, ConfigError> {
    Config::parse(&format!("{HEAD}{keys}"), Path::new("/etc/gate.toml"))
}

fn problems(keys: &str) -> Vec<String> {
    let error = parse(keys).expect_err("it is wrong");
    error.problems().iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.what)).collect()
}

#[test]
fn every_key_of_a_bridge_is_read_and_the_gateways_id_stands_where_it_should() {
    let config = parse(
        "name = 'cloud'\naddress = ['mqtts://cloud.example', 'wss://[::1]:444/x']\nclient_id = '{gateway.id}_broker'\n\
         protocol = '3.1.1'\nusername = '{gateway.id}'\npassword_file = 'p'\nkeep_alive = 5\nsession = 'clean'\ninflight = 7\n\
         timeout = '3s'\nretry_min = '2s'\nretry_max = '9s'\nreturn_after = '1m'\nnotifications = 'local'\ncanary = 'c/{gateway.id}'\n\
         peer = '{gateway.id}_other'\n\
         [bridge.tls]\nca = 'ca'\ncertificate = 'c'\nkey = 'k'\nserver_name = 'n'\nalpn = ['x-amzn-mqtt-ca']\n\
         [bridge.spool]\nmax_messages = 0\nmax_bytes = 9\nwhen_full = 'drop-newest'\nlive_first = true\n\
         [[bridge.route]]\ntopic = 'lamp/+'\ndirection = 'both'\nqos = 2\nlocal_prefix = 'l/'\nremote_prefix = 'devices/{gateway.id}/'\n\
         retain = 'clear'\n",
    )
    .unwrap();
    let bridge = &config.bridges[0];
    let addresses: Vec<String> = bridge.address.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["mqtts://cloud.example:8883", "wss://[::1]:444/x"]);
    assert_eq!((&*bridge.client_id, bridge.username.as_deref()), ("b8_broker", Some("b8")));
    assert_eq!(bridge.password_file.as_ref().unwrap().path, Path::new("/etc/p"));
    assert_eq!((bridge.keep_alive, bridge.inflight, bridge.canary.as_deref()), (5, 7, Some("c/b8")));
    assert_eq!(bridge.peer.as_deref(), Some("b8_other"));
    assert_eq!((bridge.spool.max_messages, bridge.spool.max_bytes), (usize::MAX, 9));
    let route = &bridge.route[0];
    assert_eq!((route.local(), route.remote()), ("l/lamp/+".into(), "devices/b8/lamp/+".into()));
    assert_eq!(
        (route.qos, route.direction, route.retain),
        (QoS::ExactlyOnce, Direction::Both, RouteRetain::Clear)
    );
}

#[test]
fn what_a_bridge_cannot_do_without_is_missed_at_its_place() {
    assert_eq!(
        problems("protocol = '5'\n"),
        [
            "2:1: this bridge has no `name`",
            "2:1: this bridge has no `address`",
            "2:1: this bridge has no `route`, so nothing would travel",
        ]
    );
    let bridge = |keys: &str| problems(&format!("name = 'x'\naddress = 'mqtt://h'\n{keys}"));
    assert_eq!(bridge("[[bridge.route]]\nqos = 3\n").len(), 3);
    let empty = bridge("[[bridge.route]]\ntopic = ''\ndirection = 'in'\nlocal_prefix = 'a'\n");
    assert_eq!(empty, ["6:9: an empty `topic` needs both `local_prefix` and `remote_prefix`"]);
    let shared = bridge("[[bridge.route]]\ntopic = '$share/g/a'\ndirection = 'in'\n");
    assert!(shared[0].contains("shared subscriptions cannot be bridged"), "{shared:?}");
    let wild = bridge("[[bridge.route]]\ntopic = 'a'\ndirection = 'in'\nremote_prefix = '+/'\n");
    assert!(wild[0].contains("`remote_prefix` cannot hold a wildcard"), "{wild:?}");
    assert_eq!(bridge(&format!("{ROUTE}[bridge.tls]\nca = 'x'\n")).len(), 1, "TLS without a TLS address");
    assert_eq!(bridge(&format!("client_id = '{{gateway.name}}'\n{ROUTE}")).len(), 1);
    assert_eq!(bridge(&format!("password_file = 'x'\n{ROUTE}")).len(), 1);
    assert_eq!(bridge(&format!("retry_min = '2m'\n{ROUTE}")).len(), 1);
}

#[test]
fn an_address_that_is_none_is_refused_and_a_password_in_it_not_shown() {
    for wrong in
        ["cloud:1883", "http://h", "mqtt://", "mqtt://h:0", "mqtt://h/path", "mqtt://[::1", "mqtt://a b"]
    {
        assert_eq!(problems(&format!("name = 'x'\naddress = '{wrong}'\n{ROUTE}")).len(), 1, "{wrong}");
    }
    let told = problems(&format!("name = 'x'\naddress = 'mqtt://me:hunter2@h'\n{ROUTE}"));
    assert!(!told[0].contains("hunter2"), "{told:?}");
}

#[test]
fn two_bridges_of_one_name_or_one_client_on_one_broker_are_refused() {
    let bridge = |name: &str| format!("name = '{name}'\naddress = 'mqtt://h'\nclient_id = 'c'\n{ROUTE}");
    let told = problems(&format!("{}[[bridge]]\n{}", bridge("x"), bridge("y")));
    assert_eq!(told, ["10:8: another bridge is `c` on mqtt://h:1883 too"]);
    let told = problems(&format!("{}[[bridge]]\n{}", bridge("x"), bridge("x").replace("'c'", "'d'")));
    assert_eq!(told, ["10:8: a second bridge has the name `x`"]);
}

#[test]
fn routes_that_meet_and_roads_without_encryption_are_warned_of() {
    let config = parse(&format!(
        "name = 'x'\naddress = ['mqtt://h', 'mqtt://127.0.0.1']\n{ROUTE}[[bridge.route]]\ntopic = 'a/b'\ndirection = 'both'\n\
         [[bridge.route]]\ntopic = 'a/+'\ndirection = 'in'\n"
    ));
    let warnings = config.unwrap().warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("mqtt://h:1883 is not encrypted"));
    assert!(warnings[1].contains("routes 1 (`a/#`) and 2 (`a/b`)"));
    assert!(warnings[2].contains("routes 2 (`a/b`) and 3 (`a/+`)"));
}

#[test]
fn what_could_go_round_by_3_1_1_is_warned_of_until_it_is_said_who_the_peer_is() {
    let warnings = |keys: &str, way: &str| {
        let text = format!(
            "name = 'x'\naddress = 'mqtt://[::1]'\n{keys}{}",
            ROUTE.replace("'out'", &format!("'{way}'"))
        );
        parse(&text).unwrap().warnings()
    };
    let told = warnings("protocol = '3.1.1'\n", "both");
    assert!(told.len() == 1 && told[0].contains("go round for ever"), "{told:?}");
    for (keys, way) in [
        ("protocol = '3.1.1'\npeer = ''\n", "both"),
        ("protocol = '3.1.1'\npeer = 'other'\n", "both"),
        ("protocol = '3.1.1'\n", "out"),
        ("", "both"),
    ] {
        assert_eq!(warnings(keys, way), [""; 0], "{keys} {way}");
    }
}

#[test]
fn the_printed_example_is_a_right_bridge_but_for_what_must_be_given() {
    let reference = super::super::reference();
    let (_, section) = reference.split_once("# [[bridge]]\n").unwrap();
    let keys: Vec<&str> = section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| {
            line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
        })
        .collect();
    let text = keys.join("\n").replace("topic = \"\"", "topic = \"a\"");
    let text = text.replace("canary = \"{gateway.id}\"\n", "");
    let config = parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(config.bridges[0].keep_alive, 60, "{text}");
}
