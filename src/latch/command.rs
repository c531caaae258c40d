//! What can be done with pairings, from the command line and over MQTT alike: at the service, then in the store.

use std::sync::Arc;

use super::{Client, Error, Fault, Id, Instance, Pairing, PairingError, PairingStore, Token};

/// Instances a user may have: each costs a request a poll.
const MOST_INSTANCES: usize = 50;
/// Longest topic filter of an instance, in bytes: the phone shows it as a name.
const LONGEST: usize = 256;

/// What is to be done for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Pair the phone that shows the token.
    Pair(Token),
    /// End the pairing.
    Unpair,
    /// Give the phone a lock for this topic filter, which was checked to be one.
    CreateInstance(String),
    /// Take it away.
    RemoveInstance(String),
}

/// What it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, in words.
    Done(&'static str),
    /// Not done: what was asked cannot be.
    Refused(&'static str),
    /// Not done: the service says no, or nothing.
    Service(Error),
    /// Not done: it could not be kept.
    Store(PairingError),
}

/// Does what is asked.
#[derive(Clone)]
pub struct Performer {
    client: Client,
    store: Arc<dyn PairingStore>,
}

impl Performer {
    /// What works on these.
    pub fn new(client: Client, store: Arc<dyn PairingStore>) -> Self {
        Performer { client, store }
    }

    /// Does it. `is_trusted`: an operator asks, not the user itself; a user can end its pairing only while it is open.
    pub async fn perform(&self, user: &str, command: Command, is_trusted: bool) -> Outcome {
        let result = match command {
            Command::Pair(token) => self.pair(user, &token).await,
            Command::Unpair => self.unpair(user, is_trusted).await,
            Command::CreateInstance(topic) => self.create_instance(user, &topic).await,
            Command::RemoveInstance(topic) => self.remove_instance(user, &topic).await,
        };
        result.unwrap_or_else(|outcome| outcome)
    }

    async fn pair(&self, user: &str, token: &Token) -> Result<Outcome, Outcome> {
        if let Some(account) = self.pairing(user).await?.and_then(|pairing| pairing.account) {
            // A pairing that the phone has ended may be replaced; any other answer, or none, leaves it.
            match self.client.status(&account, None, None).await {
                Err(error) if error.fault() == Fault::Unpaired => {}
                _ => return Ok(Outcome::Refused("the user is paired already: unpair first")),
            }
        }
        let paired = self.client.pair(token).await.map_err(Outcome::Service)?;
        let (owner, account) = (user.to_owned(), paired.account.clone());
        if let Err(outcome) = self.keep(move |store| store.pair(&owner, &account)).await {
            // Else the phone would show a pairing that nobody knows of.
            if !paired.already {
                let _ = self.client.unpair(&paired.account).await;
            }
            return Err(outcome);
        }
        Ok(Outcome::Done("paired"))
    }

    async fn unpair(&self, user: &str, is_trusted: bool) -> Result<Outcome, Outcome> {
        let Some(pairing) = self.pairing(user).await? else { return Ok(not_paired()) };
        if let Some(account) = &pairing.account {
            if !is_trusted && !self.client.status(account, None, None).await.map_err(Outcome::Service)?.on {
                return Ok(Outcome::Refused("the latch is closed: open it on the phone first"));
            }
            // One phone can stand for several users; the account goes with the last of them.
            if !self.is_shared(user, account).await? {
                self.client.unpair(account).await.map_err(Outcome::Service)?;
            }
        }
        self.forget(user).await
    }

    /// Forgets a pairing here only, for when the service cannot be reached or knows nothing of it.
    pub async fn forget(&self, user: &str) -> Result<Outcome, Outcome> {
        let owner = user.to_owned();
        match self.keep(move |store| store.unpair(&owner)).await? {
            true => Ok(Outcome::Done("unpaired")),
            false => Ok(not_paired()),
        }
    }

    async fn create_instance(&self, user: &str, topic: &str) -> Result<Outcome, Outcome> {
        if topic.is_empty() || topic.len() > LONGEST || topic.chars().any(char::is_control) {
            return Ok(Outcome::Refused("not a topic filter of 1 to 256 bytes without control characters"));
        }
        let Some(pairing) = self.pairing(user).await? else { return Ok(not_paired()) };
        if pairing.instances.iter().any(|instance| instance.topic == topic) {
            return Ok(Outcome::Refused("the user has an instance for that topic already"));
        }
        if pairing.instances.len() >= MOST_INSTANCES {
            return Ok(Outcome::Refused("the user has 50 instances, which is the most"));
        }
        let Some(account) = pairing.account else { return Ok(not_paired()) };
        let id = self.client.create_instance(&account, topic).await.map_err(Outcome::Service)?;
        let (owner, instance) = (user.to_owned(), Instance { id: id.clone(), topic: topic.to_owned() });
        if let Err(outcome) = self.keep(move |store| store.add_instance(&owner, &instance)).await {
            let _ = self.client.delete_instance(&account, &id).await;
            return Err(outcome);
        }
        Ok(Outcome::Done("instance created"))
    }

    async fn remove_instance(&self, user: &str, topic: &str) -> Result<Outcome, Outcome> {
        let Some(pairing) = self.pairing(user).await? else { return Ok(not_paired()) };
        let Some(instance) = pairing.instances.iter().find(|instance| instance.topic == topic) else {
            return Ok(Outcome::Refused("the user has no instance for that topic"));
        };
        if let Some(account) = &pairing.account {
            match self.client.delete_instance(account, &instance.id).await {
                Err(error) if error.fault() != Fault::Unpaired => return Err(Outcome::Service(error)),
                _ => {}
            }
        }
        let (owner, topic) = (user.to_owned(), topic.to_owned());
        self.keep(move |store| store.remove_instance(&owner, &topic)).await?;
        Ok(Outcome::Done("instance removed"))
    }

    async fn pairing(&self, user: &str) -> Result<Option<Pairing>, Outcome> {
        let pairings = self.keep(|store| store.load()).await?;
        Ok(pairings.into_iter().find(|pairing| pairing.user == user))
    }

    async fn is_shared(&self, user: &str, account: &Id) -> Result<bool, Outcome> {
        let pairings = self.keep(|store| store.load()).await?;
        Ok(pairings.iter().any(|other| other.user != user && other.account.as_ref() == Some(account)))
    }

    /// Works on the store off the async threads.
    async fn keep<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn PairingStore) -> Result<T, PairingError> + Send + 'static,
    ) -> Result<T, Outcome> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&*store)).await;
        let broken = |error: tokio::task::JoinError| PairingError { what: error.to_string() };
        done.map_err(broken).and_then(|result| result).map_err(Outcome::Store)
    }
}

fn not_paired() -> Outcome {
    Outcome::Refused("the user is not paired")
}

impl Outcome {
    /// What the user itself is told: without what only concerns the operator.
    pub fn for_user(&self) -> &'static str {
        match self {
            Outcome::Done(words) | Outcome::Refused(words) => words,
            Outcome::Service(error) => match (error.code(), error.fault()) {
                (Some(206), _) => "the token is wrong or its time has passed: let the app show a new one",
                (_, Fault::Unpaired) => "the phone has ended the pairing: pair anew",
                (_, Fault::NotAnswering) => "the Latch service does not answer: try again later",
                _ => "the Latch service refuses it: ask the operator",
            },
            Outcome::Store(_) => "it could not be kept: ask the operator",
        }
    }

    /// Whether it was done.
    pub fn is_done(&self) -> bool {
        matches!(self, Outcome::Done(_))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Done(words) | Outcome::Refused(words) => f.write_str(words),
            Outcome::Service(error) => write!(f, "{error}"),
            Outcome::Store(error) => write!(f, "{error}"),
        }
    }
}
