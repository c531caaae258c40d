//! The model: MQTT as one would explain it, without sockets, tasks, queues or caches.

use std::{collections::BTreeMap, rc::Rc};

use latchgate::mqtt::{QoS, ReasonCode, Version};

use crate::{
    message::{Due, Message},
    operation::{Hello, Publish, Will},
    rules::{Rules, matches},
    session::{Online, Session, Subscription},
    shared::Pool,
    wire::Seen,
    world::INFLIGHT,
};

/// Everything a broker should remember.
pub struct Model {
    /// Milliseconds since the beginning.
    pub now: u64,
    pub rules: Rules,
    pub sessions: BTreeMap<usize, Session>,
    pub pool: Pool,
    /// What each connection must see, deliveries aside; the last thing is `Seen::Closed`.
    pub expected: BTreeMap<usize, Vec<Seen>>,
    pub retained: BTreeMap<&'static str, Rc<Message>>,
    messages: u32,
}

impl Model {
    pub fn new() -> Self {
        Model {
            now: 0,
            rules: Rules::new(),
            sessions: BTreeMap::new(),
            pool: Pool::default(),
            expected: BTreeMap::new(),
            retained: BTreeMap::new(),
            messages: 0,
        }
    }

    /// The number of the next message.
    pub fn next_message(&mut self) -> u32 {
        self.messages += 1;
        self.messages
    }

    fn expect(&mut self, wire: usize, seen: Seen) {
        self.expected.entry(wire).or_default().push(seen);
    }

    /// A CONNECT on a new connection; `will` is the number of its will's message.
    pub fn connect(&mut self, wire: usize, client: usize, user: usize, hello: &Hello, will: u32) {
        let may_leave = |will: &Will| self.rules.may_publish(user, client, will.topic);
        let taken = |s: &Session| s.user != user;
        if !self.rules.is_enabled(user)
            || !hello.will.as_ref().is_none_or(may_leave)
            || self.sessions.get(&client).is_some_and(taken)
        {
            self.expect(wire, Seen::ConnAck { present: false, reason: ReasonCode::NotAuthorized });
            return self.expect(wire, Seen::Closed);
        }
        self.end_connection(client, true, Some(ReasonCode::SessionTakenOver));
        let present = self.sessions.get(&client).is_some_and(|_| !hello.clean);
        if !present {
            self.end_session(client);
        }
        self.expect(wire, Seen::ConnAck { present, reason: ReasonCode::Success });
        let keep_alive = u64::from(hello.keep_alive);
        let online = Online {
            wire,
            version: hello.version,
            limit: usize::from(hello.receive_maximum.unwrap_or(INFLIGHT).min(INFLIGHT)),
            expiry: hello.expiry,
            patience: (keep_alive > 0).then_some(keep_alive * 1500),
            last_packet: self.now,
            will: hello.will.clone().map(|hello| (will, hello)),
        };
        let session = self.sessions.entry(client).or_insert_with(|| Session::new(client, user));
        (session.online, session.ends, session.will) = (Some(online), None, None);
        session.expiry = hello.expiry;
        session.resume();
        self.review(client);
    }

    /// The end of a client's connection, if it has one. `reason`: it was the broker that ended it.
    pub fn end_connection(&mut self, client: usize, with_will: bool, reason: Option<ReasonCode>) {
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let Some(online) = &mut session.online else { return };
        let (wire, v5, expiry) = (online.wire, online.version == Version::V5, session.expiry);
        // A will waits for its delay or the end of the session, whichever is first [MQTT-3.1.2-8].
        let will = online.will.take().filter(|_| with_will);
        let (now, later): (Option<_>, Option<_>) = match will {
            Some((number, will)) if will.delay.min(expiry) > 0 => {
                (None, Some((self.now + u64::from(will.delay.min(expiry)) * 1000, (number, will))))
            }
            will => (will, None),
        };
        if let Some(will) = now {
            self.publish_will(client, will);
        }
        if let Some(reason) = reason {
            if v5 {
                self.expect(wire, Seen::Disconnect(reason));
            }
            self.expect(wire, Seen::Closed);
        }
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.online = None;
        session.will = later;
        session.ends = (expiry != u32::MAX).then_some(self.now + u64::from(expiry) * 1000);
        // Retained messages of a subscription may still come, as what was live at QoS 0 must not.
        session.queue.retain(|due| due.qos != QoS::AtMostOnce || due.stored.is_some());
        let unsure = session.queue.iter_mut().filter(|due| due.qos == QoS::AtMostOnce);
        unsure.for_each(|due| due.doubtful = true);
        self.pool.leave(client);
        if expiry == 0 {
            self.end_session(client);
        }
    }

    /// The end of a session, with a will that was still waiting [MQTT-3.1.3-9].
    pub fn end_session(&mut self, client: usize) {
        let will = self.sessions.get_mut(&client).and_then(|session| session.will.take());
        if let Some((_, will)) = will {
            self.publish_will(client, will);
        }
        let ended = self.sessions.remove(&client);
        self.pool.end(client);
        // What it had not acknowledged at QoS 1 is another member's, at QoS 2 nobody's [MQTT-4.8.2-5].
        for exchange in ended.into_iter().flat_map(|session| session.window) {
            if let Some((group, filter)) = exchange.due.share
                && exchange.due.qos == QoS::AtLeastOnce
            {
                // Its group may be another one by now, which is not told of it.
                self.pool.publish(&exchange.due.message, group, filter, &self.sessions);
                self.pool.doubt_last();
            }
        }
    }

    fn publish_will(&mut self, client: usize, (number, will): (u32, Will)) {
        let Some(session) = self.sessions.get(&client) else { return };
        let author = (session.user, client);
        if self.rules.may_publish(author.0, client, will.topic) {
            let Will { topic, qos, retain, .. } = will;
            self.route(Message { number, topic, qos, retain, empty: false, expires: None, author });
        }
    }

    /// A PUBLISH of a connected client; the packet identifier it was sent with.
    pub fn publish(&mut self, client: usize, id: u16, number: u32, publish: &Publish) {
        let Publish { topic, qos, retain, empty, expiry } = publish.clone();
        let (user, wire, version) = self.who(client);
        let v5 = version == Version::V5;
        let expires = expiry.filter(|_| v5).map(|seconds| self.now + u64::from(seconds) * 1000);
        let message = Message { number, topic, qos, retain, empty, expires, author: (user, client) };
        let kept = Rc::new(Message { ..message });
        let permitted = self.rules.may_publish(user, client, topic);
        let matched = permitted && self.route(message);
        let reason = match (v5, permitted, matched) {
            (true, false, _) => ReasonCode::NotAuthorized,
            (true, true, false) => ReasonCode::NoMatchingSubscribers,
            _ => ReasonCode::Success,
        };
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.expect(wire, Seen::PubAck(id, reason)),
            QoS::ExactlyOnce => {
                self.expect(wire, Seen::PubRec(id, reason));
                if let Some(session) = self.sessions.get_mut(&client).filter(|_| permitted || !v5) {
                    session.incoming.insert(id, kept);
                }
            }
        }
    }

    /// User, connection and version of a connected client.
    pub fn who(&self, client: usize) -> (usize, usize, Version) {
        let session = &self.sessions[&client];
        let online = session.online.as_ref().expect("it is connected");
        (session.user, online.wire, online.version)
    }

    /// Gives a message to everybody it is for; whether anybody subscribes to it.
    fn route(&mut self, message: Message) -> bool {
        let message = Rc::new(message);
        let Message { topic, qos, retain, empty, author: (_, author), .. } = *message;
        match (retain, empty) {
            (false, _) => {}
            (true, true) => drop(self.retained.remove(topic)),
            (true, false) => drop(self.retained.insert(topic, message.clone())),
        }
        let mut groups: Vec<(&'static str, &'static str)> = Vec::new();
        let mut matched = false;
        for (client, session) in &mut self.sessions {
            let fitting: Vec<&Subscription> =
                session.subscriptions.values().filter(|s| matches(s.filter, topic)).collect();
            groups.extend(fitting.iter().filter_map(|s| Some((s.group?, s.filter))));
            let plain = fitting.iter().filter(|s| s.group.is_none());
            let plain: Vec<_> = plain.filter(|s| !(s.options.no_local && *client == author)).collect();
            // However many subscriptions overlap: one delivery, at the highest QoS, with every identifier.
            let Some(granted) = plain.iter().map(|s| s.options.qos).max() else { continue };
            matched = true;
            let mut identifiers: Vec<u32> = plain.iter().filter_map(|s| s.identifier).collect();
            identifiers.sort_unstable();
            let due = Due {
                message: message.clone(),
                qos: qos.min(granted),
                retain: retain && plain.iter().any(|s| s.options.retain_as_published),
                identifiers,
                stored: None,
                share: None,
                doubtful: false,
            };
            if session.online.is_some() || due.qos != QoS::AtMostOnce {
                session.queue.push(due);
            }
        }
        groups.sort_unstable();
        groups.dedup();
        for (group, filter) in &groups {
            self.pool.publish(&message, group, filter, &self.sessions);
        }
        matched || !groups.is_empty()
    }

    /// When something next falls due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.sessions.values().flat_map(Session::deadlines).min()
    }

    /// Does what falls due now: keep alives, delayed wills, sessions that expire.
    pub fn fall_due(&mut self) {
        for client in self.sessions.keys().copied().collect::<Vec<_>>() {
            let now = self.now;
            let Some(session) = self.sessions.get_mut(&client) else { continue };
            if session.online.as_ref().and_then(Online::silent_at).is_some_and(|at| at <= now) {
                self.end_connection(client, true, Some(ReasonCode::KeepAliveTimeout));
            } else if session.online.is_none() {
                if let Some((_, will)) = session.will.take_if(|(at, _)| *at <= now) {
                    self.publish_will(client, will);
                }
                if self.sessions[&client].ends.is_some_and(|at| at <= now) {
                    self.end_session(client);
                }
            }
        }
    }
}
