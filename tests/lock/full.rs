//! The lock on a full disk: what is closed is closed, that it is not stored is told, and it is stored without being asked.

use super::{gateway, lock, run, state};
use crate::support::{eventually, small_disk::SmallDisk};

#[test]
fn what_was_closed_on_a_full_disk_is_stored_by_itself_when_there_is_room() {
    let subject = gateway();
    let Some(disk) = SmallDisk::under(subject.directory()) else { return };
    subject.port();
    assert_eq!(state(&subject)["stored"], true);
    disk.fill();
    let answer = run(&subject, "close", 1);
    assert!(answer.err.contains("is closed now") && answer.err.contains("not stored yet"), "{}", answer.err);
    assert_eq!(subject.v5("a").say("a", "x"), 0x87);
    let now = state(&subject);
    assert_eq!((&now["gateway"], &now["stored"]), (&"closed".into(), &false.into()), "{now}");
    assert!(lock(&subject, "status").contains("not stored yet, a restart would open"));
    // Closing it again tries again, and says that this failed again.
    let again = run(&subject, "close", 1);
    assert!(again.err.contains("not stored yet"), "{}", again.err);

    disk.make_room();
    eventually("it is stored", || (state(&subject)["stored"] == true).then_some(()));
    assert!(!lock(&subject, "status").contains("not stored"));
    eventually("the log says so", || subject.log().contains("the lock is stored now").then_some(()));
    assert_eq!(subject.log().matches("the lock is stored now").count(), 1, "{}", subject.log());
    assert_eq!(lock(&subject, "log").lines().count(), 1, "the log has what was closed then");
    subject.kill();
    subject.start_again();
    assert_eq!(state(&subject)["gateway"], "closed");
    assert_eq!(lock(&subject, "open"), "gateway: opened\n");
    drop(disk);
}
