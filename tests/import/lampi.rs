//! The cloud of the LAMPI course with its three listeners, in the files that its playbooks write.

use std::process::Command;

use super::{Origin, enter, plugins::Service};
use crate::support::subject::{free_port, latchgate};

/// The course's rules: the bridge of a device writes what its lamp did, and may log in only by its certificate.
fn says(path: &str, body: &str) -> u16 {
    let has = |field: &str| body.split('&').any(|part| part == field);
    let yes = path == "/lampi/acl"
        && has("username=d1_broker")
        && has("topic=devices%2Fd1%2Flamp%2Fchanged")
        && has("acc=2");
    if yes { 200 } else { 403 }
}

#[test]
fn a_device_with_its_certificate_is_asked_about_and_the_other_doors_want_a_login() {
    let service = Service::start(says);
    let (tls, web, plain) = (free_port(), free_port(), free_port());
    let certificates = "certfile pki/issued/server.crt\nkeyfile pki/issued/server.key\n";
    let ports = format!(
        "listener {plain} 127.0.0.1\nlistener {tls} 127.0.0.1\n{certificates}cafile pki/ca.crt\nrequire_certificate true\n\
         use_identity_as_username true\ntls_version tlsv1.2\nlistener {web} 127.0.0.1\nprotocol websockets\n{certificates}"
    );
    let plugin = format!(
        "auth_plugin /mosquitto/go-auth.so\nauth_opt_backends http\nauth_opt_http_host 127.0.0.1\nauth_opt_http_port {}\n\
         auth_opt_http_getuser_uri /lampi/auth\nauth_opt_http_superuser_uri /lampi/superuser\nauth_opt_http_aclcheck_uri /lampi/acl\n\
         auth_opt_http_params_mode form\n",
        service.port
    );
    let main = "pid_file /var/run/mosquitto.pid\npersistence true\npersistence_location /var/lib/mosquitto/\n\
                log_dest file /var/log/mosquitto/mosquitto.log\ninclude_dir conf.d\n";
    let origin = Origin::new(main)
        .with("conf.d/13_mqtt_port.conf", ports)
        .with("conf.d/14_mqtt_auth_plugin.conf", plugin);
    for words in [
        &["pki", "init"][..],
        &["pki", "issue", "server", "--server", "--san", "localhost"],
        &["pki", "issue", "d1_broker"],
    ] {
        latchgate(origin.folder(), words, "").exits(0);
    }
    let imported = origin.imported();
    assert_eq!(imported.code, 0, "{:#}", imported.report);
    let shown = imported.command(&["check"]).exits(0).out;
    for words in ["mqtts  ", "wss  ", "clients' certificates are their login"] {
        assert!(shown.contains(words), "{words:?} in {shown}");
    }
    let _gateway = imported.run(tls);
    let publish = |topic: &str| {
        let port = tls.to_string();
        let words = [
            "-V",
            "mqttv5",
            "-q",
            "1",
            "-h",
            "localhost",
            "-p",
            &port,
            "--cafile",
            "pki/ca.crt",
            "--cert",
            "pki/issued/d1_broker.crt",
            "--key",
            "pki/issued/d1_broker.key",
            "-m",
            "on",
            "-t",
            topic,
        ];
        let output = Command::new("mosquitto_pub")
            .args(words)
            .current_dir(origin.folder())
            .output()
            .expect("it is there");
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        output.status.success() && !said.contains("Not authorized")
    };
    assert!(publish("devices/d1/lamp/changed"), "{}", origin.log());
    assert!(!publish("devices/d2/lamp/changed"));
    assert!(service.was_asked("/lampi/superuser username=d1_broker") && !service.was_asked("/lampi/auth"));
    assert!(enter(plain, "x", None).is_none() && enter(plain, "x", Some(("d1_broker", "none"))).is_none());
    assert!(service.was_asked("/lampi/auth"));
}
