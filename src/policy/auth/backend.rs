//! What is asked of a backend elsewhere, and what it may answer.

use std::{fmt, future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use super::{filters::Filters, password::SaltReading, token::Granted};
use crate::clock;
use crate::policy::{acl::Access, certificate::Shown, policy::Secret};

/// What a backend says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Yes; nobody else is asked.
    Allow,
    /// No; nobody else is asked.
    Deny,
    /// It does not know: the next one is asked.
    Unknown,
}

/// Whom a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// User name, as this backend is told it.
    pub user: Arc<str>,
    /// Client identifier.
    pub client_id: Arc<str>,
    /// Where it comes from; unspecified if it is not connected.
    pub address: SocketAddr,
    /// The listener it came in by; empty if it is not connected.
    pub listener: Arc<str>,
    /// Whether it brought no name, and `user` is the listener's for such clients.
    pub anonymous: bool,
    /// The certificate it showed, a login or not.
    pub certificate: Option<Arc<Shown>>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// May it log in with this password?
    Login(Arc<Secret>),
    /// Is it a superuser?
    Superuser,
    /// What is stored of its password?
    Stored,
    /// Which filters may it do this with (one operation)?
    Filters(Access),
    /// May it do this (one operation) on the topic, or, to subscribe, the filter? With the payload if it is about one
    /// message, and the backend minds that.
    May(Access, Arc<str>, Option<Arc<[u8]>>),
}

/// A stored password that a backend knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// As it is stored.
    pub text: Arc<str>,
    /// How the salt of a `PBKDF2$` string is meant there.
    pub salt: SaltReading,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored(***)")
    }
}

/// What a backend answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// Why, in words for the operator. Holds no password and no token.
    pub why: Arc<str>,
    /// The longest time it may be remembered; `None`: as configured.
    pub lifetime: Option<Duration>,
    /// What a login grants by itself.
    pub grant: Option<Arc<Granted>>,
    /// The answer to [`Question::Stored`].
    pub stored: Option<Stored>,
    /// The answer to [`Question::Filters`].
    pub filters: Option<Arc<Filters>>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What happened, in words for the operator.
    pub what: String,
    /// Whether it may go better if it is tried again at once.
    pub again: bool,
    /// Whether other questions are likely to fare alike, so that a backend that goes on like this is left alone.
    pub sick: bool,
    /// Whether the clock is not set, so that the backend itself was not asked.
    pub undated: bool,
}

/// A question on its way.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send + 'a>>;

/// A backend that is asked over a network, or that takes its time.
pub trait Remote: Send + Sync + 'static {
    /// Whether it can answer such a question at all.
    fn answers(&self, question: &Question) -> bool;

    /// Whether its answers depend on where the client comes from.
    fn minds_address(&self) -> bool {
        false
    }

    /// Whether its answers depend on the client's certificate.
    fn minds_certificate(&self) -> bool {
        false
    }

    /// Whether its answers depend on the payload: then each message is asked about, and no answer counts for another.
    fn minds_payload(&self) -> bool {
        false
    }

    /// Whether its answers count until [`Remote::look`] says that something has changed, and not for a time.
    fn is_watched(&self) -> bool {
        false
    }

    /// Whether anything may have changed since the last call. It is called several times a second. Blocks.
    fn look(&self) -> bool {
        false
    }

    /// Asks. Cancelled when the deadline is over.
    fn ask<'a>(&'a self, who: &'a Who, question: &'a Question) -> Asking<'a>;

    /// Makes ready whatever takes its time, before the first client comes. Blocks.
    ///
    /// # Errors
    /// In words, why it can never be asked.
    fn start(&self) -> Result<(), String> {
        Ok(())
    }

    /// The gateway reads its configuration again.
    fn reload(&self) {}

    /// The gateway stops: nothing is asked any more. Blocks, a few seconds at most.
    fn stop(&self) {}
}

impl Question {
    /// Whether it is about one message, so that its answer is for no other.
    pub fn is_of_message(&self) -> bool {
        matches!(self, Question::May(_, _, Some(_)))
    }
}

impl Reply {
    /// An answer that is remembered as configured.
    pub fn new(answer: Answer, why: impl Into<Arc<str>>) -> Self {
        Reply { answer, why: why.into(), lifetime: None, grant: None, stored: None, filters: None }
    }

    /// The stored password of a user, if there is one.
    pub fn stored(stored: Option<Stored>, unknown: &str) -> Self {
        match stored {
            Some(stored) => Reply { stored: Some(stored), ..Reply::new(Answer::Allow, "a stored password") },
            None => Reply::new(Answer::Unknown, unknown),
        }
    }

    /// The filters that a client may use.
    pub fn filters(filters: Filters) -> Self {
        let answer = if filters.is_empty() { Answer::Unknown } else { Answer::Allow };
        let reply = Reply::new(answer, if filters.is_empty() { "no filters" } else { "filters" });
        Reply { filters: Some(Arc::new(filters)), ..reply }
    }
}

impl Failure {
    /// Something that may go better next time.
    pub fn passing(what: impl fmt::Display) -> Self {
        Failure { what: what.to_string(), again: true, sick: true, undated: false }
    }

    /// Something that an operator must mend.
    pub fn lasting(what: impl fmt::Display) -> Self {
        Failure { again: false, ..Self::passing(what) }
    }

    /// Something about this one question. Whoever can put such a question keeps nobody else from being answered.
    pub fn of_question(what: impl fmt::Display) -> Self {
        Failure { again: false, sick: false, ..Self::passing(what) }
    }

    /// The clock is not set, so that nobody's certificate could be judged: nothing was asked, and is as soon as it is set.
    pub fn undated(why: clock::Unset) -> Self {
        Failure { again: false, undated: true, ..Self::passing(why) }
    }

    /// What a question that cannot be put comes to: nothing is known about it there. What was answered before, when it
    /// could be put, does not count any more.
    pub fn unless_of_question(self) -> Result<Reply, Failure> {
        if self.sick { Err(self) } else { Ok(Reply::new(Answer::Unknown, self.what)) }
    }
}

impl Answer {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Answer::Allow => "allow",
            Answer::Deny => "deny",
            Answer::Unknown => "not known",
        }
    }
}
