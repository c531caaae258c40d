//! A desk stands before each backend that is asked over a network: it remembers answers, has the same question asked
//! once however many want to know, bounds how long and how often is asked, and says what counts when nothing is
//! answered.
//!
//! Whoever waits, waits for itself alone. Every question ends within its deadline.

mod breaker;
mod cache;
mod probe;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ahash::AHashMap;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::sync::{Semaphore, watch};

use super::{
    backend::{Answer, Failure, Question, Remote, Reply, Stored, Who},
    filters::Filters,
    token::Granted,
};
use crate::policy::{
    metrics::{Spread, Times},
    policy::Secret,
};

pub use probe::{NOBODY, Probed};

use breaker::Breaker;
use cache::Cache;

/// What a question is known by: a hash under a key of this process. Nothing can be read from it.
pub type Tag = [u8; 32];

/// What counts when a backend does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// No.
    #[default]
    Deny,
    /// The next backend is asked.
    Next,
    /// What it answered last, if that is not too old; else no.
    Stale,
}

/// How a backend is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskSettings {
    /// All tries together take no longer.
    pub deadline: Duration,
    /// Tries after the first.
    pub retries: u32,
    /// What counts when it does not answer.
    pub on_error: OnError,
    /// How long after its time an answer still counts for [`OnError::Stale`].
    pub stale: Duration,
    /// How long a yes is remembered.
    pub allow: Duration,
    /// How long anything else is remembered.
    pub deny: Duration,
    /// By how much these times differ at random, so that answers do not end all at once.
    pub jitter: Duration,
    /// Questions asked at a time; the others wait.
    pub at_a_time: usize,
    /// How often a token is asked about again.
    pub recheck: Duration,
}

impl Default for DeskSettings {
    fn default() -> Self {
        DeskSettings {
            deadline: Duration::from_secs(5),
            retries: 1,
            on_error: OnError::Deny,
            stale: Duration::from_secs(3600),
            allow: Duration::from_secs(30),
            deny: Duration::from_secs(5),
            jitter: Duration::from_secs(3),
            at_a_time: 16,
            recheck: Duration::from_secs(60),
        }
    }
}

/// How long an answer counts whose change would be noticed.
const WATCHED: Duration = Duration::from_secs(3600);
/// How long it counts that a backend did not answer.
const NO_ANSWER: Duration = Duration::from_millis(500);
/// How often it is said that a backend does not answer.
const COMPLAINT: Duration = Duration::from_secs(5);
/// The wait before the first retry; each further one is twice as long.
const BACK_OFF: Duration = Duration::from_millis(50);

/// What was said, and how it came about.
#[derive(Clone, Debug)]
pub struct Said {
    /// The answer that counts.
    pub answer: Answer,
    /// Why, in words for the operator.
    pub why: Arc<str>,
    /// When the backend said it.
    pub at: Instant,
    /// How long it counts.
    pub until: Instant,
    /// Whether it was remembered.
    pub remembered: bool,
    /// Whether the backend itself did not answer.
    pub failed: bool,
    /// What a login grants by itself.
    pub grant: Option<Arc<Granted>>,
    /// A stored password, if that was the question.
    pub stored: Option<Stored>,
    /// Filters, if these were the question.
    pub filters: Option<Arc<Filters>>,
}

impl Said {
    /// When it was said, and whether it was remembered, in words.
    pub fn in_words(&self, now: Instant) -> String {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        let how = if self.remembered { "from memory" } else { "asked" };
        format!("{how}, {age:.1} s ago")
    }
}

/// Totals since the start.
#[derive(Debug, Default)]
struct DeskCounts {
    /// Questions put to the backend, retries included.
    asked: AtomicU64,
    /// Questions answered from memory.
    remembered: AtomicU64,
    /// Questions it did not answer.
    failed: AtomicU64,
    /// How long its answers took, or that there was none.
    took: Times,
}

/// How a backend elsewhere does.
#[derive(Clone, Debug)]
pub struct DeskTotals {
    /// Its name.
    pub name: Arc<str>,
    /// Questions put to it, retries included.
    pub asked: u64,
    /// Questions answered from memory.
    pub remembered: u64,
    /// Questions it did not answer.
    pub failed: u64,
    /// Whether it is left alone for a moment, after failures.
    pub left_alone: bool,
    /// How long its answers took.
    pub took: Spread,
}

/// The desk of one backend.
pub struct Desk {
    name: Arc<str>,
    remote: Box<dyn Remote>,
    settings: DeskSettings,
    key: [u8; 32],
    cache: Mutex<Cache>,
    flights: Mutex<AHashMap<Tag, watch::Receiver<Option<Said>>>>,
    breaker: Breaker,
    slots: Semaphore,
    /// Raised when what is answered from has changed. It is part of every tag, so nothing that was answered before
    /// is found any more.
    version: watch::Sender<u64>,
    /// When it was last said that the backend does not answer.
    complained: Mutex<Option<Instant>>,
    /// What was counted.
    counts: DeskCounts,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Desk {
    /// The desk of the backend called `name`.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn new(
        name: &str,
        remote: Box<dyn Remote>,
        settings: DeskSettings,
    ) -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Desk {
            name: name.into(),
            remote,
            key,
            cache: Mutex::default(),
            flights: Mutex::default(),
            breaker: Breaker::default(),
            slots: Semaphore::new(settings.at_a_time.max(1)),
            version: watch::channel(0).0,
            complained: Mutex::default(),
            counts: DeskCounts::default(),
            settings,
        })
    }

    /// The backend's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether the backend can answer such a question at all.
    pub fn answers(&self, question: &Question) -> bool {
        self.remote.answers(question)
    }

    /// The backend itself, to be started and stopped.
    pub fn remote(&self) -> &dyn Remote {
        &*self.remote
    }

    /// What was counted.
    pub fn totals(&self) -> DeskTotals {
        let DeskCounts { asked, remembered, failed, took } = &self.counts;
        DeskTotals {
            name: self.name.clone(),
            asked: asked.load(Relaxed),
            remembered: remembered.load(Relaxed),
            failed: failed.load(Relaxed),
            left_alone: self.breaker.is_open(Instant::now()),
            took: took.get(),
        }
    }

    /// Whether the backend's answers depend on the payload.
    pub fn minds_payload(&self) -> bool {
        self.remote.minds_payload()
    }

    /// What the question is known by. Fields are length-prefixed, so that no two questions share it.
    pub fn tag(&self, who: &Who, question: &Question) -> Tag {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of every length (RFC 2104)");
        let mut field = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        field(&self.version.borrow().to_be_bytes());
        field(who.user.as_bytes());
        field(who.client_id.as_bytes());
        field(&[u8::from(who.anonymous)]);
        if self.remote.minds_address() {
            field(who.address.ip().to_string().as_bytes());
            field(who.listener.as_bytes());
        }
        if let Some(shown) = who.certificate.as_ref().filter(|_| self.remote.minds_certificate()) {
            field(shown.fingerprint.as_bytes());
        }
        match question {
            Question::Login(password) => {
                field(b"login");
                field(&password.0);
            }
            Question::Superuser => field(b"superuser"),
            Question::Stored => field(b"stored"),
            Question::Filters(access) => {
                field(b"filters");
                field(&[access.bits()]);
            }
            Question::May(access, topic, payload) => {
                field(if payload.is_some() { b"message" } else { b"may" });
                field(&[access.bits()]);
                field(topic.as_bytes());
                field(payload.as_deref().unwrap_or_default());
            }
        }
        mac.finalize().into_bytes().into()
    }

    /// Asks, unless the answer is remembered or on its way to somebody else. Ends within the deadline.
    pub async fn ask(self: &Arc<Self>, who: &Arc<Who>, question: &Question) -> Said {
        let tag = self.tag(who, question);
        if let Some(said) = self.cache.lock().fresh(&tag, Instant::now()) {
            self.counts.remembered.fetch_add(1, Relaxed);
            return said;
        }
        self.fly(tag, who, question).await
    }

    /// Asks whatever is remembered.
    pub async fn ask_anew(self: &Arc<Self>, who: &Arc<Who>, question: &Question) -> Said {
        self.fly(self.tag(who, question), who, question).await
    }

    /// Whether anything may have changed since the last call: then everything is asked anew. Blocks.
    pub fn look(&self) -> bool {
        let changed = self.remote.look();
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
        changed
    }

    /// Told of each change that [`Desk::look`] finds.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// How often a token or an account is to be asked about again.
    pub fn recheck(&self) -> Duration {
        self.settings.recheck
    }

    async fn fly(self: &Arc<Self>, tag: Tag, who: &Arc<Who>, question: &Question) -> Said {
        let mut flight = self.join(tag, who, question);
        let landed = flight.wait_for(Option::is_some).await.ok().and_then(|said| said.clone());
        // The task cannot end without an answer but by the end of the runtime.
        landed.unwrap_or_else(|| {
            self.flights.lock().remove(&tag);
            self.without("the question was given up".into(), None, Instant::now())
        })
    }

    /// The flight of a question: the one that is on its way, or a new one. It goes on whoever stops waiting.
    fn join(
        self: &Arc<Self>,
        tag: Tag,
        who: &Arc<Who>,
        question: &Question,
    ) -> watch::Receiver<Option<Said>> {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(&tag) {
            return flight.clone();
        }
        let (land, flight) = watch::channel(None);
        flights.insert(tag, flight.clone());
        let (desk, who, question) = (self.clone(), who.clone(), question.clone());
        tokio::spawn(async move {
            let said = desk.find_out(tag, &who, &question).await;
            desk.flights.lock().remove(&tag);
            let _ = land.send(Some(said));
        });
        flight
    }

    async fn find_out(&self, tag: Tag, who: &Who, question: &Question) -> Said {
        let outcome = tokio::time::timeout(self.settings.deadline, self.try_and_retry(who, question)).await;
        let now = Instant::now();
        let outcome = outcome.unwrap_or_else(|_| {
            self.breaker.failed(now);
            let waited = self.settings.deadline;
            Err(Failure::passing(format_args!("no answer within {} ms", waited.as_millis())))
        });
        match outcome {
            Ok(reply) if question.is_of_message() => Self::said(reply, now, Duration::ZERO),
            Ok(reply) => self.note(tag, reply, now),
            Err(failure) => {
                self.counts.failed.fetch_add(1, Relaxed);
                self.complain(who, &failure, now);
                let last = self.cache.lock().stale(&tag, now, self.settings.stale);
                let ended = |granted: &Arc<Granted>| granted.ends.is_some_and(|ends| ends <= now);
                let last = last.filter(|last| !last.grant.as_ref().is_some_and(ended));
                let said = self.without(failure.what, last, now);
                if question.is_of_message() { Said { until: now, ..said } } else { said }
            }
        }
    }

    async fn try_and_retry(&self, who: &Who, question: &Question) -> Result<Reply, Failure> {
        let closed = |_| Failure::passing("the gateway is stopping");
        let _slot = self.slots.acquire().await.map_err(closed)?;
        let (mut tries, mut wait) = (0, BACK_OFF);
        loop {
            if !self.breaker.may_try(Instant::now()) {
                return Err(Failure::passing("it failed too often just now: asked again in a moment"));
            }
            self.counts.asked.fetch_add(1, Relaxed);
            let begun = Instant::now();
            let answer = self.remote.ask(who, question).await;
            self.counts.took.add(begun.elapsed());
            match answer {
                Ok(reply) => {
                    self.breaker.succeeded();
                    return Ok(reply);
                }
                Err(failure) => {
                    match (failure.undated, failure.sick) {
                        // It was not asked, and must not be left alone when it can be.
                        (true, _) => {}
                        (false, true) => self.breaker.failed(Instant::now()),
                        (false, false) => self.breaker.succeeded(),
                    }
                    if !failure.again || tries >= self.settings.retries {
                        return Err(failure);
                    }
                }
            }
            tries += 1;
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    /// Says that there was no answer, now and then.
    fn complain(&self, who: &Who, failure: &Failure, now: Instant) {
        let mut last = self.complained.lock();
        if last.is_none_or(|last| now >= last + COMPLAINT) {
            *last = Some(now);
            let counts = match self.settings.on_error {
                OnError::Deny => "it counts as a no",
                OnError::Next => "the next backend is asked",
                OnError::Stale => "its last answer counts, if there is one",
            };
            tracing::warn!(backend = &*self.name, user = ?who.user, "no answer ({}): {counts}", failure.what);
        }
    }

    /// Remembers what the backend answered.
    fn note(&self, tag: Tag, reply: Reply, now: Instant) -> Said {
        let time = match reply.answer {
            _ if self.remote.is_watched() => WATCHED,
            Answer::Allow => self.settings.allow,
            _ => self.settings.deny,
        };
        let time = if time.is_zero() { time } else { jittered(time, self.settings.jitter) };
        let time = reply.lifetime.map_or(time, |most| time.min(most));
        let said = Self::said(reply, now, time);
        if !time.is_zero() {
            let stale = self.settings.on_error == OnError::Stale;
            let keep = if stale { self.settings.stale } else { Duration::ZERO };
            self.cache.lock().insert(tag, Said { remembered: true, ..said.clone() }, keep);
        }
        said
    }

    fn said(reply: Reply, now: Instant, time: Duration) -> Said {
        let Reply { answer, why, lifetime: _, grant, stored, filters } = reply;
        let until = now + time;
        Said { answer, why, at: now, until, remembered: false, failed: false, grant, stored, filters }
    }

    /// What counts without an answer; `last` is what was answered before.
    fn without(&self, what: String, last: Option<Said>, now: Instant) -> Said {
        let until = now + NO_ANSWER;
        let given = last.as_ref().filter(|_| self.settings.on_error == OnError::Stale);
        let grant = given.and_then(|last| last.grant.clone());
        let stored = given.and_then(|last| last.stored.clone());
        let filters = given.and_then(|last| last.filters.clone());
        let (answer, why): (_, Arc<str>) = match (self.settings.on_error, last) {
            (OnError::Stale, Some(last)) => {
                let age = now.duration_since(last.at).as_secs();
                (last.answer, format!("{}; as {age} s ago, for now: {what}", last.why).into())
            }
            (OnError::Next, _) => (Answer::Unknown, what.into()),
            (OnError::Deny | OnError::Stale, _) => (Answer::Deny, what.into()),
        };
        Said { answer, why, at: now, until, remembered: false, failed: true, grant, stored, filters }
    }
}

/// `time`, more or less by up to `jitter` and never less than half of it.
fn jittered(time: Duration, jitter: Duration) -> Duration {
    let mut random = [0; 4];
    // Without random bytes the times are all alike, which harms nobody.
    let _ = getrandom::fill(&mut random);
    let share = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
    let least = time.saturating_sub(jitter).max(time / 2);
    least + (time + jitter - least).mul_f64(share)
}

/// A password as it is put to a desk.
pub fn login(password: &Secret) -> Question {
    Question::Login(Arc::new(Secret(password.0.clone())))
}

#[cfg(test)]
mod tests;
