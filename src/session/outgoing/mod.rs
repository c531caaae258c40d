//! QoS 1 and 2 messages on their way to the client: identifiers, the window, what is sent again.
//!
//! A packet identifier follows from the message's number in the session's queue. So it is the same after a restart
//! [MQTT-4.4.0-1], though it was never written.

#[cfg(test)]
mod tests;

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
