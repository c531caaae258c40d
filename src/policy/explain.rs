//! Why? Every stage's verdict on one question, in the order in which they are asked.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::mpsc;

use crate::mqtt::TopicFilter;

use super::{
    acl::{Access, Object, Open, Outcome, Sources, SubscribeRule, Voiced, reserved},
    auth::{
        backends::{Backends, Kind},
        desk::{Said, Tag},
    },
    command::CommandTopics,
    decision::{Denial, Operation, Stage},
    live::Inquiry,
    lock::View,
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
    /// What each backend says by itself, in the order in which they are asked.
    pub backends: Vec<Voiced>,
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
    /// How it came in; if it is not connected, whose backends are asked instead.
    pub listener: Result<String, String>,
    /// What the login came to.
    pub login: Result<String, Denial>,
    /// Who speaks about its rights.
    pub sources: &'a Sources,
    /// When subscriptions are granted.
    pub subscribe: SubscribeRule,
    /// What is closed for it.
    pub locked: &'a View,
}

impl Policy {
    /// The present answer for somebody who need not be connected; backends elsewhere are asked. Without a client
    /// identifier, rules with `%c` fit nothing. With a listener, its backends are asked. With an address, a ban there is a no; without one, bans of the user name
    /// are only told.
    pub async fn explain(
        &self,
        user: &str,
        client_id: &str,
        address: Option<IpAddr>,
        listener: Option<&str>,
        access: Access,
        topic: &str,
    ) -> Explanation {
        let book = self.book();
        let settings = self.settings().clone();
        let without_login = settings.anonymous_at(&book, user, listener);
        let listener = without_login.or(listener);
        let route = settings.backends.route(listener.unwrap_or_default(), user);
        // Whom nobody asks about has no say: an account that is disabled there keeps nobody out.
        let known_as = route.iter().find(|(backend, _)| matches!(backend.kind, Kind::Sqlite));
        let account = known_as.and_then(|(_, name)| book.account(name));
        let login = self.not_banned(user, address).and_then(|bans| match account {
            Some(account) if !account.enabled => {
                Err(Denial::not_authorized(Stage::Login, None, "the account is disabled"))
            }
            Some(account) if account.roles.is_empty() => Ok(format!("an account without roles{bans}")),
            Some(account) => Ok(format!("an account with the roles {}{bans}", account.roles.join(", "))),
            _ if without_login.is_some() => Ok(format!("a client without a login{bans}")),
            None if known_as.is_none() => Ok(format!("sqlite is not asked: its accounts do not count{bans}")),
            None if route.len() > 1 => Ok(format!("no account in sqlite: another backend may know it{bans}")),
            None => Ok(format!(
                "no account: only a client without a login, or with a certificate, can be this user{bans}"
            )),
        });
        let sources = settings.sources_for(&book, user, client_id, listener);
        let (locked, subscribe) = (self.lock().view(&user.into()), settings.subscribe);
        let listener = Err(whose_backends(&settings.backends, user, listener));
        let subject = Subject { listener, login, sources: &sources, subscribe, locked: &locked };
        let mut told: Vec<(Tag, Said)> = Vec::new();
        loop {
            let recall = &mut |tag: &Tag| find(&told, tag);
            let (explanation, open) =
                self.explain_subject(&subject, user, client_id, access, topic, |_| None, recall);
            if open.is_empty() {
                return explanation;
            }
            ask(open, &mut told).await;
        }
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
        let mut told: Vec<(Tag, Said)> = Vec::new();
        loop {
            let (reply, mut answers) = mpsc::channel(1);
            let inquiry = Inquiry { access, topic: topic.into(), told: told.as_slice().into(), reply };
            if !self.live().ask(client_id, &inquiry) {
                return None;
            }
            let answer = tokio::time::timeout(patience, answers.recv()).await.ok().flatten();
            let (explanation, open) = answer?;
            if open.is_empty() {
                return Some(explanation);
            }
            ask(open, &mut told).await;
        }
    }

    /// The answer for a known `subject`; `cache` tells how its gate remembers each operation. With it comes what must be
    /// asked of backends before the answer is complete.
    #[expect(clippy::too_many_arguments, reason = "all of it is the question")]
    pub(super) fn explain_subject(
        &self,
        subject: &Subject<'_>,
        user: &str,
        client_id: &str,
        access: Access,
        topic: &str,
        cache: impl Fn(Operation) -> Option<&'static str>,
        recall: &mut dyn FnMut(&Tag) -> Option<Said>,
    ) -> (Explanation, Vec<Open>) {
        let mut open = Vec::new();
        let mut answer = |one: Access| {
            let operation = operation_of(one);
            let verdict = decide(subject, one, topic, self.settings().commands, recall, &mut open);
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
                    Err(denial) if denial.lock.is_some() => denial.in_words(),
                    Err(denial) => denial.reason.to_owned(),
                },
                audit: verdict.as_ref().err().and_then(recorded),
                cache: cache(operation),
                stages: stages(subject, one, &verdict),
                backends: voices(subject, one, topic, recall),
            }
        };
        let answers: Vec<Answer> = access.operations(topic).into_iter().map(&mut answer).collect();
        let explanation = Explanation {
            allowed: !answers.is_empty() && answers.iter().all(|answer| answer.allowed),
            user: user.to_owned(),
            client_id: client_id.to_owned(),
            topic: topic.to_owned(),
            live: subject.listener.is_ok(),
            answers,
        };
        (explanation, open)
    }
}

/// Who is asked about somebody who is not connected, and who would be elsewhere.
fn whose_backends(backends: &Backends, user: &str, asked: Option<&str>) -> String {
    let names = |listener: &str| {
        let names: Vec<_> =
            backends.route(listener, user).iter().map(|(one, _)| one.name.to_string()).collect();
        names.join(", ")
    };
    if let Some(listener) = asked {
        return format!("as at listener {listener:?}, which asks {}", names(listener));
    }
    let mut own: Vec<_> = backends.listeners.keys().collect();
    own.sort_unstable();
    let own = own.into_iter().map(|name| format!("; listener {name:?} asks {}", names(name)));
    format!(
        "no connected client was named: [auth] backends are asked ({}){}",
        names(""),
        own.collect::<String>()
    )
}

fn find(told: &[(Tag, Said)], tag: &Tag) -> Option<Said> {
    told.iter().find(|(known, _)| known == tag).map(|(_, said)| said.clone())
}

/// Has backends answer.
pub(super) async fn ask(open: Vec<Open>, told: &mut Vec<(Tag, Said)>) {
    for Open { desk, who, question, tag } in open {
        if find(told, &tag).is_none() {
            told.push((tag, desk.ask(&who, &question).await));
        }
    }
}

/// The verdict on one operation (a single one of `access`); `commands` are those that are obeyed. What is not known yet
/// is left in `open`.
fn decide(
    subject: &Subject<'_>,
    access: Access,
    topic: &str,
    commands: Option<CommandTopics>,
    recall: &mut dyn FnMut(&Tag) -> Option<Said>,
    open: &mut Vec<Open>,
) -> Result<Arc<str>, Denial> {
    if let Err(denial) = &subject.login {
        return Err(denial.clone());
    }
    if !(access == Access::PUBLISH && reserved(topic))
        && let Some(denial) = subject.locked.on(access, topic)
    {
        return Err(denial);
    }
    match subject.sources.on(access, topic, subject.subscribe, commands, recall) {
        Outcome::Known(verdict, _) => verdict,
        Outcome::Unknown(questions) => {
            open.extend(questions);
            Err(Denial::not_authorized(Stage::Allow, None, "a backend has not answered yet"))
        }
    }
}

/// The verdict on one operation once every backend that matters has answered, and what each said.
pub(super) async fn settle(
    sources: &Sources,
    access: Access,
    topic: &str,
    subscribe: SubscribeRule,
    commands: Option<CommandTopics>,
) -> (Result<Arc<str>, Denial>, Vec<Voiced>) {
    let (login, locked) = (Ok(String::new()), &View::default());
    let subject = Subject { listener: Err(String::new()), login, sources, subscribe, locked };
    let mut told = Vec::new();
    loop {
        let mut open = Vec::new();
        let recall = &mut |tag: &Tag| find(&told, tag);
        let verdict = decide(&subject, access, topic, commands, recall, &mut open);
        if open.is_empty() {
            let said = voices(&subject, access, topic, recall);
            return (verdict, said);
        }
        ask(open, &mut told).await;
    }
}

/// What each backend says.
fn voices(
    subject: &Subject<'_>,
    access: Access,
    topic: &str,
    recall: &mut dyn FnMut(&Tag) -> Option<Said>,
) -> Vec<Voiced> {
    let how = subject.subscribe;
    match access {
        Access::SUBSCRIBE => match TopicFilter::new(topic) {
            Ok(filter) => subject.sources.voices(access, Object::Filter(&filter), how, recall),
            Err(_) => Vec::new(),
        },
        _ => subject.sources.voices(access, Object::Name(topic), how, recall),
    }
}

/// Every stage's part in `verdict`.
fn stages(subject: &Subject<'_>, access: Access, verdict: &Result<Arc<str>, Denial>) -> Vec<Judged> {
    let decided = match verdict {
        Err(denial) => denial.stage,
        Ok(rule) if subject.sources.is_superuser(rule) => Stage::Superuser,
        Ok(_) => Stage::Allow,
    };
    let listener = match &subject.listener {
        Ok(how) => judged("listener", Verdict::Pass, how.clone()),
        Err(instead) => judged("listener", Verdict::NotAsked, instead.clone()),
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
            Stage::Lock => "open".into(),
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

    fn verdicts(sources: &Sources, access: Access, topic: &str) -> Vec<Verdict> {
        let (login, subscribe, locked) = (Ok(String::new()), SubscribeRule::Covered, &View::default());
        let subject = Subject { listener: Err(String::new()), login, sources, subscribe, locked };
        let verdict = decide(&subject, access, topic, None, &mut |_| None, &mut Vec::new());
        stages(&subject, access, &verdict).into_iter().map(|judged| judged.verdict).collect()
    }

    #[test]
    fn stages_before_the_decision_pass_and_those_after_it_are_not_asked() {
        use Verdict::{Allow, Deny, NotAsked, Pass};
        let nothing = Sources::default();
        let root = Sources::of_superuser("superuser account".into());
        for (rights, access, topic, expected) in [
            (
                &nothing,
                Access::PUBLISH,
                "$SYS/x",
                [NotAsked, Pass, Deny, NotAsked, NotAsked, NotAsked, NotAsked, NotAsked],
            ),
            (
                &root,
                Access::PUBLISH,
                "$SYS/x",
                [NotAsked, Pass, Deny, NotAsked, NotAsked, NotAsked, NotAsked, NotAsked],
            ),
            (&root, Access::RECEIVE, "a", [NotAsked, Pass, Pass, Pass, Allow, NotAsked, NotAsked, NotAsked]),
            (&nothing, Access::SUBSCRIBE, "a/#", [NotAsked, Pass, Pass, Pass, Pass, Pass, Deny, NotAsked]),
        ] {
            assert_eq!(verdicts(rights, access, topic), expected, "{access} {topic}");
        }
    }
}
