//! Bridges: the LAMPI course's own file, imported unchanged, brings messages to a real cloud and back.

use super::{Origin, PASSWORD, enter, passwd};
use crate::support::{Publish, eventually, subject::free_port};

/// The device's side as the course has it, with the addresses of this test.
fn lampi(device: u16, cloud: u16, more: &str) -> String {
    format!(
        "user root\nlistener {device} 127.0.0.1\nallow_anonymous true\nconnection b827eb08451e_broker\naddress 127.0.0.1:{cloud}\n\
         remote_clientid b827eb08451e_broker\ncleansession false\n{more}\
         topic lamp/set_config in 1 \"\" devices/b827eb08451e/\ntopic lamp/changed out 1 \"\" devices/b827eb08451e/\n\
         topic lamp/connection/+/state out 2 \"\" devices/b827eb08451e/\ntopic lamp/associated in 2 \"\" devices/b827eb08451e/\n\
         topic lamp/bluetooth out 1 \"\" devices/b827eb08451e/\n"
    )
}

#[test]
fn the_bridge_of_a_lampi_is_imported_unchanged_and_carries_its_topics() {
    let (device, cloud) = (free_port(), free_port());
    let remote = Origin::new(&format!("user root\nlistener {cloud} 127.0.0.1\npassword_file passwd\n"))
        .with("passwd", passwd(&["lamp", "cloud"]));
    let _remote = remote.mosquitto(cloud);
    let login = format!("remote_username lamp\nremote_password {PASSWORD}\n");
    let origin = Origin::new(&lampi(device, cloud, &login));
    let imported = origin.imported();
    assert!(!imported.toml().contains(&format!("\"{PASSWORD}\"")), "{}", imported.toml());
    let _gateway = imported.run(device);

    let mut app = enter(cloud, "app", Some(("cloud", PASSWORD))).expect("the cloud lets it in");
    app.subscribe("devices/#", 1);
    app.subscribe("$SYS/broker/connection/b827eb08451e_broker/state", 1);
    eventually("the bridge says that it is there", || {
        let publish = app.receive();
        (publish.topic.starts_with("$SYS/") && publish.text() == "1").then_some(())
    });
    let mut lamp = enter(device, "lamp", None).expect("the device lets it in");
    lamp.subscribe("lamp/set_config", 1);
    lamp.say("lamp/changed", "on");
    let changed = app.receive();
    assert_eq!((changed.topic.as_str(), changed.text()), ("devices/b827eb08451e/lamp/changed", "on"));
    app.publish(Publish::to("devices/b827eb08451e/lamp/set_config").qos(1).payload("off"));
    // The application hears itself too.
    assert_eq!(app.receive().text(), "off");
    let config = lamp.receive();
    assert_eq!((config.topic.as_str(), config.text()), ("lamp/set_config", "off"));
    lamp.say("lamp/elsewhere", "stays");
    lamp.say("lamp/bluetooth", "goes");
    assert_eq!(app.receive().topic, "devices/b827eb08451e/lamp/bluetooth");
}

#[test]
fn a_bridge_with_certificates_names_them_and_keeps_its_addresses_in_order() {
    let more = "bridge_cafile ca.crt\nbridge_certfile d.crt\nbridge_keyfile d.key\nbridge_tls_version tlsv1.2\n\
                bridge_protocol_version mqttv50\nkeepalive_interval 30\nrestart_timeout 10 40\nnotifications false\n";
    let conf = lampi(1883, 8883, more)
        .replace("address 127.0.0.1:8883", "addresses one.example:8883 two.example:8884");
    let origin = Origin::new(&conf);
    for words in [&["pki", "init"][..], &["pki", "issue", "d", "--bridge"]] {
        crate::support::subject::latchgate(origin.folder(), words, "").exits(0);
    }
    for (name, from) in
        [("ca.crt", "pki/ca.crt"), ("d.crt", "pki/issued/d.crt"), ("d.key", "pki/issued/d.key")]
    {
        std::fs::copy(origin.path(from), origin.path(name)).expect("copy it");
    }
    let imported = origin.imported();
    let toml = imported.toml();
    assert_eq!(imported.code, 0, "{:#}", imported.report);
    for line in [
        "address = [\"mqtts://one.example:8883\", \"mqtts://two.example:8884\"]",
        "protocol = \"5\"",
        "keep_alive = 30",
        "retry_min = \"10s\"",
        "retry_max = \"40s\"",
        "notifications = \"none\"",
        "session = \"durable\"",
        "remote_prefix = \"devices/b827eb08451e/\"",
    ] {
        assert!(toml.contains(line), "{line} in {toml}");
    }
    let shown = imported.command(&["check"]).exits(0).out;
    assert!(shown.contains("lamp/changed -> devices/b827eb08451e/lamp/changed, QoS 1"), "{shown}");
}

#[test]
fn a_bridge_that_would_be_another_is_left_out_and_the_rest_stays() {
    for line in [
        "bridge_identity i\nbridge_psk ab",
        "bridge_cafile nowhere.crt",
        "bridge_capath nowhere",
        "bridge_certfile nowhere.crt",
    ] {
        let conf = format!(
            "listener 1883 127.0.0.1\nconnection one\naddress a.example\n{line}\ntopic # out\nconnection two\naddress b.example\ntopic x/+/y both 2\ntopic x+ in\n"
        );
        let origin = Origin::new(&conf);
        let imported = origin.imported();
        let toml = imported.toml();
        assert!(!toml.contains("a.example") && toml.contains("mqtt://b.example:1883"), "{line}: {toml}");
        assert_eq!(imported.line("mosquitto.conf", 2).0, "not possible", "{line}");
        let last = conf.lines().count();
        assert_eq!(
            imported.line("mosquitto.conf", last - 1).0,
            "translated",
            "{line}: {:#}",
            imported.report
        );
        assert_eq!(imported.line("mosquitto.conf", last).0, "not possible", "{line}");
        assert!(toml.contains("topic = \"x/+/y\"") && !toml.contains("x+"), "{line}: {toml}");
    }
}
