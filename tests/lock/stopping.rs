//! A gateway that stops while it is asked for something.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::process::Signal;

use super::{gateway, state};
use crate::support::subject::latchgate;
use crate::support::{BOUND, eventually};

#[test]
fn bug_who_closed_a_gateway_that_was_stopping_was_told_that_it_failed() {
    let subject = gateway();
    subject.port();
    let socket = subject.directory().join("state/admin.sock");
    let mut asked = UnixStream::connect(&socket).expect("the admin socket is there");
    asked.set_read_timeout(Some(BOUND)).expect("set the bound");
    let body = "{\"scope\":\"gateway\",\"user\":null}";
    let (begin, rest) = body.split_at(9);
    let head = format!("POST /lock/close HTTP/1.0\r\nContent-Length: {}\r\n\r\n{begin}", body.len());
    asked.write_all(head.as_bytes()).expect("begin the request");
    subject.signal(Signal::TERM);
    eventually("nobody is let at the socket any more", || (!socket.exists()).then_some(()));
    // It may be gone already, which reading tells.
    let _ = asked.write_all(rest.as_bytes());
    let mut answer = String::new();
    asked.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.0 200") && answer.contains("\"changed\":true"), "{answer:?}");
    assert!(subject.wait().success());
    subject.start_again();
    assert_eq!(state(&subject)["gateway"], "closed");
}

#[test]
fn without_an_answer_it_may_have_been_done_and_the_message_says_how_to_see() {
    let place = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(place.path().join("state")).expect("a directory");
    std::fs::write(place.path().join("gate.toml"), "[gateway]\nstate = \"state\"\n").expect("write");
    let listener = UnixListener::bind(place.path().join("state/admin.sock")).expect("listen");
    // Ends each connection once it was asked for something.
    let ends = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("somebody connects");
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    let ask = |words: &[&str]| {
        latchgate(place.path(), &[&["--config", "gate.toml"], words].concat(), "").exits(1).err
    };
    let closing = ask(&["lock", "close"]);
    assert!(closing.contains("may have been done: `latchgate lock status` says so"), "{closing}");
    let asking = ask(&["lock", "status"]);
    assert!(asking.contains("gave no answer") && !asking.contains("may have been"), "{asking}");
    ends.join().expect("both came");
}
