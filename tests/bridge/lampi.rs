//! The LAMPI course's scenarios with the example configuration that is shipped.

use crate::cloud::Cloud;
use crate::support::subject::free_port;
use crate::support::{Publish, Subject, eventually, subject::latchgate};
use crate::until_connected;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/lampi/latchgate.toml");

#[test]
fn the_course_runs_over_the_shipped_example() {
    let home = tempfile::tempdir().expect("a directory");
    for arguments in [
        &["pki", "init", "--dir", "pki"][..],
        &["pki", "issue", "localhost", "--server", "--dir", "pki"],
        &["pki", "issue", "b827eb08451e_broker", "--dir", "pki"],
    ] {
        latchgate(home.path(), arguments, "").exits(0);
    }
    let port = free_port();
    let pki = home.path().join("pki");
    let pki = pki.display();
    let cloud = Cloud::start(&format!(
        "per_listener_settings true\nlistener {port} 127.0.0.1\ncafile {pki}/ca.crt\ncertfile {pki}/issued/localhost.crt\n\
         keyfile {pki}/issued/localhost.key\nrequire_certificate true\nuse_identity_as_username true"
    ));
    // Only what differs on a test's machine: where the cloud and the files are.
    let example = std::fs::read_to_string(EXAMPLE).expect("the example is there");
    let (_, bridge) = example.split_once("[[bridge]]").expect("it has a bridge");
    let bridge = format!("[[bridge]]{bridge}")
        .replace("mqtts://cloud.example:8883", &format!("mqtts://localhost:{port}"))
        .replace("/etc/mosquitto/ca_certificates/lampi_ca.crt", &format!("{pki}/ca.crt"))
        .replace("/etc/mosquitto/certs/", &format!("{pki}/issued/"));
    let subject = Subject::with().gateway("id = 'b827eb08451e'").section(&bridge).start();
    until_connected(&subject);

    let mut web = cloud.client("web");
    web.subscribe("$SYS/broker/connection/b827eb08451e_broker/state", 1);
    eventually("the cloud sees the lamp", || (web.receive().text() == "1").then_some(()));
    web.subscribe("devices/+/lamp/#", 2);
    let mut lamp = subject.v311("lamp_service");
    lamp.subscribe("lamp/set_config", 1);
    lamp.subscribe("lamp/associated", 2);

    // set_config comes down to the right lamp only, changed goes up.
    eventually("set_config reaches the lamp", || {
        web.publish(Publish::to("devices/b827eb08451e/lamp/set_config").qos(1).payload("{\"on\":true}"));
        lamp.set_read_timeout(std::time::Duration::from_millis(500));
        lamp.try_read().ok()
    });
    lamp.set_read_timeout(crate::support::BOUND);
    web.publish(Publish::to("devices/aaaaaaaaaaaa/lamp/set_config").qos(1).payload("other"));
    lamp.publish(Publish::to("lamp/changed").qos(1).retain().payload("{\"on\":true,\"client\":\"web\"}"));
    lamp.publish(Publish::to("lamp/connection/lamp_ui/state").qos(2).retain().payload("1"));
    web.publish(
        Publish::to("devices/b827eb08451e/lamp/associated").qos(2).retain().payload("{\"associated\":true}"),
    );
    eventually("associated reaches the lamp", || {
        let got = lamp.receive();
        assert_ne!(got.text(), "other");
        (got.topic == "lamp/associated" && got.text() == "{\"associated\":true}").then_some(())
    });
    let (mut changed, mut state) = (false, false);
    eventually("changed and the service's state are there", || {
        let got = web.receive();
        changed |= got.topic == "devices/b827eb08451e/lamp/changed" && got.text().contains("true");
        state |= got.topic == "devices/b827eb08451e/lamp/connection/lamp_ui/state" && got.text() == "1";
        (changed && state).then_some(())
    });
    // Later viewers see both: they are retained.
    let mut late = cloud.client("late");
    late.subscribe("devices/b827eb08451e/lamp/changed", 1);
    assert!(late.receive().retain);
    subject.kill();
    eventually("the cloud sees that the lamp is gone", || {
        let got = web.receive();
        (got.topic.starts_with("$SYS") && got.text() == "0").then_some(())
    });
}
