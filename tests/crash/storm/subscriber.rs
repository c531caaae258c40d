//! A subscriber of everything, with a session that outlives its connections and the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::Shared;
use crate::random::Random;
use crate::receiver::Receiver;
use crate::support::{Client, Connect, Gone, Subscribe, Version};

/// What it got: for each topic the numbers, in their order.
pub type Received = BTreeMap<String, Vec<u64>>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// Reads and answers.
    Attentive,
    /// Answers late.
    Slow,
    /// Leaves in the middle of exchanges.
    Fickle,
    /// Comes back when all is over.
    Away,
}

pub struct Subscriber {
    connect: Connect,
    manner: Manner,
    random: Random,
    shared: Arc<Shared>,
    receiver: Receiver,
}

impl Subscriber {
    /// It has subscribed when this returns.
    pub fn new(version: Version, manner: Manner, random: Random, shared: Arc<Shared>) -> Self {
        let connect = Connect::new(version, &format!("{manner:?}")).keep_session();
        let (mut client, present) = shared.connect(&connect).expect("the storm has not begun");
        assert!(!present);
        assert_eq!(client.subscribe_all(&Subscribe::to("storm/#", 2)), [2]);
        client.disconnect();
        Self { connect, manner, random, shared, receiver: Receiver::default() }
    }

    /// Receives until the last message of the storm has come.
    pub fn run(mut self) -> Received {
        while self.manner == Manner::Away
            && !self.shared.closing.load(Ordering::Relaxed)
            && !self.shared.over.load(Ordering::Relaxed)
        {
            thread::park_timeout(Duration::from_millis(20));
        }
        while let Some((client, present)) = self.shared.connect(&self.connect) {
            assert!(present, "the session of the {:?} subscriber is gone", self.manner);
            if self.listen(client).is_none() {
                break;
            }
        }
        let mut received = Received::new();
        for publish in self.receiver.taken.iter().filter(|publish| publish.text() != "end") {
            let number = publish.text().parse().expect("the payloads are numbers");
            received.entry(publish.topic.clone()).or_default().push(number);
        }
        received
    }

    fn ended(&self) -> bool {
        self.receiver.taken.iter().any(|publish| publish.text() == "end")
    }

    /// `None` when all has come, else the connection is lost.
    fn listen(&mut self, mut client: Client) -> Option<()> {
        let mut late = Vec::new();
        client.set_read_timeout(Duration::from_millis(20));
        loop {
            match client.try_read() {
                Ok(packet) => {
                    if self.manner == Manner::Fickle && self.random.one_in(60) {
                        // Perhaps it took this packet in, perhaps it was lost on the way.
                        if self.random.one_in(2) {
                            self.receiver.take(&packet);
                        }
                        client.drop_connection();
                        return Some(());
                    }
                    let Some(answer) = self.receiver.take(&packet) else { continue };
                    late.extend(answer);
                    let held = self.manner == Manner::Slow && late.len() < 80;
                    if !held && !client.send_anyway(&std::mem::take(&mut late)) {
                        return Some(());
                    }
                }
                Err(Gone::TimedOut) => {
                    // The last message is here, and what was open before it is done: on a new connection that comes again.
                    let done = self.ended() && self.receiver.is_idle() && late.is_empty();
                    if done || self.shared.over.load(Ordering::Relaxed) {
                        return None;
                    }
                    if !late.is_empty() && !client.send_anyway(&std::mem::take(&mut late)) {
                        return Some(());
                    }
                }
                Err(Gone::Closed) => return Some(()),
            }
        }
    }
}
