//! A clock that is not set: nobody's certificate is judged by it, and the bridge goes on as soon as it is.

use crate::support::{Publish, Subject, eventually};
use crate::tls::{certificates, cloud, section};
use crate::{status, until_connected, until_drained};

#[test]
fn a_bridge_over_tls_waits_until_the_clock_is_set_and_then_for_nothing_more() {
    let home = tempfile::tempdir().expect("a directory");
    certificates(home.path());
    let pki = home.path().join("pki");
    let (_cloud, port) = cloud(&pki);
    let clock = home.path().join("clock");
    std::fs::write(&clock, "@2001-01-01 00:00:00").expect("write");
    // The wait between two attempts would outlast the test.
    let waits = section(port, &pki, "").replace("'50ms'", "'1h'").replace("'200ms'", "'1h'");
    let subject = Subject::with().gateway("id = 'b8'").section(&waits).clock(&clock).start();
    eventually("the status says that the clock is not set", || {
        let error = status(&subject)["error"].as_str().unwrap_or_default().to_owned();
        error.contains("the clock is not set: it says 2001-01-01").then_some(())
    });
    assert!(subject.log().contains("bridges and backends over TLS are not connected"), "{}", subject.log());
    subject.v5("sensor").publish(Publish::to("t").qos(1).payload("x"));

    std::fs::write(&clock, "+0").expect("write");
    until_connected(&subject);
    assert_eq!(until_drained(&subject)["delivered"], 1);
    assert!(subject.log().contains("the clock is set"), "{}", subject.log());
}
