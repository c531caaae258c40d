//! Why? Every stage's verdict on one question, in the order in which they are asked.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::mpsc;

use super::{
    acl::{Access, Rights, SubscribeRule},
    command::CommandTopics,
    decision::{Denial, Operation, Stage},
    live::Inquiry,
    policy::Policy,
    throttle::Banned,
};

/// The answer to `explain`, for all operations that were asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whether all of it is allowed.
    pub allowed: bool,
    /// User name.
    pub user: String,
    /// Client identifier; empty if none was named.
    pub client_id: String,
    /// What the question was about: a topic name or a filter.
    pub topic: String,
    /// Whether the gate of a connected client answered.
    pub live: bool,
    /// One for each operation.
    pub answers: Vec<Answer>,
}

/// The answer for one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// `publish`, `subscribe` or `receive`.
    pub operation: String,
    /// Whether it is allowed.
    pub allowed: bool,
    /// The rule that decided, if one did.
    pub rule: Option<String>,
    /// Why, in words: what a client would be told.
    pub reason: String,
    /// Of a no that was recorded a short while ago: the identifier of its audit record.
    pub audit: Option<String>,
    /// Whether the client's gate has the verdict in memory: `remembered`, `not remembered`, `never remembered`.
    /// `None` if no connected client was asked about.
    pub cache: Option<&'static str>,
    /// Every stage in order.
    pub stages: Vec<Judged>,
}

/// The verdict of one stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// `listener`, or a [`Stage`].
    pub stage: String,
    /// What it said.
    pub verdict: Verdict,
    /// Why, in words.
    pub why: String,
}

/// What a stage says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The next stage is asked.
    Pass,
    /// Yes; no later stage is asked.
    Allow,
    /// No; no later stage is asked.
    Deny,
    /// An earlier stage decided, or the stage has nothing to do with the question.
    NotAsked,
}

/// What is known of whom the question is about.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// How it came in; `None` if it is not connected.
    pub listener: Option<String>,
    /// What the login came to.
    pub login: Result<String, Denial>,
    /// Its rights.
    pub rights: &'a Rights,
    /// When subscriptions are granted.
    pub subscribe: SubscribeRule,
}

impl Policy {
    /// The present rules' answer for somebody who need not be connected. Without a client identifier, rules with `%c`
    /// fit nothing. With an address, a ban there is a no; without one, bans of the user name are only told.
    pub fn explain(
        &self,
        user: &str,
        client_id: &str,
        address: Option<IpAddr>,
        access: Access,
        topic: &str,
    ) -> Explanation {
        let book = self.book();
        let login = self.not_banned(user, address).and_then(|bans| match book.account(user) {
            Some(account) if !account.enabled => {
                Err(Denial::not_authorized(Stage::Login, None, "the account is disabled"))
            }
            Some(account) if account.roles.is_empty() => Ok(format!("an account without roles{bans}")),
            Some(account) => Ok(format!("an account with the roles {}{bans}", account.roles.join(", "))),
            None => Ok(format!(
                "no account: only a client without a login, or with a certificate, can be this user{bans}"
            )),
        });
        let rights = book.rights(user, client_id);
        let subject =
            Subject { listener: None, login, rights: &rights, subscribe: self.settings().subscribe };
        self.explain_subject(&subject, user, client_id, access, topic, |_| None)
    }

    /// What is to be said of bans of the user name.
    ///
    /// # Errors
    /// If it is banned at `address`, or everybody is.
    fn not_banned(&self, user: &str, address: Option<IpAddr>) -> Result<String, Denial> {
        let now = Instant::now();
        let Some(address) = address else {
            let bans = self.throttle().bans_of(user, now);
            let told =
                |ban: &Banned| format!("; banned at {} for {} s more", ban.place(), ban.left.as_secs());
            return Ok(bans.iter().take(3).map(told).collect());
        };
        match self.throttle().banned_for(user, address, now) {
            None => Ok(format!("; not banned at {address}")),
            Some(left) => {
                let what = format!("a ban at {address} for {} s more", left.as_secs());
                Err(Denial { rule: Some(what.into()), ..Denial::banned() })
            }
        }
    }

    /// The answer of a connected client's own gate; `None` if no such client is connected, or its task does not
    /// answer within `patience`.
    pub async fn explain_live(
        &self,
        client_id: &str,
        access: Access,
        topic: &str,
        patience: Duration,
    ) -> Option<Explanation> {
        let (reply, mut answers) = mpsc::channel(1);
        if !self.live().ask(client_id, &Inquiry { access, topic: topic.into(), reply }) {
            return None;
        }
        tokio::time::timeout(patience, answers.recv()).await.ok().flatten()
    }

    /// The answer for a known `subject`; `cache` tells how its gate remembers each operation.
    pub(super) fn explain_subject(
        &self,
        subject: &Subject<'_>,
        user: &str,
        client_id: &str,
        access: Access,
        topic: &str,
        cache: impl Fn(Operation) -> Option<&'static str>,
    ) -> Explanation {
        let answer = |one: Access| {
            let operation = operation_of(one);
            let verdict = decide(subject, one, topic, self.settings().commands);
            let recorded = |denial: &Denial| {
                self.audit().find(client_id, user, operation, topic, denial.stage).map(|id| id.to_string())
            };
            Answer {
                operation: operation.to_string(),
                allowed: verdict.is_ok(),
                rule: match &verdict {
                    Ok(rule) => Some(rule.to_string()),
                    Err(denial) => denial.rule.as_deref().map(str::to_owned),
                },
                reason: match &verdict {
                    Ok(_) => "allowed".to_owned(),
                    Err(denial) => denial.reason.to_owned(),
                },
                audit: verdict.as_ref().err().and_then(recorded),
                cache: cache(operation),
                stages: stages(subject, one, &verdict),
            }
        };
        let answers: Vec<Answer> = access.operations(topic).into_iter().map(answer).collect();
        Explanation {
            allowed: !answers.is_empty() && answers.iter().all(|answer| answer.allowed),
            user: user.to_owned(),
            client_id: client_id.to_owned(),
            topic: topic.to_owned(),
            live: subject.listener.is_some(),
            answers,
        }
    }
}

/// The verdict on one operation (a single one of `access`); `commands` are those that are obeyed.
fn decide(
    subject: &Subject<'_>,
    access: Access,
    topic: &str,
    commands: Option<CommandTopics>,
) -> Result<Arc<str>, Denial> {
    if let Err(denial) = &subject.login {
        return Err(denial.clone());
    }
    subject.rights.on(access, topic, subject.subscribe, commands)
}

/// Every stage's part in `verdict`.
fn stages(subject: &Subject<'_>, access: Access, verdict: &Result<Arc<str>, Denial>) -> Vec<Judged> {
    let decided = match verdict {
        Err(denial) => denial.stage,
        Ok(_) if subject.rights.superuser.is_some() => Stage::Superuser,
        Ok(_) => Stage::Allow,
    };
    let listener = match &subject.listener {
        Some(how) => judged("listener", Verdict::Pass, how.clone()),
        None => judged("listener", Verdict::NotAsked, "no connected client was named".into()),
    };
    let rest = Stage::ALL.into_iter().filter(|stage| *stage != Stage::Listener).map(|stage| {
        let name = stage.to_string();
        if stage == decided {
            return match verdict {
                Ok(rule) => judged(&name, Verdict::Allow, rule.to_string()),
                Err(denial) => judged(&name, Verdict::Deny, denial.in_words()),
            };
        }
        if (stage as usize) > decided as usize {
            let why = match stage {
                Stage::Source if access == Access::RECEIVE && verdict.is_ok() => {
                    "of a retained message its author is asked about too, when it is delivered"
                }
                _ => "",
            };
            return judged(&name, Verdict::NotAsked, why.into());
        }
        let why = match stage {
            Stage::Login => subject.login.clone().unwrap_or_default(),
            Stage::Reserved if access == Access::PUBLISH => "not one of the gateway's own topics".into(),
            Stage::Reserved => "only publishing is reserved".into(),
            Stage::Superuser => "not a superuser".into(),
            Stage::Deny => "no rule denies it".into(),
            Stage::Listener | Stage::Allow | Stage::Source => String::new(),
        };
        judged(&name, Verdict::Pass, why)
    });
    std::iter::once(listener).chain(rest).collect()
}

fn judged(stage: &str, verdict: Verdict, why: String) -> Judged {
    Judged { stage: stage.to_owned(), verdict, why }
}

/// The operation that a single access stands for.
pub(super) fn operation_of(access: Access) -> Operation {
    match access {
        Access::PUBLISH => Operation::Publish,
        Access::SUBSCRIBE => Operation::Subscribe,
        _ => Operation::Receive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(rights: &Rights, access: Access, topic: &str) -> Vec<Verdict> {
        let subject =
            Subject { listener: None, login: Ok(String::new()), rights, subscribe: SubscribeRule::Covered };
        let verdict = decide(&subject, access, topic, None);
        stages(&subject, access, &verdict).into_iter().map(|judged| judged.verdict).collect()
    }

    #[test]
    fn stages_before_the_decision_pass_and_those_after_it_are_not_asked() {
        use Verdict::{Allow, Deny, NotAsked, Pass};
        let nothing = Rights::default();
        let root = Rights { superuser: Some("superuser account".into()), ..Rights::default() };
        for (rights, access, topic, expected) in [
            (
                &nothing,
                Access::PUBLISH,
                "$SYS/x",
                [NotAsked, Pass, Deny, NotAsked, NotAsked, NotAsked, NotAsked],
            ),
            (
                &root,
                Access::PUBLISH,
                "$SYS/x",
                [NotAsked, Pass, Deny, NotAsked, NotAsked, NotAsked, NotAsked],
            ),
            (&root, Access::RECEIVE, "a", [NotAsked, Pass, Pass, Allow, NotAsked, NotAsked, NotAsked]),
            (&nothing, Access::SUBSCRIBE, "a/#", [NotAsked, Pass, Pass, Pass, Pass, Deny, NotAsked]),
        ] {
            assert_eq!(verdicts(rights, access, topic), expected, "{access} {topic}");
        }
    }
}
