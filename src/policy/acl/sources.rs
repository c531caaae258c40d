//! Everyone who is asked about one client's rights, in order, and how their answers become one verdict.

use std::{sync::Arc, time::Instant};

use super::{Access, BRIDGE, Book, Rights, Rule, RuleSet, SubscribeRule, reserved};
use crate::{
    mqtt::TopicFilter,
    policy::{
        auth::{
            backend::{Answer, Question, Who},
            backends::{Backend, Kind},
            desk::{Desk, Said, Tag},
            files::FileRights,
        },
        certificate::Certificate,
        command::CommandTopics,
        decision::{Denial, Stage},
        identity::Identity,
    },
};

/// Who speaks about the rights of one client.
#[derive(Clone, Debug)]
struct Source {
    backend: Arc<str>,
    speaks: Speaks,
}

#[derive(Clone, Debug)]
enum Speaks {
    Rules(Rights),
    Files(FileRights),
    Asked { desk: Arc<Desk>, who: Arc<Who>, superusers: bool },
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// A topic name.
    Name(&'a str),
    /// A message, by its topic name and payload.
    Message(&'a str, &'a [u8]),
    /// A filter to be subscribed to.
    Filter(&'a TopicFilter),
}

/// A question that must be put to a backend before there can be a verdict.
#[derive(Clone, Debug)]
pub struct Open {
    /// Whom to ask.
    pub desk: Arc<Desk>,
    /// About whom.
    pub who: Arc<Who>,
    /// What.
    pub question: Question,
    /// What the question is known by.
    pub tag: Tag,
}

/// What the sources say together.
#[derive(Debug)]
pub enum Outcome {
    /// Yes, with the rule that decided, or no. It counts until then; `None`: until something changes.
    Known(Result<Arc<str>, Denial>, Option<Instant>),
    /// These must be answered first.
    Unknown(Vec<Open>),
}

/// What one backend says, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Voiced {
    /// Its name.
    pub backend: String,
    /// `allow`, `deny`, `not known`, `not asked`.
    pub says: String,
    /// Why, in words.
    pub why: String,
    /// When it said so, for one that is asked over a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// How the yes to a superuser begins, if a backend said so.
const BY_BACKEND: &str = "superuser by backend ";

/// What is remembered of answers.
pub type Recall<'a> = &'a mut dyn FnMut(&Tag) -> Option<Said>;

/// Everyone who is asked about one client's rights. Whoever says yes or no has decided; a superuser of any is one.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    superuser: Option<Arc<str>>,
    list: Vec<Source>,
}

impl Sources {
    /// The sources of a client: `backends` in order, with the name by which each knows it. `anonymous`: it brought no name.
    pub fn new(book: &Book, backends: Vec<(&Backend, &str)>, identity: &Identity, anonymous: bool) -> Self {
        if identity.user.starts_with(BRIDGE) {
            // Nobody but the configuration and the rules has a say in it.
            let rights = book.rights(&identity.user, &identity.client_id);
            let routes = Source { backend: "routes".into(), speaks: Speaks::Rules(rights) };
            return Sources { superuser: None, list: vec![routes] };
        }
        let mut superuser = book.superuser_by_name(&identity.user);
        let mut list = Vec::with_capacity(backends.len());
        for (backend, user) in backends {
            let speaks = match &backend.kind {
                Kind::Sqlite => {
                    let mut rights = book.rights(user, &identity.client_id);
                    let by_account = rights.superuser.take().filter(|_| backend.superusers);
                    superuser = superuser.or(by_account);
                    Speaks::Rules(rights)
                }
                Kind::Files(files) => {
                    Speaks::Files(files.reading().rights(user, &identity.client_id, anonymous))
                }
                Kind::Asked(desk) => {
                    let own = identity.backend.as_ref() == Some(&backend.name);
                    let token = identity.token.as_ref().filter(|_| own);
                    if let Some(rules) = token.and_then(|token| token.rules()) {
                        let rights = Rights { shared: vec![rules], ..Rights::default() };
                        list.push(Source { backend: backend.name.clone(), speaks: Speaks::Rules(rights) });
                        continue;
                    }
                    let who = Who {
                        user: user.into(),
                        client_id: identity.client_id.clone(),
                        address: identity.address,
                        listener: identity.listener.clone(),
                        anonymous,
                        certificate: identity.certificate.as_ref().and_then(Certificate::shown).cloned(),
                    };
                    Speaks::Asked { desk: desk.clone(), who: Arc::new(who), superusers: backend.superusers }
                }
            };
            list.push(Source { backend: backend.name.clone(), speaks });
        }
        Sources { superuser, list }
    }

    /// The same, and after all of them a rule: `prefix`, with the user name for each %, may be read and written.
    pub fn with_prefix(mut self, prefix: Option<&str>, user: &str) -> Self {
        // Such a name would reach into the topics of others.
        let Some(prefix) = prefix.filter(|_| !user.is_empty() && !user.contains(['+', '#', '/'])) else {
            return self;
        };
        if user.starts_with(BRIDGE) {
            return self;
        }
        if let Ok(filter) = TopicFilter::new(&prefix.replace('%', user)) {
            let rule = Rule { access: Access::ALL, filter, text: format!("topic_prefix {prefix}").into() };
            let mut rules = RuleSet::default();
            rules.allow.push(rule);
            let rights = Rights { shared: vec![Arc::new(rules)], ..Rights::default() };
            self.list.push(Source { backend: "topic_prefix".into(), speaks: Speaks::Rules(rights) });
        }
        self
    }

    /// Those of somebody who may do everything, for this reason.
    #[cfg(test)]
    pub fn of_superuser(why: Arc<str>) -> Self {
        Sources { superuser: Some(why), list: Vec::new() }
    }

    /// Whether `rule` is the yes to a superuser.
    pub fn is_superuser(&self, rule: &str) -> bool {
        self.superuser.is_some() || rule.starts_with(BY_BACKEND)
    }

    /// Whether anybody has to be asked over a network.
    pub fn ask(&self) -> bool {
        self.superuser.is_none()
            && self.list.iter().any(|source| matches!(source.speaks, Speaks::Asked { .. }))
    }

    /// Whether verdicts depend on payloads.
    pub fn mind_payload(&self) -> bool {
        self.superuser.is_none()
            && self
                .list
                .iter()
                .any(|source| matches!(&source.speaks, Speaks::Asked { desk, .. } if desk.minds_payload()))
    }

    /// May `access` (one operation) be done on `object`? `recall` knows what was answered.
    pub fn decide(
        &self,
        access: Access,
        object: Object<'_>,
        how: SubscribeRule,
        recall: Recall<'_>,
    ) -> Outcome {
        if let Some(why) = &self.superuser {
            return Outcome::Known(Ok(why.clone()), None);
        }
        let mut until = None;
        let mut open = Vec::new();
        let mut heard = |desk: &Arc<Desk>, who: &Arc<Who>, question: Question, open: &mut Vec<Open>| {
            let tag = desk.tag(who, &question);
            let Some(said) = recall(&tag) else {
                open.push(Open { desk: desk.clone(), who: who.clone(), question, tag });
                return None;
            };
            until = Some(until.map_or(said.until, |until: Instant| until.min(said.until)));
            Some(said)
        };
        for Source { backend, speaks } in &self.list {
            if let Speaks::Asked { desk, who, superusers: true } = speaks
                && desk.answers(&Question::Superuser)
                && let Some(said) = heard(desk, who, Question::Superuser, &mut open)
                && said.answer == Answer::Allow
            {
                return Outcome::Known(Ok(format!("{BY_BACKEND}{backend}").into()), until);
            }
        }
        let mut verdict = Err(Denial::not_authorized(Stage::Allow, None, "no rule allows it"));
        for Source { backend, speaks } in &self.list {
            let says = match speaks {
                Speaks::Rules(rights) => match rights.decide(access, object, how) {
                    Err(denial) if denial.stage == Stage::Allow => continue,
                    decided => decided,
                },
                Speaks::Files(rights) => match rights.decide(access, object, how) {
                    Ok(None) => continue,
                    Ok(Some(rule)) => Ok(rule),
                    Err(denial) => Err(denial),
                },
                Speaks::Asked { desk, who, .. } => {
                    let Some(question) = about(desk, access, object) else { continue };
                    match heard(desk, who, question, &mut open) {
                        // Who comes after it is asked only if it does not know.
                        None => break,
                        Some(said) => match says(backend, &said, object, how) {
                            None => continue,
                            Some(says) => says,
                        },
                    }
                }
            };
            verdict = says;
            break;
        }
        if open.is_empty() { Outcome::Known(verdict, until) } else { Outcome::Unknown(open) }
    }

    /// What each source says by itself, for people; as [`Sources::decide`] would hear it.
    pub fn voices(
        &self,
        access: Access,
        object: Object<'_>,
        how: SubscribeRule,
        recall: Recall<'_>,
    ) -> Vec<Voiced> {
        let mut voices = Vec::new();
        let mut decided = self.superuser.is_some();
        for Source { backend, speaks } in &self.list {
            let (mut says, mut why, mut when) = ("not asked", String::new(), None);
            match speaks {
                _ if decided => {}
                Speaks::Rules(rights) => {
                    (says, why) = in_words(rights.decide(access, object, how).map(Some));
                }
                Speaks::Files(rights) => (says, why) = in_words(rights.decide(access, object, how)),
                Speaks::Asked { desk, who, superusers } => {
                    let questions =
                        [(*superusers).then_some(Question::Superuser), about(desk, access, object)];
                    for question in questions.into_iter().flatten().filter(|asked| desk.answers(asked)) {
                        let Some(said) = recall(&desk.tag(who, &question)) else { continue };
                        let is_superuser = matches!(question, Question::Superuser);
                        if is_superuser && said.answer != Answer::Allow {
                            continue;
                        }
                        let granted = said.filters.as_ref().map(|filters| filters.find(object, how));
                        says = match granted {
                            Some(None) => Answer::Unknown.word(),
                            _ => said.answer.word(),
                        };
                        why = match granted {
                            Some(Some(filter)) => format!("filter {filter}"),
                            Some(None) => "no filter matches".to_owned(),
                            _ => format!("{}{}", if is_superuser { "superuser: " } else { "" }, said.why),
                        };
                        when = Some(said.in_words(Instant::now()));
                        if says != Answer::Unknown.word() {
                            break;
                        }
                    }
                }
            }
            decided |= says == Answer::Allow.word() || says == Answer::Deny.word();
            voices.push(Voiced { backend: backend.to_string(), says: says.to_owned(), why, when });
        }
        voices
    }

    /// Whether `topic` may be published to at all by somebody who is not the gateway, and then as [`Sources::decide`].
    /// `commands` are those that are obeyed.
    pub fn on(
        &self,
        access: Access,
        topic: &str,
        how: SubscribeRule,
        commands: Option<CommandTopics>,
        recall: Recall<'_>,
    ) -> Outcome {
        if access == Access::PUBLISH
            && let Some((kind, _)) = commands.and_then(|commands| commands.read(topic))
        {
            return self.decide(access, Object::Name(kind.topic()), how, recall);
        }
        let no = |stage, reason| Outcome::Known(Err(Denial::not_authorized(stage, None, reason)), None);
        match access {
            Access::PUBLISH if reserved(topic) => no(Stage::Reserved, "only the gateway publishes there"),
            Access::SUBSCRIBE => match TopicFilter::new(topic) {
                Ok(filter) => self.decide(access, Object::Filter(&filter), how, recall),
                Err(_) => no(Stage::Allow, "not a valid topic filter"),
            },
            Access::RECEIVE if topic.contains(['+', '#']) => {
                no(Stage::Allow, "a topic filter cannot be received")
            }
            _ => self.decide(access, Object::Name(topic), how, recall),
        }
    }
}

/// What rules say, and why.
fn in_words(said: Result<Option<Arc<str>>, Denial>) -> (&'static str, String) {
    match said {
        Ok(Some(rule)) => (Answer::Allow.word(), rule.to_string()),
        Err(denial) if denial.stage != Stage::Allow => (Answer::Deny.word(), denial.in_words()),
        _ => (Answer::Unknown.word(), String::new()),
    }
}

/// How a backend is asked about `access` on `object`; `None`: it cannot be.
fn about(desk: &Desk, access: Access, object: Object<'_>) -> Option<Question> {
    let filters = Question::Filters(access);
    if desk.answers(&filters) {
        return Some(filters);
    }
    let may = Question::May(access, object.text().into(), object.payload_for(desk));
    desk.answers(&may).then_some(may)
}

/// What the answer of a backend means; `None`: the next one is asked.
fn says(
    backend: &Arc<str>,
    said: &Said,
    object: Object<'_>,
    how: SubscribeRule,
) -> Option<Result<Arc<str>, Denial>> {
    if let (Answer::Allow, Some(filters)) = (said.answer, &said.filters) {
        let filter = filters.find(object, how)?;
        return Some(Ok(format!("{backend}: filter {filter}").into()));
    }
    match said.answer {
        Answer::Unknown => None,
        Answer::Allow => Some(Ok(format!("{backend}: {}", said.why).into())),
        Answer::Deny => {
            // What failed, and how, is nothing that a client should read.
            let reason = if said.failed { "a backend did not answer" } else { "a backend denies it" };
            Some(Err(Denial::not_authorized(Stage::Deny, Some(backend.clone()), reason)))
        }
    }
}

impl Object<'_> {
    /// The topic or filter as text.
    pub fn text(&self) -> &str {
        match self {
            Object::Name(topic) | Object::Message(topic, _) => topic,
            Object::Filter(filter) => filter.as_str(),
        }
    }

    /// The payload, if this backend is to be told.
    fn payload_for(&self, desk: &Desk) -> Option<Arc<[u8]>> {
        match self {
            Object::Message(_, payload) if desk.minds_payload() => Some((*payload).into()),
            _ => None,
        }
    }
}

impl Rights {
    fn decide(&self, access: Access, object: Object<'_>, how: SubscribeRule) -> Result<Arc<str>, Denial> {
        match object {
            Object::Name(topic) | Object::Message(topic, _) => self.on_topic(access, topic),
            Object::Filter(filter) => self.on_filter(filter, how),
        }
    }
}

impl FileRights {
    fn decide(
        &self,
        access: Access,
        object: Object<'_>,
        how: SubscribeRule,
    ) -> Result<Option<Arc<str>>, Denial> {
        match object {
            Object::Name(topic) | Object::Message(topic, _) => self.on_topic(access, topic),
            Object::Filter(filter) => self.on_filter(filter, how),
        }
    }
}
