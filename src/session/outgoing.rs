//! QoS 1 and 2 messages on their way to the client: identifiers, the window, what is sent again.
//!
//! A packet identifier follows from the message's number in the session's queue. So it is the same after a restart
//! [MQTT-4.4.0-1], though it was never written.

use std::collections::VecDeque;

use crate::mqtt::QoS;

/// An acknowledgement for an identifier that is not in use, or not in that stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message of that packet identifier awaits this acknowledgement")]
pub struct UnknownId;

/// What a PUBREC brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PubRec<M> {
    /// The client has the message: answer PUBREL. The message is no longer kept.
    Release(M),
    /// A repeated PUBREC: answer PUBREL again.
    ReleaseAgain,
    /// The client refused it (reason 0x80 or above): the exchange is over [MQTT-4.3.3-4].
    Refused(M),
}

/// What to send again on a resumed session, in the order of the first sending [MQTT-4.6.0-1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend<M> {
    /// PUBLISH with DUP set [MQTT-3.3.1-1].
    Publish(u16, QoS, M),
    /// PUBREL.
    Release(u16),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage<M> {
    /// PUBLISH sent; PUBACK or PUBREC awaited.
    Sent(QoS, M),
    /// PUBREL sent; PUBCOMP awaited.
    Released,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot<M> {
    id: u16,
    stage: Stage<M>,
    /// Whether it went out on the present connection; if not, it has still to be sent again.
    sent: bool,
    /// Whether sending it again is put off, see [`Outgoing::put_off`].
    put_off: bool,
    /// Whether its PUBLISH went out on the present connection, so that it counts against the limit.
    counted: bool,
    /// Bytes.
    weight: usize,
}

/// Most messages that are unacknowledged at a time, whatever the client takes: an acknowledgement is looked for in
/// the window, oldest first.
const LARGEST: usize = 4096;
/// Most entries of the window, with what is put off and half done.
const MOST: usize = 4 * LARGEST;

/// The packet identifier that goes with a number, which is 1 or higher. Numbers that lie less than 65,535 apart have
/// different ones.
pub fn identifier_of(number: u64) -> u16 {
    let cycle = u64::from(u16::MAX);
    u16::try_from(number.saturating_sub(1) % cycle + 1).unwrap_or(u16::MAX)
}

/// The window of unacknowledged messages, oldest first.
///
/// At most `limit` messages are unacknowledged on one connection [MQTT-3.3.4-9]; those of an earlier
/// connection are sent again first, and count when they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing<M> {
    window: VecDeque<Slot<M>>,
    /// The highest number of any message so far.
    last: u64,
    /// The lowest since the window was last empty.
    lowest: u64,
    /// Whether an identifier may be in use already: numbers lie too far apart, or not all in the window have the one
    /// that goes with theirs.
    crowded: bool,
    /// Slots not yet sent again on the present connection.
    unsent: usize,
    /// How many of them are put off.
    put_off: usize,
    /// Messages that count against `limit` on the present connection.
    quota_used: usize,
    limit: usize,
    /// Bytes in the window, and beyond which nothing more is sent.
    weight: usize,
    most_weight: usize,
}

impl<M> Default for Outgoing<M> {
    fn default() -> Self {
        Outgoing {
            window: VecDeque::new(),
            last: 0,
            lowest: 0,
            crowded: false,
            unsent: 0,
            put_off: 0,
            quota_used: 0,
            limit: 0,
            weight: 0,
            most_weight: usize::MAX,
        }
    }
}

impl<M> Outgoing<M> {
    /// Begins a connection on which at most `limit` messages (never more than 4096) may be unacknowledged. Everything in the window
    /// is to be sent again, see [`Outgoing::resend`].
    /// Nothing more is sent while what is has `most_weight` bytes or more.
    pub fn connected(&mut self, limit: u16, most_weight: usize) {
        self.most_weight = most_weight;
        self.limit = usize::from(limit).min(LARGEST);
        self.quota_used = 0;
        self.unsent = self.window.len();
        self.put_off = 0;
        for slot in &mut self.window {
            (slot.sent, slot.counted, slot.put_off) = (false, false, false);
        }
    }

    /// Whether another message may be sent now. What an earlier connection left half done counts too, though less:
    /// a client that never finishes an exchange comes to a halt, not the window to its end.
    pub fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Messages and releases not yet done with.
    pub fn len(&self) -> usize {
        self.window.len()
    }

    /// Whether all that awaits an acknowledgement is put off, if anything does.
    pub fn is_at_rest(&self) -> bool {
        self.window.len() == self.put_off
    }

    /// Whether nothing awaits an acknowledgement.
    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
    }

    /// How many more messages the window takes now.
    pub fn room(&self) -> usize {
        if self.weight >= self.most_weight {
            return 0;
        }
        // What is put off may wait for long: it does not stop the others.
        let half_done = (2 * self.limit).saturating_sub(self.window.len() - self.put_off);
        let space = MOST.saturating_sub(self.window.len());
        self.limit.saturating_sub(self.quota_used).min(half_done).min(space)
    }

    /// A packet identifier for the message of this number (0: it has none) that is sent next, not in use [MQTT-2.2.1-3]:
    /// the one that goes with it, if that is free.
    pub fn identify(&mut self, number: u64) -> u16 {
        let number = if number == 0 { self.last.saturating_add(1) } else { number };
        if self.window.is_empty() {
            (self.lowest, self.crowded) = (number, false);
        }
        self.lowest = self.lowest.min(number);
        self.last = self.last.max(number);
        self.crowded |= self.last - self.lowest >= u64::from(u16::MAX);
        let mut id = identifier_of(number);
        // There is a free one: the window never holds all.
        while self.crowded && self.uses(id) {
            id = id.checked_add(1).unwrap_or(1);
        }
        id
    }

    /// Notes that an identifier other than the one that goes with its number is or will be in the window.
    pub fn crowd(&mut self) {
        self.crowded = true;
    }

    /// The identifiers that are in use.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.window.iter().map(|slot| slot.id)
    }

    /// Whether an identifier is in use.
    pub fn uses(&self, id: u16) -> bool {
        self.window.iter().any(|slot| slot.id == id)
    }

    /// Fills the window of a session that was kept over a restart: identifiers in the order of their messages, which are
    /// `None` where PUBREC had come (QoS 2). `last` is the highest number that may have been given.
    pub fn restore(&mut self, window: impl IntoIterator<Item = (u16, QoS, Option<(M, usize)>)>, last: u64) {
        let slot = |(id, qos, message)| {
            let (stage, weight) = match message {
                Some((message, weight)) => (Stage::Sent(qos, message), weight),
                None => (Stage::Released, 0),
            };
            Slot { id, stage, sent: false, put_off: false, counted: false, weight }
        };
        self.window = window.into_iter().map(slot).collect();
        self.weight = self.window.iter().map(|slot| slot.weight).sum();
        self.unsent = self.window.len();
        self.put_off = 0;
        self.last = last;
        // Until it is empty each identifier is compared with those in use.
        self.crowded = true;
    }

    /// Takes a message into the window and returns its packet identifier, and the message where it now is.
    ///
    /// Call it only when [`Outgoing::has_room`] and nothing is left to [`Outgoing::resend`].
    /// `weight` is its size in bytes; `id` comes from [`Outgoing::identify`].
    pub fn send(&mut self, qos: QoS, message: M, weight: usize, id: u16) -> &M {
        self.quota_used += 1;
        self.weight = self.weight.saturating_add(weight);
        let slot =
            Slot { id, stage: Stage::Sent(qos, message), sent: true, put_off: false, counted: true, weight };
        match &self.window.push_back_mut(slot).stage {
            Stage::Sent(_, message) => message,
            Stage::Released => unreachable!("it was just put there as sent"),
        }
    }

    /// The next thing to send again, if any and if the window allows it.
    pub fn resend(&mut self) -> Option<Resend<M>>
    where
        M: Clone,
    {
        if self.unsent == 0 {
            return None;
        }
        let slot = self.window.iter_mut().find(|slot| !slot.sent && !slot.put_off)?;
        match &slot.stage {
            Stage::Released => {
                slot.sent = true;
                self.unsent -= 1;
                Some(Resend::Release(slot.id))
            }
            Stage::Sent(qos, message) if self.quota_used < self.limit => {
                (slot.sent, slot.counted) = (true, true);
                self.unsent -= 1;
                self.quota_used += 1;
                Some(Resend::Publish(slot.id, *qos, message.clone()))
            }
            Stage::Sent(..) => None,
        }
    }

    /// The message that [`Outgoing::resend`] would give now.
    pub fn next_to_resend(&self) -> Option<&M> {
        if self.unsent == 0 {
            return None;
        }
        match &self.window.iter().find(|slot| !slot.sent && !slot.put_off)?.stage {
            Stage::Sent(_, message) if self.quota_used < self.limit => Some(message),
            _ => None,
        }
    }

    /// Whether [`Outgoing::resend`] has something to give now.
    pub fn can_resend(&self) -> bool {
        self.unsent > 0
            && self
                .window
                .iter()
                .find(|slot| !slot.sent && !slot.put_off)
                .is_some_and(|slot| matches!(slot.stage, Stage::Released) || self.quota_used < self.limit)
    }

    /// Whether something of an earlier connection has still to be sent again before anything new is.
    pub fn must_resend(&self) -> bool {
        self.unsent > self.put_off
    }

    /// Puts off what [`Outgoing::resend`] gave as `id`, and was not sent: it stays in the window under its identifier, and
    /// others go on without it until [`Outgoing::resume`].
    pub fn put_off(&mut self, id: u16) {
        let Ok(at) = self.find(id, |stage| matches!(stage, Stage::Sent(..))) else { return };
        let slot = &mut self.window[at];
        if slot.put_off || !slot.sent {
            return;
        }
        self.quota_used -= usize::from(slot.counted);
        (slot.sent, slot.counted, slot.put_off) = (false, false, true);
        self.unsent += 1;
        self.put_off += 1;
    }

    /// Has what was put off sent again after all, before anything new.
    pub fn resume(&mut self) {
        if self.put_off > 0 {
            self.window.iter_mut().for_each(|slot| slot.put_off = false);
            self.put_off = 0;
        }
    }

    /// PUBACK: the message is delivered.
    pub fn puback(&mut self, id: u16) -> Result<M, UnknownId> {
        let at = self.find(id, |stage| matches!(stage, Stage::Sent(QoS::AtLeastOnce, _)))?;
        self.remove(at).ok_or(UnknownId)
    }

    /// Whether a message of QoS 2 awaits its PUBREC under `id`.
    pub fn awaits_pubrec(&self, id: u16) -> bool {
        self.find(id, |stage| matches!(stage, Stage::Sent(QoS::ExactlyOnce, _))).is_ok()
    }

    /// PUBREC: QoS 2 goes on to its second half, unless `refused`, which ends the exchange whatever its stage.
    pub fn pubrec(&mut self, id: u16, refused: bool) -> Result<PubRec<M>, UnknownId> {
        if let Ok(at) = self.find(id, |stage| matches!(stage, Stage::Released)) {
            if refused {
                self.remove(at);
                return Err(UnknownId);
            }
            return Ok(PubRec::ReleaseAgain);
        }
        let at = self.find(id, |stage| matches!(stage, Stage::Sent(QoS::ExactlyOnce, _)))?;
        if refused {
            return self.remove(at).map(PubRec::Refused).ok_or(UnknownId);
        }
        match std::mem::replace(&mut self.window[at].stage, Stage::Released) {
            Stage::Sent(_, message) => {
                // Only the identifier is still held.
                self.weight = self.weight.saturating_sub(std::mem::take(&mut self.window[at].weight));
                // The PUBREL goes out now: a client that answers for an earlier connection needs no repeat.
                let slot = &mut self.window[at];
                if !std::mem::replace(&mut slot.sent, true) {
                    self.unsent -= 1;
                    self.put_off -= usize::from(std::mem::take(&mut slot.put_off));
                }
                Ok(PubRec::Release(message))
            }
            Stage::Released => Err(UnknownId),
        }
    }

    /// PUBCOMP: QoS 2 is done.
    pub fn pubcomp(&mut self, id: u16) -> Result<(), UnknownId> {
        let at = self.find(id, |stage| matches!(stage, Stage::Released))?;
        self.remove(at);
        Ok(())
    }

    /// Takes a message out that may no longer be delivered.
    pub fn forget(&mut self, id: u16) {
        if let Ok(at) = self.find(id, |stage| matches!(stage, Stage::Sent(..))) {
            self.remove(at);
        }
    }

    /// Takes every QoS 1 message out that was not acknowledged.
    pub fn unacknowledged_qos1(&mut self) -> Vec<M> {
        let mut ids = Vec::new();
        for slot in &self.window {
            if matches!(slot.stage, Stage::Sent(QoS::AtLeastOnce, _)) {
                ids.push(slot.id);
            }
        }
        ids.into_iter().filter_map(|id| self.puback(id).ok()).collect()
    }

    fn find(&self, id: u16, stage: impl Fn(&Stage<M>) -> bool) -> Result<usize, UnknownId> {
        self.window.iter().position(|slot| slot.id == id && stage(&slot.stage)).ok_or(UnknownId)
    }

    fn remove(&mut self, at: usize) -> Option<M> {
        let slot = self.window.remove(at)?;
        self.weight = self.weight.saturating_sub(slot.weight);
        if slot.counted {
            self.quota_used -= 1;
        }
        if !slot.sent {
            self.unsent -= 1;
            self.put_off -= usize::from(slot.put_off);
        }
        if self.window.is_empty() && self.window.capacity() > 64 {
            self.window = VecDeque::new();
        }
        match slot.stage {
            Stage::Sent(_, message) => Some(message),
            Stage::Released => None,
        }
    }
}

#[cfg(test)]
mod tests {
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
}
