//! The window, step by step, and against a model.

use proptest::prelude::*;

use super::*;

/// Sends a message; its identifier.
fn send<M>(window: &mut Outgoing<M>, qos: QoS, message: M) -> u16 {
    let id = window.identify(0);
    window.send(qos, message, 1, id);
    id
}

fn window(limit: u16) -> Outgoing<&'static str> {
    let mut window = Outgoing::default();
    window.connected(limit, usize::MAX);
    window
}

#[test]
fn acknowledgements_may_come_in_any_order() {
    let mut window = window(10);
    let ids: Vec<u16> = ["a", "b", "c"].map(|m| send(&mut window, QoS::AtLeastOnce, m)).to_vec();
    assert_eq!(window.puback(ids[1]), Ok("b"));
    assert_eq!(window.puback(ids[2]), Ok("c"));
    assert_eq!(window.puback(ids[2]), Err(UnknownId));
    assert_eq!(window.puback(ids[0]), Ok("a"));
    assert!(window.is_empty());
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_its_first_order() {
    let mut window = window(10);
    let a = send(&mut window, QoS::ExactlyOnce, "a");
    let b = send(&mut window, QoS::AtLeastOnce, "b");
    assert_eq!(window.pubrec(a, false), Ok(PubRec::Release("a")));
    window.connected(10, usize::MAX);
    assert_eq!(window.resend(), Some(Resend::Release(a)));
    assert_eq!(window.resend(), Some(Resend::Publish(b, QoS::AtLeastOnce, "b")));
    assert_eq!(window.resend(), None);
}

#[test]
fn what_is_put_off_stays_under_its_identifier_and_stops_nothing_else() {
    let mut window = window(2);
    let a = send(&mut window, QoS::ExactlyOnce, "a");
    let b = send(&mut window, QoS::AtLeastOnce, "b");
    window.connected(2, usize::MAX);
    assert_eq!(window.resend(), Some(Resend::Publish(a, QoS::ExactlyOnce, "a")));
    window.put_off(a);
    assert_eq!(window.resend(), Some(Resend::Publish(b, QoS::AtLeastOnce, "b")));
    assert!(!window.must_resend() && !window.can_resend() && window.resend().is_none());
    assert_eq!(window.puback(b), Ok("b"));
    assert_eq!(window.room(), 2, "it takes no room");
    let c = send(&mut window, QoS::AtLeastOnce, "c");
    assert_ne!(c, a);
    window.resume();
    assert!(window.must_resend());
    assert_eq!(window.resend(), Some(Resend::Publish(a, QoS::ExactlyOnce, "a")));
    window.put_off(a);
    // The client may have had it on the earlier connection.
    assert_eq!(window.pubrec(a, false), Ok(PubRec::Release("a")));
    assert_eq!((window.pubcomp(a), window.puback(c)), (Ok(()), Ok("c")));
    assert!(window.is_empty() && !window.must_resend());
    assert_eq!((window.unsent, window.put_off, window.quota_used), (0, 0, 0));
}

#[test]
fn a_smaller_receive_maximum_holds_for_what_is_sent_again() {
    let mut window = window(10);
    let ids: Vec<u16> = (0..3).map(|_| send(&mut window, QoS::AtLeastOnce, "m")).collect();
    window.connected(2, usize::MAX);
    assert!(matches!(window.resend(), Some(Resend::Publish(id, ..)) if id == ids[0]));
    assert!(matches!(window.resend(), Some(Resend::Publish(id, ..)) if id == ids[1]));
    assert_eq!(window.resend(), None);
    assert!(window.must_resend());
    assert_eq!(window.puback(ids[0]), Ok("m"));
    assert!(matches!(window.resend(), Some(Resend::Publish(id, ..)) if id == ids[2]));
}

#[test]
fn a_client_that_never_completes_comes_to_a_halt_and_its_identifiers_never_run_out() {
    let mut window = Outgoing::default();
    for limit in [u16::MAX, 4] {
        for _ in 0..3 {
            window.connected(limit, usize::MAX);
            while window.resend().is_some() {}
            while window.has_room() {
                let id = send(&mut window, QoS::ExactlyOnce, "a");
                window.pubrec(id, false).unwrap();
            }
        }
        assert!(window.len() <= 2 * LARGEST);
    }
}

#[test]
fn a_window_that_was_kept_goes_on_where_it_stopped_and_gives_none_of_its_identifiers() {
    let mut window = Outgoing::default();
    window.restore([(7, QoS::ExactlyOnce, Some(("a", 1))), (9, QoS::ExactlyOnce, None)], 6);
    window.connected(10, usize::MAX);
    assert_eq!(window.resend(), Some(Resend::Publish(7, QoS::ExactlyOnce, "a")));
    assert_eq!(window.resend(), Some(Resend::Release(9)));
    let given: Vec<u16> = (0..2).map(|_| send(&mut window, QoS::AtLeastOnce, "b")).collect();
    assert_eq!(given, [8, 10]);
    assert_eq!(window.pubrec(7, false), Ok(PubRec::Release("a")));
    assert_eq!((window.pubcomp(7), window.pubcomp(9)), (Ok(()), Ok(())));
}

#[test]
fn the_identifier_follows_from_the_number_unless_another_message_has_it() {
    let mut window = window(10);
    for (number, id) in [(1, 1), (65_535, 65_535), (65_536, 2), (70_000, 4465), (4465, 4466)] {
        let given = window.identify(number);
        window.send(QoS::AtLeastOnce, "m", 1, given);
        assert_eq!(given, id, "number {number}");
    }
    for id in [1, 65_535, 2, 4465, 4466] {
        assert_eq!(window.puback(id), Ok("m"));
    }
    assert_eq!([65_536, 131_071].map(|number| window.identify(number)), [1, 1]);
}

#[test]
fn a_repeated_pubrec_is_answered_again() {
    let mut window = window(1);
    let id = send(&mut window, QoS::ExactlyOnce, "a");
    assert!(!window.has_room());
    assert_eq!(window.pubrec(id, false), Ok(PubRec::Release("a")));
    assert_eq!(window.pubrec(id, false), Ok(PubRec::ReleaseAgain));
    assert!(!window.has_room());
    assert_eq!(window.pubcomp(id), Ok(()));
    assert!(window.has_room());
    assert_eq!(window.pubcomp(id), Err(UnknownId));
}

proptest! {
    /// Against a plain model: identifiers are unique while in use, the limit holds on every connection.
    #[test]
    fn identifiers_are_never_in_use_twice(operations in prop::collection::vec((0u8..6, any::<u16>()), 0..400)) {
        let mut window = Outgoing::<u32>::default();
        let mut limit = 8;
        window.connected(limit, usize::MAX);
        window.last = 65_530;
        let mut open: Vec<(u16, bool)> = Vec::new();
        for (operation, pick) in operations {
            let chosen = (!open.is_empty()).then(|| open[usize::from(pick) % open.len()]);
            match (operation, chosen) {
                (0 | 1, _) => {
                    while window.resend().is_some() {}
                    if window.has_room() && !window.must_resend() {
                        let qos = if pick % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                        let id = send(&mut window, qos, u32::from(pick));
                        prop_assert!(id != 0 && open.iter().all(|(other, _)| *other != id));
                        open.push((id, qos == QoS::ExactlyOnce));
                    }
                }
                (2, Some((id, false))) => {
                    prop_assert!(window.puback(id).is_ok());
                    open.retain(|(other, _)| *other != id);
                }
                (3, Some((id, true))) => prop_assert!(window.pubrec(id, false).is_ok()),
                (4, Some((id, true))) if window.pubcomp(id).is_ok() => {
                    open.retain(|(other, _)| *other != id);
                }
                (5, _) => {
                    limit = pick % 10 + 1;
                    window.connected(limit, usize::MAX);
                }
                _ => {}
            }
            prop_assert_eq!(window.len(), open.len());
            prop_assert_eq!(window.unsent, window.window.iter().filter(|slot| !slot.sent).count());
            prop_assert_eq!(window.quota_used, window.window.iter().filter(|slot| slot.counted).count());
            prop_assert!(window.quota_used <= usize::from(limit));
        }
    }
}
