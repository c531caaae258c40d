//! The vocabulary of verdicts: what was asked, which stage answered, and why not.

use std::{fmt, sync::Arc};

use crate::mqtt::ReasonCode;

use super::{audit::AuditId, lock::Cause};

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// To be connected.
    Connect,
    /// To publish.
    Publish,
    /// To leave a will, or to have it published.
    Will,
    /// To subscribe.
    Subscribe,
    /// To be delivered a message.
    Receive,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 5] =
        [Operation::Connect, Operation::Publish, Operation::Will, Operation::Subscribe, Operation::Receive];
}

/// The stages of a decision, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// What the listener and the limits take.
    Listener,
    /// Who is it: user name, password, account.
    Login,
    /// Topics that only the gateway may publish.
    Reserved,
    /// What is closed now, whatever the rules say.
    Lock,
    /// A superuser passes here.
    Superuser,
    /// Denying rules.
    Deny,
    /// Allowing rules; without one the answer is no.
    Allow,
    /// For a retained message: may its author still publish it?
    Source,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 8] = [
        Stage::Listener,
        Stage::Login,
        Stage::Reserved,
        Stage::Lock,
        Stage::Superuser,
        Stage::Deny,
        Stage::Allow,
        Stage::Source,
    ];
}

/// A no, with everything needed to explain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The stage that said no.
    pub stage: Stage,
    /// The rule that decided, as a person would write it; `None` if it was the lack of one.
    pub rule: Option<Arc<str>>,
    /// Why, in words. Told to version 5 clients as reason string: it holds nothing secret.
    pub reason: &'static str,
    /// What a version 5 client is answered.
    pub code: ReasonCode,
    /// Its record in the audit log, once it has one: an operator can find it by what the client was told.
    pub audit: Option<AuditId>,
    /// Why it is closed, if the lock said it; `rule` then is the scope.
    pub lock: Option<Cause>,
}

impl Denial {
    pub(super) fn not_authorized(stage: Stage, rule: Option<Arc<str>>, reason: &'static str) -> Self {
        Denial { stage, rule, reason, code: ReasonCode::NotAuthorized, audit: None, lock: None }
    }

    /// The no to whoever failed to log in too often.
    pub(super) fn banned() -> Self {
        Denial {
            stage: Stage::Login,
            rule: None,
            reason: "too many failed logins: banned for a time",
            code: ReasonCode::Banned,
            audit: None,
            lock: None,
        }
    }

    /// The no to whoever logged in while a backend that would know them did not answer.
    pub(super) fn unanswered() -> Self {
        Denial {
            stage: Stage::Login,
            rule: None,
            reason: "a backend did not answer",
            code: ReasonCode::ServerUnavailable,
            audit: None,
            lock: None,
        }
    }

    /// The reason and the rule, without the audit record.
    pub(super) fn in_words(&self) -> String {
        Denial { audit: None, ..self.clone() }.to_string()
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)?;
        if let (Stage::Lock, Some(scope)) = (self.stage, &self.rule) {
            // Programs rely on these words: no number follows them.
            return write!(f, ": {scope}");
        }
        match (&self.rule, self.audit) {
            (Some(rule), Some(id)) => write!(f, " ({rule}; audit {id})"),
            (Some(rule), None) => write!(f, " ({rule})"),
            (None, Some(id)) => write!(f, " (audit {id})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Connect => "connect",
            Operation::Publish => "publish",
            Operation::Will => "will",
            Operation::Subscribe => "subscribe",
            Operation::Receive => "receive",
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Listener => "listener",
            Stage::Login => "login",
            Stage::Reserved => "reserved",
            Stage::Lock => "lock",
            Stage::Superuser => "superuser",
            Stage::Deny => "deny",
            Stage::Allow => "allow",
            Stage::Source => "source",
        })
    }
}
