//! Logging in with a user name and a password.

mod judge;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use crate::mqtt::ReasonCode;
use crate::policy::{
    accounts::AccountStore,
    acl::Book,
    certificate::Shown,
    decision::{Denial, Stage},
    metrics::Metrics,
    policy::{Secret, is_disabled, number_of},
    throttle::Throttle,
};

use super::{
    backend::{Answer, Question, Who},
    backends::{Backend, Kind},
    desk::{self, Desk, Said},
    memory::LoginMemory,
    password::SaltReading,
    token::{Errand, Granted},
};

/// How a password was judged.
enum Judged {
    Right,
    /// To be answered after this time, if it was counted already.
    Wrong(Option<Duration>),
    /// Nothing was verified: there were too many wrong ones meanwhile.
    Banned,
}

/// What a backend elsewhere came to.
enum Asked {
    Said(Said, Errand),
    /// It is not for such questions.
    Nothing,
    /// There were too many wrong ones meanwhile.
    Banned,
}

/// A backend elsewhere that knows stored passwords, and its place among the others.
struct Elsewhere<'a> {
    desk: &'a Arc<Desk>,
    step: &'a Step<'a>,
    /// Whether something is to be hashed even if there is no such user.
    decoy: bool,
    /// Whether nobody is asked after it.
    decides: bool,
}

/// What became of asking it.
enum Found {
    Right((Arc<Granted>, Errand)),
    /// To be answered after this time, if it was counted already.
    Wrong(Option<Duration>),
    /// It knows no such user.
    Nobody,
    /// It does not answer; true: and that is a no.
    Silent(bool),
    /// There were too many wrong ones meanwhile.
    Banned,
}

/// Who wants in, and who is asked.
pub(in crate::policy) struct Candidate<'a> {
    /// The backends in order, with the name that each is told.
    pub route: Vec<(&'a Backend, &'a str)>,
    pub user: Arc<str>,
    pub client_id: Arc<str>,
    pub address: SocketAddr,
    pub listener: Arc<str>,
    pub certificate: Option<Arc<Shown>>,
}

/// Who let it in; nobody if it needed no password.
#[derive(Debug, Default)]
pub(in crate::policy) struct Admitted {
    pub backend: Option<Arc<str>>,
    pub credential: Option<i64>,
    /// What a token grants, and how it is asked about again.
    pub grant: Option<(Arc<Granted>, Errand)>,
}

/// One backend's part in a login.
struct Step<'a> {
    backend: &'a Backend,
    user: &'a str,
    stored: Option<Arc<str>>,
    salt: SaltReading,
    /// The number of the password.
    credential: Option<i64>,
}

impl<'a> Candidate<'a> {
    fn steps(&self, book: &Book) -> Vec<Step<'a>> {
        let step = |(backend, user): (&'a Backend, &'a str)| {
            let (stored, salt, credential) = match &backend.kind {
                Kind::Sqlite => match book.account(user) {
                    Some(account) => (account.hash.clone(), SaltReading::Auto, Some(account.credential)),
                    None => (None, SaltReading::Auto, None),
                },
                Kind::Files(files) => match files.reading().stored(user) {
                    Some(stored) => (Some(stored.clone()), files.salt(), Some(number_of(stored))),
                    None => (None, SaltReading::Auto, None),
                },
                Kind::Asked(_) => (None, SaltReading::Auto, None),
            };
            Step { backend, user, stored, salt, credential }
        };
        self.route.iter().copied().map(step).collect()
    }

    /// As a backend elsewhere is told of it.
    fn who(&self, user: &str) -> Arc<Who> {
        Arc::new(Who {
            user: user.into(),
            client_id: self.client_id.clone(),
            address: self.address,
            listener: self.listener.clone(),
            anonymous: false,
            certificate: self.certificate.clone(),
        })
    }
}

/// Verifies logins, few at a time and never on an async worker.
pub(in crate::policy) struct Login {
    store: Arc<dyn AccountStore>,
    upgrade: bool,
    metrics: Arc<Metrics>,
    throttle: Arc<Throttle>,
    memory: Arc<LoginMemory>,
    /// How many passwords are hashed at a time: one core stays free for traffic.
    hashing: Arc<Semaphore>,
    /// What the password of an unknown user is compared with, so that it takes as long as a known one's.
    decoy: ArcSwap<Option<String>>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl Login {
    pub fn new(
        store: Arc<dyn AccountStore>,
        upgrade: bool,
        remember: Duration,
        metrics: Arc<Metrics>,
        throttle: Arc<Throttle>,
    ) -> Result<Self, getrandom::Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Login {
            store,
            upgrade,
            metrics,
            throttle,
            memory: Arc::new(LoginMemory::new(LoginMemory::DEFAULT_CAPACITY, remember)?),
            hashing: Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))),
            decoy: ArcSwap::from_pointee(None),
        })
    }

    pub fn store(&self) -> &dyn AccountStore {
        &*self.store
    }

    /// Verifies a login: the backends are asked in order, and the first that knows the password has admitted it, unless the
    /// gateway's own account of that name is disabled. Elsewhere too, an unknown user, a wrong password and an account
    /// without one are answered alike, and as late.
    pub async fn verify(
        &self,
        book: &ArcSwap<Book>,
        candidate: Candidate<'_>,
        password: Option<&Secret>,
    ) -> Result<Admitted, Denial> {
        let route = candidate.route.clone();
        let admitted = self.find_backend(book, candidate, password).await?;
        // Only who knows the password is told.
        match is_disabled(&route, &book.load()) {
            false => Ok(admitted),
            true => Err(Denial::not_authorized(Stage::Login, None, "the account is disabled")),
        }
    }

    async fn find_backend(
        &self,
        book: &ArcSwap<Book>,
        candidate: Candidate<'_>,
        password: Option<&Secret>,
    ) -> Result<Admitted, Denial> {
        let wrong = || Denial {
            stage: Stage::Login,
            rule: None,
            reason: "bad user name or password",
            code: ReasonCode::BadUserNameOrPassword,
            audit: None,
            lock: None,
        };
        let (user, address) = (&candidate.user, candidate.address.ip());
        let Some(password) = password else {
            let delay = self.throttle.failed(user, address, Instant::now());
            tokio::time::sleep(delay).await;
            return Err(wrong());
        };
        // The last stored password decides, if nobody is asked after it; so its outcome is counted at once.
        let local = |kind: &Kind| !matches!(kind, Kind::Asked(_));
        let steps = candidate.steps(&book.load());
        let last = steps.iter().rposition(|step| step.stored.is_some()).or_else(|| {
            // Nobody has such a user: a stranger must take as long as a friend.
            let elsewhere = steps.iter().any(|step| step.backend.kind.stores_elsewhere());
            steps.iter().position(|step| local(&step.backend.kind) && !elsewhere)
        });
        let mut hashed = last.is_some();
        let mut outcome = None;
        // Whether a backend did not answer, and whether a password was found wrong by what is stored of it all the same.
        let (mut silent, mut wrong_here) = (false, false);
        for (place, step) in steps.iter().enumerate() {
            let name = || Some(step.backend.name.clone());
            match &step.backend.kind {
                kind @ Kind::Asked(desk) if kind.stores_elsewhere() => {
                    let later = &steps[place + 1..];
                    let decoy = !hashed && !later.iter().any(|step| step.backend.kind.stores_elsewhere());
                    let asking = Elsewhere { desk, step, decoy, decides: later.is_empty() };
                    match self.judge_elsewhere(&candidate, asking, password).await {
                        Found::Right(grant) => {
                            let credential = grant.1.stored.as_deref().map(number_of);
                            return Ok(Admitted { backend: name(), credential, grant: Some(grant) });
                        }
                        Found::Banned => return Err(Denial::banned()),
                        Found::Nobody => {}
                        Found::Silent(denied) => {
                            silent = true;
                            if denied {
                                break;
                            }
                        }
                        Found::Wrong(delay) => {
                            hashed = true;
                            wrong_here = true;
                            outcome = outcome.max(delay);
                        }
                    }
                }
                Kind::Asked(desk) => match self.ask(desk, &candidate, step.user, password).await {
                    Asked::Banned => return Err(Denial::banned()),
                    Asked::Said(Said { answer: Answer::Allow, grant, .. }, errand) => {
                        self.throttle.succeeded(user, address);
                        let grant = grant.map(|grant| (grant, errand));
                        return Ok(Admitted { backend: name(), credential: None, grant });
                    }
                    Asked::Said(Said { answer, failed, .. }, _) => {
                        silent |= failed;
                        if answer == Answer::Deny {
                            break;
                        }
                    }
                    Asked::Nothing => {}
                },
                _ if step.stored.is_none() && last != Some(place) => {}
                _ => {
                    let others = steps[place + 1..].iter();
                    let decides = others.filter(|step| !local(&step.backend.kind)).count() == 0;
                    // Who is known here or nowhere has failed now; who may be known to one that does not answer has not.
                    let decides = decides && last == Some(place) && (!silent || step.stored.is_some());
                    match self.judge(user, step, password, address, decides).await {
                        Judged::Right => {
                            return match step.credential {
                                credential @ Some(_) => {
                                    Ok(Admitted { backend: name(), credential, grant: None })
                                }
                                None => Err(wrong()),
                            };
                        }
                        Judged::Wrong(delay) => {
                            wrong_here |= step.stored.is_some();
                            outcome = outcome.max(delay);
                        }
                        Judged::Banned => return Err(Denial::banned()),
                    }
                }
            }
        }
        // Whoever may be known to a backend that does not answer is told so, known here or not: the answer must not tell who has
        // an account here. But an outage must not ban those whose passwords are right, so only who is known to be wrong has
        // failed.
        if silent && !wrong_here {
            return Err(Denial::unanswered());
        }
        // No hashing slot is held meanwhile.
        let delay = outcome.unwrap_or_else(|| self.throttle.failed(user, address, Instant::now()));
        tokio::time::sleep(delay).await;
        Err(if silent { Denial::unanswered() } else { wrong() })
    }

    /// Asks a backend elsewhere.
    async fn ask(&self, desk: &Arc<Desk>, candidate: &Candidate<'_>, user: &str, password: &Secret) -> Asked {
        let question = desk::login(password);
        if !desk.answers(&question) {
            return Asked::Nothing;
        }
        // An empty password is none: some directories take it for a visit without a name.
        if password.0.is_empty() {
            return Asked::Nothing;
        }
        let (who, changes) = (candidate.who(user), desk.changes());
        let said = desk.ask(&who, &question).await;
        // Many guesses may have waited side by side.
        if self.throttle.is_banned(&candidate.user, candidate.address.ip(), Instant::now()) {
            return Asked::Banned;
        }
        Asked::Said(said, Errand { desk: desk.clone(), who, question, stored: None, changes })
    }

    /// Judges the password by what a backend elsewhere has stored of it.
    async fn judge_elsewhere(
        &self,
        candidate: &Candidate<'_>,
        asking: Elsewhere<'_>,
        password: &Secret,
    ) -> Found {
        let Elsewhere { desk, step, decoy, decides } = asking;
        let (name, address) = (&candidate.user, candidate.address.ip());
        // Before it is asked, so that no change is missed.
        let changes = desk.changes();
        let who = candidate.who(step.user);
        let mut said = desk.ask(&who, &Question::Stored).await;
        let mut judged = None;
        // What is remembered may be a password that was changed since.
        for again in [true, false] {
            if said.failed && said.answer == Answer::Deny {
                return Found::Silent(true);
            }
            let stored = said.stored.clone();
            if stored.is_some() || (decoy && judged.is_none()) {
                let text = stored.as_ref().map(|stored| stored.text.clone());
                let salt = stored.as_ref().map(|stored| stored.salt).unwrap_or_default();
                let known = Step { stored: text.clone(), salt, credential: None, ..*step };
                match self.judge(name, &known, password, address, decides && judged.is_none()).await {
                    Judged::Right => {
                        let errand = Errand {
                            desk: desk.clone(),
                            who,
                            question: Question::Stored,
                            stored: text,
                            changes,
                        };
                        return Found::Right((Arc::default(), errand));
                    }
                    Judged::Banned => return Found::Banned,
                    Judged::Wrong(delay) => judged = Some(judged.flatten().max(delay)),
                }
            }
            // That there is no such user counts for its time, like any answer.
            if !(again && said.remembered && stored.is_some()) {
                break;
            }
            let anew = desk.ask_anew(&who, &Question::Stored).await;
            if anew.stored == stored {
                break;
            }
            said = anew;
        }
        match judged {
            Some(delay) if said.stored.is_some() || !said.failed => Found::Wrong(delay),
            _ if said.failed => Found::Silent(false),
            _ => Found::Nobody,
        }
    }
}
