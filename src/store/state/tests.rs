//! The file against a plain model: whatever is recorded, what is read back is what was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::broker::{Owed, SavedMessage, SavedSession, Subscription};
use crate::mqtt::{QoS, SubscriptionOptions, TopicFilter};
use crate::policy::Identity;

const CLIENTS: [&str; 2] = ["one", "two"];

/// One change, by small numbers.
#[derive(Clone, Debug)]
enum Step {
    Open { client: usize, fresh: bool },
    Park(usize),
    End(usize),
    Subscribe { client: usize, filter: u8, there: bool },
    Queue { client: usize, message: u8 },
    Number { client: usize, pick: usize },
    Settle { client: usize, pick: usize },
    Release { client: usize, pick: usize },
    Complete { client: usize, pick: usize },
    Receive { client: usize, id: u16, open: bool },
    Retain { topic: u8, message: Option<u8> },
    Write,
    Restart,
}

/// What must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Plain {
    sessions: BTreeMap<usize, Session>,
    retained: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Session {
    parked: bool,
    sent: u64,
    subscriptions: BTreeMap<String, Owed>,
    /// By number in the queue: packet identifier, and payload unless it was released.
    deliveries: BTreeMap<u64, (u16, Option<String>)>,
    received: BTreeSet<u16>,
}

fn identity(client: &str) -> Identity {
    Identity {
        client_id: client.into(),
        user: "u".into(),
        address: ([0, 0, 0, 0], 0).into(),
        listener: "l".into(),
        backend: Some("sqlite".into()),
        token: None,
        credential: Some(3),
        certificate: None,
    }
}

fn message(topic: &str, payload: &str) -> Arc<crate::broker::Message> {
    crate::broker::Message::for_tests(topic, payload, identity("author"))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = || 0..CLIENTS.len();
    let pick = || 0..4_usize;
    let step = prop_oneof![
        1 => (client(), any::<bool>()).prop_map(|(client, fresh)| Step::Open { client, fresh }),
        1 => client().prop_map(Step::Park),
        1 => client().prop_map(Step::End),
        1 => (client(), 0..3_u8, any::<bool>())
            .prop_map(|(client, filter, there)| Step::Subscribe { client, filter, there }),
        6 => (client(), 0..4_u8).prop_map(|(client, message)| Step::Queue { client, message }),
        2 => (client(), pick()).prop_map(|(client, pick)| Step::Number { client, pick }),
        4 => (client(), pick()).prop_map(|(client, pick)| Step::Settle { client, pick }),
        2 => (client(), pick()).prop_map(|(client, pick)| Step::Release { client, pick }),
        2 => (client(), pick()).prop_map(|(client, pick)| Step::Complete { client, pick }),
        1 => (client(), 1..4_u16, any::<bool>()).prop_map(|(client, id, open)| Step::Receive { client, id, open }),
        2 => (0..3_u8, prop::option::of(0..4_u8)).prop_map(|(topic, message)| Step::Retain { topic, message }),
        2 => Just(Step::Write),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..60)
}

/// The journal, what must be in it, and what it takes to tell it.
struct Run {
    directory: tempfile::TempDir,
    db: Option<StateDb>,
    plain: Plain,
    messages: Vec<Arc<crate::broker::Message>>,
    seq: u64,
}

impl Run {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (db, saved) = StateDb::open(directory.path()).unwrap();
        assert!(saved.messages.is_empty() && saved.sessions.is_empty());
        let messages = (0..4).map(|n| message("t", &n.to_string())).collect();
        Run { directory, db: Some(db), plain: Plain::default(), messages, seq: 0 }
    }

    fn record(&self, change: Change<'_>) {
        self.db.as_ref().unwrap().record(change);
    }

    /// The n-th delivery, released or not.
    fn delivery(&self, client: usize, pick: usize, released: bool) -> Option<(u64, u16)> {
        let session = self.plain.sessions.get(&client)?;
        let fits = session.deliveries.iter().filter(|(_, (_, payload))| payload.is_none() == released);
        fits.map(|(seq, (id, _))| (*seq, *id)).nth(pick)
    }

    fn step(&mut self, step: Step) {
        let names = CLIENTS.map(Arc::<str>::from);
        match step {
            Step::Open { client, fresh } => {
                let owner = identity(CLIENTS[client]);
                self.record(Change::Opened {
                    client: &names[client],
                    fresh,
                    owner: &owner,
                    expiry: 60,
                    inflight: 7,
                    will: None,
                });
                if fresh {
                    self.plain.sessions.remove(&client);
                }
                self.plain.sessions.entry(client).or_default().parked = false;
            }
            Step::Park(client) => {
                self.record(Change::Parked {
                    client: &names[client],
                    expiry: 60,
                    sent: self.seq,
                    will: None,
                });
                if let Some(session) = self.plain.sessions.get_mut(&client) {
                    (session.parked, session.sent) = (true, self.seq);
                }
            }
            Step::End(client) => {
                self.record(Change::Ended { client: &names[client] });
                self.plain.sessions.remove(&client);
            }
            Step::Subscribe { client, filter, there } => {
                let text: Arc<str> = format!("f/{filter}").into();
                let subscription = Subscription {
                    filter: TopicFilter::new(&text).unwrap(),
                    group: None,
                    options: SubscriptionOptions { no_local: true, ..Default::default() },
                    identifier: Some(7),
                };
                let (client, session) = (&names[client], self.plain.sessions.get_mut(&client));
                let owed = [Owed::Nothing, Owed::AtLeastOnce, Owed::Everything][self.seq as usize % 3];
                if let Some(session) = session {
                    session.subscriptions.remove(&*text);
                    session.subscriptions.extend(there.then(|| (text.to_string(), owed)));
                }
                self.record(match there {
                    true => Change::Subscribed { client, text: &text, subscription: &subscription, owed },
                    false => Change::Unsubscribed { client, text: &text },
                });
            }
            Step::Queue { client, message } => {
                self.seq += 1;
                self.record(Change::Queued {
                    client: &names[client],
                    seq: self.seq,
                    message: &self.messages[usize::from(message)],
                    qos: QoS::ExactlyOnce,
                    retain: false,
                    stored: true,
                    identifiers: &[1, 2],
                    share: None,
                });
                if let Some(session) = self.plain.sessions.get_mut(&client) {
                    session.deliveries.insert(self.seq, (0, Some(message.to_string())));
                }
            }
            Step::Number { client, pick } | Step::Release { client, pick } => {
                let Some((seq, _)) = self.delivery(client, pick, false) else { return };
                let (client_id, id) = (&names[client], seq as u16);
                let released = matches!(step, Step::Release { .. });
                self.record(match released {
                    true => Change::Released { client: client_id, seq, id },
                    false => Change::Numbered { client: client_id, seq, id },
                });
                let entry =
                    self.plain.sessions.get_mut(&client).and_then(|s| s.deliveries.get_mut(&seq)).unwrap();
                entry.0 = id;
                if released {
                    entry.1 = None;
                }
            }
            Step::Settle { client, pick } => {
                let Some((seq, _)) = self.delivery(client, pick, false) else { return };
                self.record(Change::Settled { client: &names[client], seq });
                self.plain.sessions.get_mut(&client).unwrap().deliveries.remove(&seq);
            }
            Step::Complete { client, pick } => {
                let Some((seq, id)) = self.delivery(client, pick, true) else { return };
                self.record(Change::Completed { client: &names[client], id });
                self.plain.sessions.get_mut(&client).unwrap().deliveries.remove(&seq);
            }
            Step::Receive { client, id, open } => {
                self.record(Change::Received { client: &names[client], id, open });
                if let Some(session) = self.plain.sessions.get_mut(&client) {
                    session.received.remove(&id);
                    session.received.extend(open.then_some(id));
                }
            }
            Step::Retain { topic, message } => {
                let topic: Arc<str> = format!("r/{topic}").into();
                let kept = message.map(|n| self::message(&topic, &n.to_string()));
                self.record(Change::Retained { topic: &topic, message: kept.as_ref() });
                self.plain.retained.remove(&*topic);
                self.plain.retained.extend(message.map(|n| (topic.to_string(), n.to_string())));
            }
            Step::Write => wait(self.db.as_ref().unwrap().commit()),
            Step::Restart => self.restart(),
        }
    }

    fn restart(&mut self) {
        self.db.take().unwrap().close();
        let (db, saved) = StateDb::open(self.directory.path()).unwrap();
        assert_eq!(plain(&saved), self.plain);
        self.db = Some(db);
        // The messages of before are others now.
        self.messages = (0..4).map(|n| message("t", &n.to_string())).collect();
    }
}

fn wait(mut ticket: Ticket) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(std::future::poll_fn(|cx| ticket.poll(cx))).unwrap();
}

fn plain(saved: &Saved) -> Plain {
    let payload = |message: &SavedMessage| String::from_utf8(message.payload.to_vec()).unwrap();
    let session = |saved_session: &SavedSession| Session {
        parked: saved_session.gone.is_some(),
        sent: saved_session.sent,
        subscriptions: saved_session
            .subscriptions
            .iter()
            .map(|(text, _, owed)| (text.to_string(), *owed))
            .collect(),
        deliveries: saved_session
            .deliveries
            .iter()
            .map(|d| (d.seq, (d.packet_id, d.message.map(|at| payload(&saved.messages[at])))))
            .collect(),
        received: saved_session.incoming.iter().copied().collect(),
    };
    let number = |s: &SavedSession| CLIENTS.iter().position(|name| *name == &*s.owner.client_id).unwrap();
    Plain {
        sessions: saved.sessions.iter().map(|s| (number(s), session(s))).collect(),
        retained: saved
            .retained
            .iter()
            .map(|&at| (saved.messages[at].topic.to_string(), payload(&saved.messages[at])))
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_read_back_is_what_was_recorded(steps in steps()) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        run.restart();
        // Nothing is left that nothing needs.
        run.db.take().unwrap().close();
        let (_db, saved) = StateDb::open(run.directory.path()).unwrap();
        let needed: BTreeSet<usize> = saved.sessions.iter().flat_map(|s| s.deliveries.iter().filter_map(|d| d.message))
            .chain(saved.retained.iter().copied()).collect();
        prop_assert_eq!(needed.len(), saved.messages.len());
    }
}

#[test]
fn a_message_that_was_delivered_before_it_was_written_is_never_written() {
    let mut run = Run::new();
    run.step(Step::Open { client: 0, fresh: true });
    run.step(Step::Write);
    let before = run.db.as_ref().unwrap().written().commits;
    run.step(Step::Queue { client: 0, message: 1 });
    run.step(Step::Settle { client: 0, pick: 0 });
    run.step(Step::Write);
    assert_eq!(run.db.as_ref().unwrap().written().commits, before);
}

#[test]
fn a_damaged_file_is_set_aside_and_begun_anew() {
    let run = Run::new();
    let path = run.directory.path().join(StateDb::FILE);
    drop(run.db);
    std::fs::write(&path, "not a database, whatever it may have been before".repeat(200)).unwrap();
    let (_db, saved) = StateDb::open(run.directory.path()).unwrap();
    assert!(saved.sessions.is_empty());
    let names = std::fs::read_dir(run.directory.path()).unwrap().map(|file| file.unwrap().file_name());
    let aside = names.filter(|name| name.to_string_lossy().starts_with("state.db.damaged-")).count();
    assert_eq!(aside, 1);
}
