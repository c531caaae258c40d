//! The administrator that a hand on the device makes.

use super::support::{Client, Connect, Subject};
use super::{gateway, hold, press};

/// Works the button as the README says; the password that the log shows.
fn recover(subject: &Subject) -> String {
    let before = subject.log().len();
    assert_eq!(hold(subject, "10")["code"], "recovery");
    press(subject);
    let log = subject.log();
    let line =
        log[before..].lines().find(|line| line.contains("one-time password")).expect("it is in the log");
    assert!(line.contains("ERROR") && line.contains("user=\"recovery\""), "{line}");
    let (_, rest) = line.split_once("password=\"").expect("the password is a field");
    rest.split('"').next().expect("it ends").to_owned()
}

#[test]
fn ten_seconds_and_a_press_make_a_password_that_works_once() {
    let subject = gateway();
    let password = recover(&subject);
    let login = |client: &str, password: &str| Connect::v5(client).login("recovery", password);
    // The book is read again within a second.
    subject.command(&["reload"]).exits(0);
    let mut administrator = subject.accept(&login("one", &password));
    assert_eq!(subject.refuse(&login("two", &password)).code, 0x86, "it was used");
    // A superuser, but not above the lock, which the long press closed.
    assert_eq!(administrator.say("$own/x", "1"), 0x87);
    assert_eq!(press(&subject)["code"], "open");
    administrator.ping();

    // The next one ends what was done with the one before.
    let next = recover(&subject);
    assert_ne!(password, next);
    subject.command(&["reload"]).exits(0);
    administrator.expect_disconnect(0x87);
    assert_eq!(subject.refuse(&login("one", &password)).code, 0x86);
    press(&subject);
    let mut administrator = subject.accept(&login("one", &next));
    assert_eq!(administrator.say("anything/at/all", "1"), 0);

    // What was used is not worth keeping, and nothing shows it.
    let listed = subject.command(&["user", "list", "--json"]).exits(0).out;
    assert!(listed.contains("\"recovery\"") && listed.contains("\"password\": false"), "{listed}");
    assert!(!listed.contains(&next));
}

#[test]
fn a_lasting_password_can_be_given_to_the_account() {
    let subject = gateway();
    recover(&subject);
    subject.command_with_input(&["user", "password", "recovery", "--password-stdin"], "for good").exits(0);
    subject.command(&["reload"]).exits(0);
    for client in ["one", "two"] {
        subject.accept(&Connect::v5(client).login("recovery", "for good")).ping();
    }
}

#[test]
fn of_many_who_bring_the_password_at_once_one_gets_in() {
    let subject = gateway();
    let password = recover(&subject);
    subject.command(&["reload"]).exits(0);
    let port = subject.port();
    let codes: Vec<u8> = std::thread::scope(|scope| {
        let one = |n: usize| {
            let connect = Connect::v5(&format!("c{n}")).login("recovery", &password);
            scope.spawn(move || Client::connect(port, &connect).1.code)
        };
        // Four wrong ones at an address are not yet a ban.
        let all: Vec<_> = (0..4).map(one).collect();
        all.into_iter().map(|one| one.join().expect("a CONNACK came")).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert!(codes.iter().all(|code| [0, 0x86].contains(code)), "{codes:?}");
}
