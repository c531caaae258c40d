//! What must be there: subscriptions, retained messages and what is due to whom, without queues, windows and files.

use std::collections::BTreeMap;

use crate::support::Publish;

/// What is due to one client of one message.
#[derive(Clone, Debug, Default)]
struct Due {
    topic: String,
    /// Whether it must come, and how often it may if it comes at QoS 2 only.
    must: bool,
    most: usize,
    at_qos1: bool,
}

/// A session of a client, as it must be.
#[derive(Debug, Default)]
pub struct Session {
    /// Whether it is there; `None` while nobody knows.
    pub kept: Option<bool>,
    /// QoS by filter, and whether the subscription is sure.
    pub subscriptions: BTreeMap<&'static str, (u8, bool)>,
    /// By number and retain flag.
    due: BTreeMap<(u64, bool), Due>,
    /// The will of its present connection; whether the server is sure to publish it if that is lost.
    pub will: Option<Will>,
    /// The will of a connection that is being made.
    pub next_will: Option<Will>,
}

#[derive(Clone, Copy, Debug)]
pub struct Will {
    pub number: u64,
    pub qos: u8,
    pub sure: bool,
}

#[derive(Debug, Default)]
pub struct Model {
    pub sessions: Vec<Session>,
    /// By topic the number, and the QoS.
    retained: BTreeMap<String, (u64, u8)>,
    /// Messages to the share group: QoS, and whether they must come to somebody.
    shared: BTreeMap<u64, (u8, bool)>,
    numbers: u64,
}

/// What the members of the group share, and how they say it.
pub const SHARE: &str = "$share/g/share/+";
const SHARED: &str = "share/";

fn matches(filter: &str, topic: &str) -> bool {
    match filter.split_once(['+', '#']) {
        Some((start, _)) => topic.starts_with(start),
        None => filter == topic,
    }
}

impl Model {
    pub fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn members(&self) -> usize {
        self.sessions.iter().filter(|session| session.subscriptions.contains_key(SHARE)).count()
    }

    /// A message was published, for sure.
    pub fn published(&mut self, topic: &str, number: u64, qos: u8, retain: bool) {
        if retain {
            self.retained.insert(topic.to_owned(), (number, qos));
            for session in &mut self.sessions {
                session.superseded(topic, &self.retained);
            }
        }
        for session in &mut self.sessions {
            let fitting = session.subscriptions.iter().filter(|(filter, _)| matches(filter, topic));
            let (mut granted, mut sure) = (None, false);
            for (_, (qos, is_sure)) in fitting {
                granted = granted.max(Some(*qos));
                sure |= *is_sure;
            }
            if let Some(granted) = granted {
                session.expect((number, false), topic, qos.min(granted), sure, 1);
            }
        }
        let members = self.members();
        if topic.starts_with(SHARED) && members > 0 {
            let sure =
                self.sessions.iter().any(|s| s.subscriptions.get(SHARE).is_some_and(|(_, sure)| *sure));
            self.shared.insert(number, (qos, sure));
        }
    }

    /// The retained message of a topic was removed.
    pub fn cleared(&mut self, topic: &str) {
        self.retained.remove(topic);
        for session in &mut self.sessions {
            session.superseded(topic, &self.retained);
        }
    }

    /// A SUBSCRIBE was sent, and answered if it is `sure`.
    pub fn subscribed(&mut self, client: usize, filter: &'static str, qos: u8, sure: bool) {
        let session = &mut self.sessions[client];
        // Until it is answered an earlier one may still be in force.
        let (before, before_sure) = session.subscriptions.get(filter).copied().unwrap_or((qos, false));
        let granted = if sure { qos } else { qos.min(before) };
        session.subscriptions.insert(filter, (granted, sure || before_sure));
        if filter == SHARE {
            return;
        }
        for (topic, (number, published)) in &self.retained {
            if matches(filter, topic) {
                session.expect((*number, true), topic, qos.min(*published), sure, usize::from(!sure));
            }
        }
    }

    /// A session ended with all it held.
    pub fn ended(&mut self, client: usize) {
        self.sessions[client] = Session::default();
        let alone = self.members() == 0;
        for (qos, must) in self.shared.values_mut() {
            // What was on its way at QoS 2 is nobody's [MQTT-4.8.2-5].
            *must &= !alone && *qos == 1;
        }
    }

    /// What became of the wills of those who were connected when the server died.
    pub fn died(&mut self) {
        for client in 0..self.sessions.len() {
            let session = &mut self.sessions[client];
            for will in [session.will.take(), session.next_will.take()].into_iter().flatten() {
                self.will_published(client, will);
            }
        }
    }

    /// A will was published, or may have been.
    pub fn will_published(&mut self, client: usize, will: Will) {
        self.published(&format!("will/{client}"), will.number, will.qos, false);
        if !will.sure {
            for due in self.sessions.iter_mut().filter_map(|s| s.due.get_mut(&(will.number, false))) {
                due.must = false;
            }
        }
    }

    /// Whether a client got what was due to it by now: nothing else, at QoS 2 not twice, and in order.
    pub fn check(&self, client: usize, taken: &[Publish]) -> Result<(), String> {
        let mut counts: BTreeMap<(u64, bool), usize> = BTreeMap::new();
        let mut latest: BTreeMap<&str, u64> = BTreeMap::new();
        // What clears a retained message has no number.
        let numbered = |publish: &&Publish| {
            !publish.payload.is_empty()
                && !publish.topic.starts_with("mark/")
                && !publish.topic.starts_with(SHARED)
        };
        for publish in taken.iter().filter(numbered) {
            let number: u64 = publish.text().parse().expect("the payloads are numbers");
            let first = !counts.contains_key(&(number, publish.retain));
            *counts.entry((number, publish.retain)).or_default() += 1;
            // What was retained comes before what waits, however old that is.
            if first && !publish.retain {
                let latest = latest.entry(&publish.topic).or_default();
                if number < *latest {
                    return Err(format!("{number} in {} came after {latest}", publish.topic));
                }
                *latest = number;
            }
        }
        for ((number, retain), due) in &self.sessions[client].due {
            let count = counts.remove(&(*number, *retain)).unwrap_or(0);
            if due.must && count == 0 {
                return Err(format!("{number} (retained: {retain}) is lost"));
            }
            if !due.at_qos1 && count > due.most {
                return Err(format!("{number} (retained: {retain}) came {count} times, not {}", due.most));
            }
        }
        match counts.is_empty() {
            true => Ok(()),
            false => Err(format!("{counts:?} is not due")),
        }
    }

    /// Whether each message of the share group reached somebody, and at QoS 2 only one.
    pub fn check_shared(&self, taken: &[u64]) -> Result<(), String> {
        for (number, (qos, must)) in &self.shared {
            let count = taken.iter().filter(|taken| *taken == number).count();
            if *must && count == 0 {
                return Err(format!("{number} of the share group is lost"));
            }
            if *qos == 2 && count > 1 {
                return Err(format!("{number} of the share group came {count} times"));
            }
        }
        Ok(())
    }

    /// What is retained under these topics.
    pub fn retained(&self) -> BTreeMap<String, u64> {
        self.retained.iter().map(|(topic, (number, _))| (topic.clone(), *number)).collect()
    }
}

impl Session {
    fn expect(&mut self, key: (u64, bool), topic: &str, qos: u8, sure: bool, times: usize) {
        let due = self.due.entry(key).or_default();
        due.topic = topic.to_owned();
        due.must |= sure;
        due.at_qos1 |= qos == 1;
        due.most += times;
    }

    /// What is retained under a topic is another message now. One that was still owed at QoS 1 need not come any more,
    /// and the new one may.
    fn superseded(&mut self, topic: &str, retained: &BTreeMap<String, (u64, u8)>) {
        for ((_, retain), due) in &mut self.due {
            due.must &= !(*retain && due.at_qos1 && due.topic == topic);
        }
        if let Some((number, _)) = retained.get(topic)
            && self.subscriptions.keys().any(|filter| matches(filter, topic))
        {
            let due = self.due.entry((*number, true)).or_default();
            (due.topic, due.at_qos1) = (topic.to_owned(), true);
        }
    }
}
