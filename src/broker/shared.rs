//! Shared subscriptions (MQTT 5 section 4.8.2): each message goes to one member of the group.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::mqtt::QoS;

use super::{
    counters::Counters,
    message::{Candidate, Extra, Message},
    outbox::{Offer, Outbox},
};

/// All members that share one filter under one name. The same name with another filter is another group.
#[derive(Debug)]
pub(super) struct Group {
    /// Share name.
    pub name: Arc<str>,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    list: Vec<Member>,
    next: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub outbox: Arc<Outbox>,
    pub qos: QoS,
    pub retain_as_published: bool,
    pub identifier: Option<u32>,
}

impl Group {
    pub fn new(name: Arc<str>) -> Self {
        Group { name, members: Mutex::default() }
    }

    /// Adds a member or replaces its options; whether it is new.
    pub fn join(&self, member: Member) -> bool {
        let mut members = self.members.lock();
        match members.list.iter_mut().find(|old| old.outbox.key == member.outbox.key) {
            Some(old) => {
                *old = member;
                false
            }
            None => {
                members.list.push(member);
                true
            }
        }
    }

    /// Removes a member; whether the group is empty now.
    pub fn leave(&self, key: u64) -> bool {
        let mut members = self.members.lock();
        members.list.retain(|member| member.outbox.key != key);
        members.list.is_empty()
    }

    /// Offers a message to one member: the next one online that is not in `passed_over`, else one whose session
    /// is kept, unless `online_only`. Members take turns.
    pub fn offer(
        self: &Arc<Self>,
        message: &Arc<Message>,
        passed_over: &[u64],
        online_only: bool,
        counters: &Counters,
    ) -> Option<(Arc<Outbox>, Offer)> {
        let members = {
            let mut members = self.members.lock();
            let count = members.list.len();
            if count == 0 {
                return None;
            }
            members.next = (members.next + 1) % count;
            let start = members.next;
            let mut turn: Vec<Member> =
                members.list[start..].iter().chain(&members.list[..start]).cloned().collect();
            // Stable: among those online, and among those not, the turn stands.
            turn.sort_by_key(|member| !member.outbox.is_online());
            turn
        };
        let mut last = None;
        let eligible = |member: &Member| {
            !passed_over.contains(&member.outbox.key) && (!online_only || member.outbox.is_online())
        };
        for member in members.into_iter().filter(eligible) {
            let extra = Extra {
                identifiers: member.identifier.into_iter().collect(),
                group: Some((self.clone(), passed_over.to_vec())),
            };
            let candidate = Candidate {
                message: message.clone(),
                qos: message.qos.min(member.qos),
                retain: member.retain_as_published && message.retain,
                stored: false,
                extra: Some(Arc::new(extra)),
            };
            match member.outbox.offer(candidate, counters) {
                Offer::Dropped => last = Some((member.outbox, Offer::Dropped)),
                queued => return Some((member.outbox, queued)),
            }
        }
        last
    }
}
