//! Shared subscriptions (MQTT 5 section 4.8.2): each message goes to one member of the group.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::mqtt::{QoS, TopicFilter};

use super::{
    journal::Journal,
    message::{Candidate, Extra, Message},
    outbox::{Offer, Outbox},
};

/// All members that share one filter under one name. The same name with another filter is another group.
#[derive(Debug)]
pub(super) struct Group {
    /// Share name.
    pub name: Arc<str>,
    /// What its members share.
    pub filter: TopicFilter,
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
    pub fn new(name: Arc<str>, filter: TopicFilter) -> Self {
        Group { name, filter, members: Mutex::default() }
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

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.lock().list.len()
    }

    /// Removes a member; whether the group is empty now.
    pub fn leave(&self, key: u64) -> bool {
        let mut members = self.members.lock();
        members.list.retain(|member| member.outbox.key != key);
        members.list.is_empty()
    }

    /// Offers a message to one member: the next one online that is not in `refused` nor `except`, one that is not kept from
    /// receiving by the lock before one that is; else one whose session is kept, unless `online_only`. Members take turns.
    pub fn offer(
        self: &Arc<Self>,
        message: &Arc<Message>,
        refused: &[u64],
        except: Option<u64>,
        online_only: bool,
        journal: &dyn Journal,
    ) -> Option<(Arc<Outbox>, Offer)> {
        let mut members = self.members.lock();
        let count = members.list.len();
        members.next = members.next.wrapping_add(1);
        let turn = |n: usize| &members.list[(members.next.wrapping_add(n)) % count];
        let mut last = None;
        for (online, suspended) in [(true, false), (true, true), (false, false)] {
            if !online && online_only {
                break;
            }
            for member in (0..count).map(turn) {
                let outbox = &member.outbox;
                if outbox.is_online() != online
                    || outbox.is_suspended() != suspended
                    || refused.contains(&outbox.key)
                    || except == Some(outbox.key)
                {
                    continue;
                }
                match outbox.offer(self.candidate(member, message, refused), journal) {
                    full @ Offer::Dropped(_) => last = Some((outbox.clone(), full)),
                    queued => return Some((outbox.clone(), queued)),
                }
            }
        }
        last
    }

    fn candidate(self: &Arc<Self>, member: &Member, message: &Arc<Message>, refused: &[u64]) -> Candidate {
        let extra = Extra {
            identifiers: member.identifier.into_iter().collect(),
            group: Some((self.clone(), refused.to_vec())),
        };
        Candidate {
            message: message.clone(),
            qos: message.qos.min(member.qos),
            retain: member.retain_as_published && message.retain,
            stored: false,
            seq: 0,
            packet_id: 0,
            size: message.size_u32(),
            extra: Some(Arc::new(extra)),
        }
    }
}
