//! What the spool knows of each message, and which is next.

use std::{collections::VecDeque, sync::Arc};

use crate::bridge::ledger::Ledger;
use crate::broker::Message;
use crate::mqtt::QoS;

use super::{Item, full::Dropping};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    /// The lock keeps it here.
    Held,
    Sent,
    Gone,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) seq: u64,
    pub(super) message: Option<Arc<Message>>,
    pub(super) size: u32,
    /// Seconds after the spool's epoch; when it was taken on, and when it expires.
    pub(super) at: i32,
    pub(super) expires: Option<i32>,
    pub(super) route: u16,
    pub(super) qos: QoS,
    pub(super) state: State,
    /// Whether a packet identifier was noted for it.
    pub(super) numbered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) slots: VecDeque<Slot>,
    pub(super) last: u64,
    /// Every message with a lower number was sent or is gone.
    pub(super) next: u64,
    /// The same for what came since the remote broker is there, if that goes first.
    pub(super) live: Option<u64>,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) held: usize,
    pub(super) at_hand: usize,
    /// By route; routes that the configuration no longer has come last.
    pub(super) ledgers: Vec<(Arc<str>, Ledger)>,
    pub(super) connected: bool,
    pub(super) fresh: VecDeque<Item>,
    pub(super) fresh_bytes: usize,
    pub(super) qos0: (u64, u64),
    /// What is dropped because the spool is full, as long as that goes on.
    pub(super) dropping: Option<Dropping>,
}

impl Queue {
    /// The number of a route, which is made if it has none.
    pub(super) fn route(&mut self, label: &Arc<str>) -> usize {
        self.ledgers.iter().position(|(other, _)| other == label).unwrap_or_else(|| {
            self.ledgers.push((label.clone(), Ledger::default()));
            self.ledgers.len() - 1
        })
    }

    /// The place of the first message with this number or a higher one.
    pub(super) fn first_from(&self, seq: u64) -> usize {
        // Numbers have gaps only where a restart found some: elsewhere nothing need be searched.
        let first = self.slots.front().map_or(seq, |slot| slot.seq);
        let place = usize::try_from(seq.saturating_sub(first)).unwrap_or(usize::MAX);
        match self.slots.get(place) {
            Some(slot) if slot.seq == seq => place,
            _ => self.slots.partition_point(|slot| slot.seq < seq),
        }
    }

    pub(super) fn place_of(&self, seq: u64) -> Option<usize> {
        let place = self.first_from(seq);
        self.slots.get(place).filter(|slot| slot.seq == seq && slot.state != State::Gone).map(|_| place)
    }

    pub(super) fn waiting_from(&self, seq: u64) -> Option<usize> {
        let from = self.first_from(seq);
        (from..self.slots.len()).find(|place| self.slots[*place].state == State::Waiting)
    }

    /// What is to be sent next.
    pub(super) fn first_waiting(&mut self) -> Option<usize> {
        if let Some(live) = self.live {
            let place = self.waiting_from(live);
            self.live = Some(place.map_or(self.last + 1, |place| self.slots[place].seq));
            if place.is_some() {
                return place;
            }
        }
        self.oldest_waiting()
    }

    pub(super) fn oldest_unsent(&self) -> Option<usize> {
        self.slots.iter().position(|slot| matches!(slot.state, State::Waiting | State::Held))
    }

    pub(super) fn oldest_waiting(&mut self) -> Option<usize> {
        let place = self.waiting_from(self.next);
        self.next = place.map_or(self.last + 1, |place| self.slots[place].seq);
        place
    }
}
