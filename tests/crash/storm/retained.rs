//! One speaker whose retained messages count upwards: whoever asks gets one at least as late as the last that
//! was acknowledged before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use crate::support::{Client, Connect, Packet, Publish, Subject, Subscribe, Version};

const TOPICS: usize = 3;

/// For each topic the largest number that was acknowledged; 0: none.
pub type Spoken = Arc<[AtomicU64; TOPICS]>;

pub struct Speaker {
    shared: Arc<Shared>,
    pub spoken: Spoken,
}

impl Speaker {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, spoken: Arc::default() }
    }

    pub fn run(self) {
        let connect = Connect::new(Version::V311, "speaker");
        let mut number = 1;
        while !self.shared.closing.load(Ordering::Relaxed) {
            let Some((mut client, _)) = self.shared.connect(&connect) else { return };
            while !self.shared.closing.load(Ordering::Relaxed) {
                let topic = number as usize % TOPICS;
                let publish =
                    Publish::to(&format!("last/{topic}")).qos(1).retain().id(1).payload(number.to_string());
                if !client.send_anyway(&publish.encode(client.version)) {
                    break;
                }
                let Ok(Packet::PubAck { id: 1, .. }) = client.try_read() else { break };
                self.spoken[topic].store(number, Ordering::SeqCst);
                number += 1;
            }
            // What was not acknowledged may be there all the same: the next is larger.
            number += TOPICS as u64;
        }
    }
}

/// Asks a server that has just been started; `may_die` if it may end meanwhile.
pub fn check(subject: &Subject, spoken: &Spoken, may_die: bool) {
    let least = [0, 1, 2].map(|topic| spoken[topic].load(Ordering::SeqCst));
    let Some(found) = ask(subject) else {
        assert!(may_die, "the server ended while it was asked for retained messages");
        return;
    };
    for (topic, least) in least.into_iter().enumerate() {
        let found = found[topic];
        assert!(found >= least, "retained in last/{topic}: {found}, though {least} was acknowledged");
    }
}

fn ask(subject: &Subject) -> Option<[u64; TOPICS]> {
    let stream = std::net::TcpStream::connect(("127.0.0.1", subject.port())).ok()?;
    let mut client = Client::over(stream, Version::V311);
    client.client_id = "asker".into();
    client.send_anyway(&Connect::v311("asker").encode()).then_some(())?;
    let Ok(Packet::ConnAck { code: 0, .. }) = client.try_read() else { return None };
    let both = Subscribe::to("last/+", 0).and("asked", 0).encode(client.version, 1);
    client.send_anyway(&both).then_some(())?;
    let mut found = [0; TOPICS];
    loop {
        match client.try_read().ok()? {
            Packet::Publish(publish) if publish.topic == "asked" => return Some(found),
            Packet::Publish(publish) => {
                let topic: usize = publish.topic["last/".len()..].parse().expect("topics are numbered");
                found[topic] = publish.text().parse().expect("payloads are numbers");
            }
            // What is retained comes before what is published from now on.
            Packet::SubAck { .. } => {
                client.send_anyway(&Publish::to("asked").encode(client.version)).then_some(())?;
            }
            _ => {}
        }
    }
}
