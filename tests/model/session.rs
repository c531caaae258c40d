//! What one client is owed, and what it has been sent and not yet acknowledged.

use std::{collections::BTreeMap, rc::Rc};

use latchgate::mqtt::{SubscriptionOptions, Version};

use crate::{
    message::{Due, Message},
    operation::{self, CLIENTS},
    rules::Rules,
    wire::Delivery,
};

/// A delivery that was sent and awaits its acknowledgement.
#[derive(Debug)]
pub struct Exchange {
    pub id: u16,
    pub due: Due,
    /// PUBREC was given: only PUBREL and PUBCOMP are left.
    pub released: bool,
    /// It went out on an earlier connection and not yet on this one.
    pub again: bool,
    /// It was sent on this connection, so that it counts against the receive maximum.
    counted: bool,
}

#[derive(Clone, Debug)]
pub struct Subscription {
    /// Without share prefix.
    pub filter: &'static str,
    pub group: Option<&'static str>,
    pub options: SubscriptionOptions,
    pub identifier: Option<u32>,
}

/// A connection, while it lasts.
#[derive(Debug)]
pub struct Online {
    pub wire: usize,
    pub version: Version,
    /// How many deliveries may be unacknowledged.
    pub limit: usize,
    /// Session expiry of CONNECT: from 0 it cannot be raised.
    pub expiry: u32,
    /// Milliseconds of silence that end it.
    pub patience: Option<u64>,
    pub last_packet: u64,
    pub will: Option<(u32, operation::Will)>,
}

#[derive(Debug)]
pub struct Session {
    pub client: usize,
    pub user: usize,
    pub expiry: u32,
    pub subscriptions: BTreeMap<&'static str, Subscription>,
    pub queue: Vec<Due>,
    pub window: Vec<Exchange>,
    /// QoS 2 publishes of the client that await its PUBREL.
    pub incoming: BTreeMap<u16, Rc<Message>>,
    pub online: Option<Online>,
    pub ends: Option<u64>,
    pub will: Option<(u64, (u32, operation::Will))>,
}

impl Online {
    /// When its silence ends it [MQTT-3.1.2-22].
    pub fn silent_at(&self) -> Option<u64> {
        Some(self.last_packet + self.patience?)
    }
}

impl Session {
    pub fn new(client: usize, user: usize) -> Self {
        Session {
            client,
            user,
            expiry: 0,
            subscriptions: BTreeMap::new(),
            queue: Vec::new(),
            window: Vec::new(),
            incoming: BTreeMap::new(),
            online: None,
            ends: None,
            will: None,
        }
    }

    /// Retained messages that a subscription brought go with it, as far as they still wait.
    pub fn forget_stored(&mut self, text: &str) {
        self.queue.retain(|due| due.stored != Some(text));
    }

    /// When something happens to it by itself.
    pub fn deadlines(&self) -> impl Iterator<Item = u64> {
        let silent = self.online.as_ref().and_then(Online::silent_at);
        let will = self.will.as_ref().map(|(at, _)| *at);
        silent.into_iter().chain(will).chain(self.ends)
    }

    /// Whether the client may be sent this now.
    pub fn may_have(&self, due: &Due, rules: &Rules) -> bool {
        let Message { topic, author: (user, client), .. } = &*due.message;
        rules.may_receive(self.user, self.client, topic)
            && (due.stored.is_none() || rules.may_publish(*user, *client, topic))
    }

    /// Whether another QoS 1 or 2 message may be sent now.
    pub fn has_room(&self) -> bool {
        let used = self.window.iter().filter(|exchange| exchange.counted).count();
        self.online.as_ref().is_some_and(|online| used < online.limit)
    }

    /// A new connection: everything unacknowledged is to be sent again.
    pub fn resume(&mut self) {
        for exchange in &mut self.window {
            (exchange.again, exchange.counted) = (true, false);
        }
    }

    /// Checks a delivery and notes it. `Ok(false)`: nothing like it is owed.
    pub fn delivered(&mut self, delivery: &Delivery, rules: &Rules, now: u64) -> Result<bool, String> {
        if delivery.dup {
            return self.delivered_again(delivery, rules).map(|()| true);
        }
        let version = self.online.as_ref().ok_or("a delivery to nobody")?.version;
        // Copies of one message by different subscriptions can look alike: it is one that is in order, and retained
        // ones come first.
        let mut fitting: Vec<usize> = (0..self.queue.len()).collect();
        fitting.retain(|at| self.queue[*at].fits(delivery, version));
        fitting.sort_by_key(|at| (self.queue[*at].doubtful, self.queue[*at].stored.is_none()));
        let mut wrong = None;
        for at in fitting {
            match self
                .check_turn(at, rules, now)
                .and_then(|()| self.check(&self.queue[at], delivery, rules, now))
            {
                Ok(()) => {
                    let due = self.queue.remove(at);
                    return self.sent(due, delivery, rules, now).map(|()| true);
                }
                Err(why) => wrong = wrong.or(Some(why)),
            }
        }
        wrong.map_or(Ok(false), Err)
    }

    /// Whether it is the turn of this one in the queue: order holds for each topic.
    fn check_turn(&self, at: usize, rules: &Rules, now: u64) -> Result<(), String> {
        let due = &self.queue[at];
        let overtaken = self.queue[..at].iter().find(|earlier| {
            earlier.message.topic == due.message.topic
                && (due.stored.is_none() || earlier.stored.is_some())
                && !earlier.doubtful
                && !earlier.message.is_over(now)
                && self.may_have(earlier, rules)
        });
        overtaken.map_or(Ok(()), |overtaken| Err(format!("it overtakes {}", overtaken.describe())))
    }

    /// What is owed of the message of a delivery that is not.
    pub fn owed_instead(&self, delivery: &Delivery) -> String {
        let alike = self.queue.iter().filter(|due| due.message.is(delivery));
        format!("owed of this message are {:?}", alike.map(Due::describe).collect::<Vec<_>>())
    }

    /// Checks what holds for every first delivery.
    fn check(&self, due: &Due, delivery: &Delivery, rules: &Rules, now: u64) -> Result<(), String> {
        let version = self.online.as_ref().ok_or("a delivery to nobody")?.version;
        if !self.may_have(due, rules) {
            return Err("it may not be delivered at this moment".into());
        }
        if due.message.is_over(now) {
            return Err("it has expired".into());
        }
        let left = due.message.expires.map(|at| (at - now).div_ceil(1000) as u32);
        if version == Version::V5 && delivery.expiry != left {
            return Err(format!("it has {left:?} s left, not {:?}", delivery.expiry));
        }
        Ok(())
    }

    /// Notes a delivery that is owed.
    pub fn sent(&mut self, due: Due, delivery: &Delivery, rules: &Rules, now: u64) -> Result<(), String> {
        self.check(&due, delivery, rules, now)?;
        // [MQTT-4.6.0-1] and the like: first what an earlier connection left open.
        self.forget_lost(rules);
        if self.window.iter().any(|exchange| exchange.again) {
            return Err("something of an earlier connection must be sent again first".into());
        }
        let Some(id) = delivery.id else { return Ok(()) };
        if self.window.iter().any(|exchange| exchange.id == id) {
            return Err("its packet identifier is in use".into());
        }
        if !self.has_room() {
            return Err("more than the receive maximum".into());
        }
        self.window.push(Exchange { id, due, released: false, again: false, counted: true });
        Ok(())
    }

    fn delivered_again(&mut self, delivery: &Delivery, rules: &Rules) -> Result<(), String> {
        let version = self.online.as_ref().ok_or("a delivery to nobody")?.version;
        let room = self.has_room();
        let known = |exchange: &Exchange| exchange.again && Some(exchange.id) == delivery.id;
        let at = self.window.iter().position(known).ok_or("DUP, but it was not sent before")?;
        let exchange = &self.window[at];
        if exchange.released {
            return Err("sent again after its PUBREC".into());
        }
        if !exchange.due.fits(delivery, version) {
            return Err(format!("sent again otherwise than before: {}", exchange.due.describe()));
        }
        if !self.may_have(&exchange.due, rules) {
            return Err("it may not be delivered at this moment".into());
        }
        let skipped = |e: &Exchange| e.again && (e.released || self.may_have(&e.due, rules));
        if self.window[..at].iter().any(skipped) {
            return Err("sent again out of order".into());
        }
        if !room {
            return Err("more than the receive maximum".into());
        }
        (self.window[at].again, self.window[at].counted) = (false, true);
        // Those that it passed over may not be delivered any more: they are forgotten.
        let later = self.window.split_off(at);
        self.window.retain(|exchange| !exchange.again);
        self.window.extend(later);
        Ok(())
    }

    /// A PUBREL that nobody asked for: it must be one that is sent again.
    pub fn released_again(&mut self, id: u16) -> Result<(), String> {
        let wanted = |exchange: &&mut Exchange| exchange.id == id && exchange.released && exchange.again;
        let exchange = self.window.iter_mut().find(wanted).ok_or("a PUBREL out of the blue")?;
        exchange.again = false;
        Ok(())
    }

    /// Forgets what is to be sent again and may not be.
    fn forget_lost(&mut self, rules: &Rules) {
        let window = std::mem::take(&mut self.window);
        let keep = |e: &Exchange| !e.again || e.released || self.may_have(&e.due, rules);
        self.window = window.into_iter().filter(keep).collect();
    }

    /// Nothing moves any more: whatever can be sent must have been.
    pub fn check_quiet(&mut self, rules: &Rules, now: u64) -> Result<(), String> {
        self.queue.retain(|due| !due.message.is_over(now));
        if self.online.is_none() {
            return Ok(());
        }
        if self.has_room() {
            self.forget_lost(rules);
            if let Some(exchange) = self.window.iter().find(|exchange| exchange.again) {
                return Err(format!("{} was not sent {} again", self.name(), exchange.due.describe()));
            }
            let queue = std::mem::take(&mut self.queue);
            let missing = queue.iter().find(|due| !due.doubtful && self.may_have(due, rules));
            return match missing {
                Some(due) => Err(format!("{} was never sent {}", self.name(), due.describe())),
                None => Ok(()),
            };
        }
        let lost: Vec<bool> = self.queue.iter().map(|due| !self.may_have(due, rules)).collect();
        self.queue.iter_mut().zip(lost).for_each(|(due, lost)| due.doubtful |= lost);
        Ok(())
    }

    pub fn name(&self) -> &'static str {
        CLIENTS[self.client]
    }
}
