//! What is known of every paired user, who is to be asked about next, and what follows; knows no network and no clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Area, Cause, Closure, Error, Fault, Id, Instance, Known, Pairing, Rules, State, Who,
    decision::{self, Standing},
};

/// Users asked about at a time.
const AT_ONCE: usize = 8;
/// Longest time between two notes that nothing changed, for the time after a restart.
const NOTE: Duration = Duration::from_secs(300);

/// How the service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nobody was asked about yet.
    Starting,
    /// It answers.
    Answering,
    /// It does not answer, or refuses every request; with the error in words.
    Failing(Fault, String),
}

/// One paired user, as seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// User name.
    pub user: Arc<str>,
    /// What the service said last.
    pub state: Option<State>,
    /// When it said so, in seconds since 1970.
    pub at: Option<u64>,
    /// What else it said of the user, in words.
    pub fault: Option<(Fault, String)>,
    /// Its instances.
    pub instances: Vec<Instance>,
    /// What is closed for the user.
    pub closed: Vec<(Area, Cause)>,
}

/// How everything stands at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// How the service stands.
    pub condition: Condition,
    /// Every paired user, by name.
    pub users: Vec<UserView>,
    /// Whether all others are shut out.
    pub must_be_paired: bool,
}

impl View {
    /// Everything that is closed.
    pub fn closures(&self) -> Vec<Closure> {
        let of_user = |view: &UserView| {
            let who = Who::User(view.user.clone());
            let closed = view.closed.clone().into_iter();
            closed.map(move |(area, cause)| Closure { who: who.clone(), area, cause }).collect::<Vec<_>>()
        };
        let mut closures: Vec<Closure> = self.users.iter().flat_map(of_user).collect();
        if self.must_be_paired {
            let paired = self.users.iter().map(|view| view.user.clone()).collect();
            let who = Who::EveryoneBut(paired);
            closures.push(Closure { who, area: Area::Gateway, cause: Cause::Locked });
        }
        closures
    }
}

/// A question to the service: one user with all that is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub user: Arc<str>,
    pub account: Id,
    pub instances: Vec<Id>,
    /// Whether to ask once more before the service counts as silent.
    pub again: bool,
}

#[derive(Debug)]
struct User {
    pairing: Pairing,
    known: Option<(State, Instant, u64)>,
    fault: Option<(Fault, String)>,
    /// When the service last answered about it, in this run.
    answered: Option<Instant>,
    due: Instant,
    running: bool,
    /// Paired while the gateway ran, and not asked about yet: everything is as before.
    is_new: bool,
    fresh: BTreeSet<Id>,
    /// What was noted last, and when.
    noted: Option<(State, Instant)>,
}

#[derive(Debug)]
pub(super) struct Board {
    rules: Rules,
    users: BTreeMap<Arc<str>, User>,
    condition: Condition,
    /// When the condition began.
    since: Instant,
}

impl Board {
    /// A board that begins with `pairings`; what they know counts from `wall`, seconds since 1970, backwards. Where that is not known,
    /// nobody knows how old it is: it is worth nothing.
    pub fn new(rules: Rules, pairings: Vec<Pairing>, now: Instant, wall: Option<u64>) -> Self {
        let mut board = Board { rules, users: BTreeMap::new(), condition: Condition::Starting, since: now };
        for pairing in pairings {
            let known =
                pairing.known.as_ref().zip(wall).and_then(|(known, wall)| board.age(known, now, wall));
            board.add(pairing, known, now, false);
        }
        board
    }

    /// When something was said, if the clock allows that: one that stands before that time was set back, and says nothing
    /// about how much time has passed.
    fn age(&self, known: &Known, now: Instant, wall: u64) -> Option<(State, Instant, u64)> {
        let age = Duration::from_secs(wall.checked_sub(known.at)?);
        Some((known.state.clone(), now.checked_sub(age)?, known.at))
    }

    fn add(&mut self, pairing: Pairing, known: Option<(State, Instant, u64)>, now: Instant, is_new: bool) {
        // While nobody is asked about, a new one cannot wait for its first answer.
        let is_new = is_new && !matches!(self.condition, Condition::Failing(..));
        let user = User {
            known,
            fault: None,
            answered: None,
            due: now,
            running: false,
            is_new,
            fresh: BTreeSet::new(),
            noted: None,
            pairing,
        };
        self.users.insert(user.pairing.user.as_str().into(), user);
    }

    /// Takes in that pairings were changed. Whoever is concerned is asked about at once.
    pub fn load(&mut self, pairings: Vec<Pairing>, now: Instant) {
        let mut left: BTreeSet<Arc<str>> = self.users.keys().cloned().collect();
        for pairing in pairings {
            left.remove(pairing.user.as_str());
            match self.users.get_mut(pairing.user.as_str()) {
                Some(user) if user.pairing.account == pairing.account => {
                    let known = |id: &Id| user.pairing.instances.iter().any(|instance| instance.id == *id);
                    let fresh = pairing.instances.iter().map(|instance| &instance.id);
                    let fresh: Vec<Id> = fresh.filter(|id| !known(id)).cloned().collect();
                    if !fresh.is_empty() {
                        user.fresh.extend(fresh);
                        user.due = now;
                    }
                    user.pairing = pairing;
                }
                // Another account: an account unpaired at the phone must not open by becoming new.
                Some(_) => self.add(pairing, None, now, false),
                None => self.add(pairing, None, now, true),
            }
        }
        for gone in left {
            self.users.remove(&gone);
        }
    }

    /// Has everyone asked about again at once, under other rules.
    pub fn change(&mut self, rules: Rules, now: Instant) {
        self.rules = rules;
        self.hurry(now);
    }

    /// Has everyone asked about again at once, since what stood in the way is gone.
    pub fn hurry(&mut self, now: Instant) {
        self.users.values_mut().for_each(|user| user.due = now);
    }

    /// Whom to ask about now; each is asked about once until [`Board::settle`].
    pub fn due(&mut self, now: Instant) -> Vec<Question> {
        let answering = !matches!(self.condition, Condition::Failing(..));
        let running = self.users.values().filter(|user| user.running).count();
        // One finds out as well as many whether it answers again.
        let room = if answering { AT_ONCE } else { 1 }.saturating_sub(running);
        let mut due: Vec<(&Arc<str>, &mut User)> = self
            .users
            .iter_mut()
            .filter(|(_, user)| !user.running && user.due <= now && user.pairing.account.is_some())
            .collect();
        due.sort_by_key(|(_, user)| user.due);
        let begin = due.into_iter().take(room).filter_map(|(name, user)| {
            user.running = true;
            let instances = user.pairing.instances.iter().map(|instance| instance.id.clone()).collect();
            let account = user.pairing.account.clone()?;
            Some(Question { user: name.clone(), account, instances, again: answering })
        });
        begin.collect()
    }

    /// Takes in what came of a question. `jitter` is from 0 to 1. Returns what is to be noted for the time after a
    /// restart.
    pub fn settle(
        &mut self,
        question: &Question,
        outcome: Result<State, Error>,
        now: Instant,
        wall: u64,
        jitter: f64,
    ) -> Option<Known> {
        let next = now + self.rules.poll.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
        if let Err(error) = &outcome {
            match error.fault() {
                fault @ (Fault::NotAnswering | Fault::BadSignature | Fault::ClockSkew) => {
                    self.turn(Condition::Failing(fault, error.to_string()), now);
                    // The others would be told the same.
                    for user in self.users.values_mut() {
                        user.is_new = false;
                        user.fresh.clear();
                        user.due = user.due.max(next);
                    }
                }
                _ => self.turn(Condition::Answering, now),
            }
        } else {
            self.turn(Condition::Answering, now);
        }
        let user = self.users.get_mut(&question.user)?;
        user.running = false;
        if user.pairing.account.as_ref() != Some(&question.account) {
            return None;
        }
        user.due = next;
        user.is_new = false;
        user.fresh.retain(|id| !question.instances.contains(id));
        if !user.fresh.is_empty() {
            user.due = now;
        }
        match outcome {
            Ok(state) => {
                if user.fault.take().is_some() {
                    tracing::info!(
                        user = user.pairing.user,
                        "the Latch service answers about the user again"
                    );
                }
                if user.known.as_ref().is_none_or(|(known, ..)| *known != state) {
                    tell(&user.pairing, &state);
                }
                user.answered = Some(now);
                user.known = Some((state.clone(), now, wall));
                let interval = NOTE.min(self.rules.grace / 10);
                let noted = |(noted, at): &(State, Instant)| *noted == state && now < *at + interval;
                if user.noted.as_ref().is_some_and(noted) {
                    return None;
                }
                user.noted = Some((state.clone(), now));
                Some(Known { at: wall, state })
            }
            Err(error) => {
                let fault = error.fault();
                if !matches!(fault, Fault::NotAnswering | Fault::BadSignature | Fault::ClockSkew) {
                    if user.fault.as_ref().is_none_or(|(known, _)| *known != fault) {
                        tracing::warn!(
                            user = user.pairing.user, %fault, %error,
                            "the user is shut out: the Latch service says neither open nor locked"
                        );
                    }
                    user.fault = Some((fault, error.to_string()));
                }
                None
            }
        }
    }

    fn turn(&mut self, condition: Condition, now: Instant) {
        let same = match (&self.condition, &condition) {
            (Condition::Failing(old, _), Condition::Failing(new, _)) => old == new,
            (old, new) => old == new,
        };
        if same {
            self.condition = condition;
            return;
        }
        match &condition {
            Condition::Failing(fault, error) => {
                tracing::warn!(%fault, error, "the Latch service is of no help");
            }
            _ => tracing::info!("the Latch service answers"),
        }
        if condition == Condition::Answering {
            // After a silence everyone is asked about as soon as possible.
            self.users.values_mut().for_each(|user| user.due = user.due.min(now));
        }
        self.condition = condition;
        self.since = now;
    }

    fn standing(&self, user: &User) -> Standing {
        match (&self.condition, &user.fault) {
            _ if user.pairing.account.is_none() => Standing::Rejected(Fault::Unknown),
            (Condition::Failing(Fault::NotAnswering, _), Some((fault, _))) => Standing::Rejected(*fault),
            (Condition::Failing(Fault::NotAnswering, _), None) => Standing::Silent,
            (Condition::Failing(fault, _), _) => Standing::Rejected(*fault),
            (_, Some((fault, _))) => Standing::Rejected(*fault),
            (Condition::Starting, _) => Standing::Waiting,
            (Condition::Answering, _) if user.answered.is_some_and(|at| at >= self.since) => {
                Standing::Confirmed
            }
            (Condition::Answering, _) => Standing::Waiting,
        }
    }

    /// How everything stands. Users paired a moment ago are left out: nothing changes for them yet.
    pub fn view(&self, now: Instant) -> View {
        let users = self.users.iter().filter(|(_, user)| !user.is_new).map(|(name, user)| {
            let known = user.known.as_ref().map(|(state, at, _)| (state, now.saturating_duration_since(*at)));
            let fresh = |id: &Id| user.fresh.contains(id);
            let unreadable =
                || (Fault::Unknown, "what is kept of the pairing cannot be understood: pair anew".to_owned());
            UserView {
                user: name.clone(),
                state: user.known.as_ref().map(|(state, ..)| state.clone()),
                at: user.known.as_ref().map(|(_, _, at)| *at),
                fault: if user.pairing.account.is_none() { Some(unreadable()) } else { user.fault.clone() },
                instances: user.pairing.instances.clone(),
                closed: decision::closed(
                    self.standing(user),
                    known,
                    &user.pairing.instances,
                    &fresh,
                    &self.rules,
                ),
            }
        });
        View {
            condition: self.condition.clone(),
            users: users.collect(),
            must_be_paired: self.rules.must_be_paired,
        }
    }
}

/// Puts on record what the phone did.
fn tell(pairing: &Pairing, state: &State) {
    let topics: Vec<&str> = pairing
        .instances
        .iter()
        .filter(|instance| {
            state.instances.get(&instance.id).is_some_and(|switch| *switch != super::Switch::Open)
        })
        .map(|instance| instance.topic.as_str())
        .collect();
    tracing::info!(
        user = pairing.user,
        application = ?state.application,
        publish = ?state.publish,
        subscribe = ?state.subscribe,
        closed_topics = ?topics,
        "the Latch service says"
    );
}

#[cfg(test)]
mod tests;
