//! A session's delivery state under any sequence of operations, against a plain model.
//!
//! Input: three bytes an operation: which one, and two for its argument.

use latchgate::mqtt::QoS;
use latchgate::session::{AliasError, Aliases, Incoming, Outgoing, PubRec, Resend, UnknownId};

pub fn check(input: &[u8]) {
    let mut session = Session::default();
    for operation in input.chunks_exact(3).take(400) {
        session.apply(operation[0], u16::from_be_bytes([operation[1], operation[2]]));
        session.compare();
    }
}

/// What the model knows of one exchange, in the order of the first sending.
#[derive(Clone, Debug)]
struct Exchange {
    id: u16,
    qos: QoS,
    message: u32,
    /// PUBREC has come.
    released: bool,
    /// Sent (as PUBLISH or PUBREL) on this connection.
    sent: bool,
    /// Its PUBLISH was sent on this connection.
    counted: bool,
}

struct Session {
    outgoing: Outgoing<u32>,
    exchanges: Vec<Exchange>,
    limit: usize,
    messages: u32,
    /// What is left of the work for going round all identifiers.
    patience: u32,
    incoming: Incoming,
    received: Vec<u16>,
    aliases: Aliases,
    topics: Vec<(u16, String)>,
    alias_maximum: u16,
}

impl Default for Session {
    fn default() -> Self {
        Session {
            outgoing: Outgoing::default(),
            exchanges: Vec::new(),
            limit: 0,
            messages: 0,
            patience: 70_000,
            incoming: Incoming::default(),
            received: Vec::new(),
            aliases: Aliases::new(0),
            topics: Vec::new(),
            alias_maximum: 0,
        }
    }
}

impl Session {
    fn apply(&mut self, operation: u8, argument: u16) {
        let [high, low] = argument.to_be_bytes();
        match operation % 14 {
            0 => self.connect(argument),
            1 => self.connect(argument % 8),
            2 | 3 => self.send(if low & 1 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce }),
            4 => self.resend(),
            5 => self.puback(self.chosen(argument)),
            6 => self.pubrec(self.chosen(argument), false),
            7 => self.pubrec(self.chosen(argument), true),
            8 => self.pubcomp(self.chosen(argument)),
            9 => self.forget(self.chosen(argument)),
            10 => self.go_round(argument),
            11 => self.receive(u16::from(low), high & 1 == 0),
            12 => self.resolve(u16::from(high % 8), low),
            _ => {
                self.alias_maximum = u16::from(low % 8);
                self.aliases = Aliases::new(self.alias_maximum);
                self.topics.clear();
            }
        }
    }

    /// An identifier that is in use, mostly; else any.
    fn chosen(&self, argument: u16) -> u16 {
        match usize::from(argument >> 1) % (self.exchanges.len() + 1) {
            at if argument & 1 == 0 && at < self.exchanges.len() => self.exchanges[at].id,
            _ => argument,
        }
    }

    fn position(&self, id: u16, wanted: impl Fn(&Exchange) -> bool) -> Option<usize> {
        self.exchanges.iter().position(|exchange| exchange.id == id && wanted(exchange))
    }

    fn in_flight(&self) -> usize {
        self.exchanges.iter().filter(|exchange| exchange.counted).count()
    }

    fn room(&self) -> bool {
        self.in_flight() < self.limit && self.exchanges.len() < 2 * self.limit
    }

    fn connect(&mut self, limit: u16) {
        self.outgoing.connected(limit, usize::MAX);
        self.limit = usize::from(limit).min(4096);
        for exchange in &mut self.exchanges {
            (exchange.sent, exchange.counted) = (false, false);
        }
    }

    fn send(&mut self, qos: QoS) {
        let all_sent = self.exchanges.iter().all(|exchange| exchange.sent);
        // A window of thousands makes every step slow and finds nothing more.
        if !self.room() || !all_sent || self.exchanges.len() > 200 {
            return;
        }
        self.messages += 1;
        let id = self.outgoing.identify(0);
        self.outgoing.send(qos, self.messages, 1, id);
        assert_ne!(id, 0);
        assert_eq!(self.position(id, |_| true), None, "identifier {id} is in use already");
        let message = self.messages;
        self.exchanges.push(Exchange { id, qos, message, released: false, sent: true, counted: true });
    }

    fn resend(&mut self) {
        let quota = self.in_flight() < self.limit;
        let expected = match self.exchanges.iter_mut().find(|exchange| !exchange.sent) {
            Some(exchange) if exchange.released => {
                exchange.sent = true;
                Some(Resend::Release(exchange.id))
            }
            Some(exchange) if quota => {
                (exchange.sent, exchange.counted) = (true, true);
                Some(Resend::Publish(exchange.id, exchange.qos, exchange.message))
            }
            _ => None,
        };
        assert_eq!(self.outgoing.resend(), expected);
    }

    fn puback(&mut self, id: u16) {
        let at = self.position(id, |exchange| exchange.qos == QoS::AtLeastOnce);
        let expected = at.map(|at| self.exchanges.remove(at).message).ok_or(UnknownId);
        assert_eq!(self.outgoing.puback(id), expected, "PUBACK {id}");
    }

    fn pubrec(&mut self, id: u16, refused: bool) {
        let expected = match self.position(id, |exchange| exchange.qos == QoS::ExactlyOnce) {
            None => Err(UnknownId),
            Some(at) if self.exchanges[at].released && refused => {
                self.exchanges.remove(at);
                Err(UnknownId)
            }
            Some(at) if self.exchanges[at].released => Ok(PubRec::ReleaseAgain),
            Some(at) if refused => Ok(PubRec::Refused(self.exchanges.remove(at).message)),
            Some(at) => {
                // The answer is the PUBREL: nothing of it is left to send again.
                (self.exchanges[at].released, self.exchanges[at].sent) = (true, true);
                Ok(PubRec::Release(self.exchanges[at].message))
            }
        };
        assert_eq!(self.outgoing.pubrec(id, refused), expected, "PUBREC {id}");
    }

    fn pubcomp(&mut self, id: u16) {
        let at = self.position(id, |exchange| exchange.released);
        if let Some(at) = at {
            self.exchanges.remove(at);
        }
        assert_eq!(self.outgoing.pubcomp(id), at.map(|_| ()).ok_or(UnknownId), "PUBCOMP {id}");
    }

    fn forget(&mut self, id: u16) {
        if let Some(at) = self.position(id, |exchange| !exchange.released) {
            self.exchanges.remove(at);
        }
        self.outgoing.forget(id);
    }

    /// Sends and acknowledges many messages, so that identifiers come round while old ones are open.
    fn go_round(&mut self, times: u16) {
        for _ in 0..u32::from(times).min(self.patience) {
            self.patience -= 1;
            let before = self.exchanges.len();
            self.send(QoS::AtLeastOnce);
            if self.exchanges.len() == before {
                return;
            }
            self.puback(self.exchanges[before].id);
        }
    }

    fn receive(&mut self, id: u16, publish: bool) {
        let known = self.received.contains(&id);
        assert_eq!(self.incoming.holds(id), known);
        if publish {
            assert_eq!(self.incoming.receive(id), !known, "PUBLISH {id}");
        } else {
            assert_eq!(self.incoming.release(id), known, "PUBREL {id}");
        }
        self.received.retain(|other| *other != id);
        if publish {
            self.received.push(id);
        }
    }

    fn resolve(&mut self, alias: u16, name: u8) {
        let topic = if name.is_multiple_of(3) { String::new() } else { format!("topic/{name}") };
        let known = self.topics.iter().position(|(other, _)| *other == alias);
        let expected = match known {
            _ if alias == 0 || alias > self.alias_maximum => Err(AliasError::OutOfRange),
            None if topic.is_empty() => Err(AliasError::Unknown),
            Some(at) if topic.is_empty() => Ok(self.topics[at].1.clone()),
            _ => {
                self.topics.retain(|(other, _)| *other != alias);
                self.topics.push((alias, topic.clone()));
                Ok(topic.clone())
            }
        };
        assert_eq!(self.aliases.resolve(alias, &topic).map(|topic| topic.to_string()), expected);
    }

    fn compare(&self) {
        let unsent = self.exchanges.iter().find(|exchange| !exchange.sent);
        assert_eq!(self.outgoing.len(), self.exchanges.len());
        assert_eq!(self.outgoing.is_empty(), self.exchanges.is_empty());
        assert_eq!(self.outgoing.has_room(), self.room());
        assert_eq!(self.outgoing.must_resend(), unsent.is_some());
        let can = unsent.is_some_and(|exchange| exchange.released || self.in_flight() < self.limit);
        assert_eq!(self.outgoing.can_resend(), can);
        assert!(self.in_flight() <= self.limit, "more in flight than the receive maximum");
        assert_eq!(self.incoming.open(), self.received.len());
        assert!(self.received.iter().all(|id| self.incoming.holds(*id)));
    }
}
