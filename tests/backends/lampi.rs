//! The backend `http` against a Django project with the views of a lamp course.

use super::{PASSWORD, login, may_publish, peer::Peer};
use crate::support::{Connect, Subject, Subscribe};

const LAMP: &str = "b827eb000001";
const OTHER: &str = "b827eb000002";

/// The cloud's broker; bridges come in without a password, by a listener that knows them otherwise.
fn gateway(dialect: &str) -> (Peer, Subject) {
    let django = Peer::start("lampi.py", &[], 2);
    let url = |view: &str| format!("{view}_url = \"http://127.0.0.1:{}/lampi/", django.port);
    let section = format!(
        "[auth]\nbackends = [\"http\"]\n[auth.http]\n{}auth\"\n{}superuser\"\n{}acl\"\n{dialect}",
        url("user"),
        url("superuser"),
        url("acl")
    );
    let listener = "anonymous = \"b827eb000001_broker\"";
    let subject = Subject::with().without_rules().listener(listener).section(&section).prepare();
    (django, subject)
}

fn subscribes(client: &mut crate::support::Client, filter: &str) -> bool {
    client.subscribe_all(&Subscribe::to(filter, 1)) == [1]
}

#[test]
fn users_lamps_and_web_pages_may_do_what_the_course_says_in_both_dialects() {
    for dialect in ["parameters = \"form\"", "dialect = \"auth-plug\""] {
        let (django, subject) = gateway(dialect);
        let topic = |lamp: &str, name: &str| format!("devices/{lamp}/lamp/{name}");

        let mut bridge = subject.v5(&format!("{LAMP}_broker"));
        assert!(may_publish(&mut bridge, &topic(LAMP, "changed")), "{dialect}");
        assert!(may_publish(&mut bridge, &topic(LAMP, "connection/lamp_ui/state")));
        assert!(may_publish(&mut bridge, &format!("$SYS/broker/connection/{LAMP}_broker/state")));
        assert!(!may_publish(&mut bridge, &topic(LAMP, "set_config")));
        assert!(!may_publish(&mut bridge, &topic(OTHER, "changed")), "another lamp's");
        assert!(subscribes(&mut bridge, &topic(LAMP, "set_config")));
        assert!(subscribes(&mut bridge, &topic(LAMP, "associated")));
        assert!(!subscribes(&mut bridge, &topic(OTHER, "set_config")));
        let mut stranger = subject.v5("c");
        assert!(!may_publish(&mut stranger, &topic(LAMP, "changed")), "the identifier must be the name");

        let mut ann = subject.accept(&login("ann"));
        assert!(
            subscribes(&mut ann, &topic(LAMP, "changed")) && !subscribes(&mut ann, &topic(OTHER, "changed"))
        );
        assert!(!subscribes(&mut ann, "devices/+/lamp/changed"));
        assert!(may_publish(&mut ann, &topic(LAMP, "set_config")));
        assert_eq!(bridge.receive().topic, topic(LAMP, "set_config"));
        assert!(!may_publish(&mut ann, &topic(OTHER, "set_config")));
        assert!(!may_publish(&mut ann, &topic(LAMP, "changed")));
        bridge.say(&topic(LAMP, "changed"), "{}");
        assert_eq!(ann.receive().topic, topic(LAMP, "changed"));

        // The web page knows a session key in place of the password.
        let key = &django.says[0];
        let mut page = subject.accept(&Connect::v5("7_web_client").login(LAMP, key));
        assert!(may_publish(&mut page, &topic(LAMP, "set_config")));
        assert!(!may_publish(&mut page, &topic(OTHER, "set_config")));
        for (user, password) in [(OTHER, &**key), (LAMP, "wrong"), ("ann", "wrong"), ("carl", PASSWORD)] {
            subject.refuse(&Connect::v5("x").login(user, password));
        }

        let mut daemon = subject.accept(&login("mqtt-daemon"));
        assert!(subscribes(&mut daemon, "devices/+/lamp/changed") && subscribes(&mut daemon, "#"));
        assert!(may_publish(&mut daemon, &topic(OTHER, "associated")));

        // No service, nobody in and nothing done.
        django.stop();
        subject.refuse(&Connect::v5("y").login("bob", PASSWORD));
        assert!(!may_publish(&mut ann, "devices/new"));
    }
}
