//! Who holds what: a plain value, changed by plain functions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::scope::{Area, Cause, Held, Holder, Scope, Who};

/// That one holder holds one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Why.
    pub cause: Cause,
    /// Since when.
    pub since: Timestamp,
    /// Who closed it, for the log: a user of this machine, a button, a phone.
    pub by: Arc<str>,
}

/// Everything that is held. A scope that nobody holds is open, and not in here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    closed: BTreeMap<Scope, BTreeMap<Holder, Hold>>,
    /// When it last changed.
    since: Option<Timestamp>,
}

/// What makes one state into another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Holds that are new, or otherwise than they were.
    pub put: Vec<(Scope, Holder, Hold)>,
    /// Holds that are gone.
    pub removed: Vec<(Scope, Holder)>,
}

impl State {
    /// A state that was kept.
    pub fn restore(
        holds: impl IntoIterator<Item = (Scope, Holder, Hold)>,
        since: Option<Timestamp>,
    ) -> State {
        let mut state = State { closed: BTreeMap::new(), since };
        for (scope, holder, hold) in holds {
            state.closed.entry(scope).or_default().insert(holder, hold);
        }
        state
    }

    /// Every scope that is closed, with its holders.
    pub fn closed(&self) -> impl Iterator<Item = (&Scope, &BTreeMap<Holder, Hold>)> {
        self.closed.iter()
    }

    /// Everything that is held, one by one.
    pub fn holds(&self) -> impl Iterator<Item = (&Scope, Holder, &Hold)> {
        self.closed
            .iter()
            .flat_map(|(scope, holders)| holders.iter().map(move |(holder, hold)| (scope, *holder, hold)))
    }

    /// Whether this very scope is closed. What else closes part of it does not count.
    pub fn is_closed(&self, scope: &Scope) -> bool {
        self.closed.contains_key(scope)
    }

    /// Whether anything is closed.
    pub fn is_any_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Who holds this very scope.
    pub fn holders(&self, scope: &Scope) -> Vec<Holder> {
        self.closed.get(scope).map(|holders| holders.keys().copied().collect()).unwrap_or_default()
    }

    /// Who holds the gateway closed for everyone.
    pub fn gateway_holders(&self) -> Vec<Holder> {
        self.holders(&Scope::GATEWAY)
    }

    /// When it last changed, if it ever did.
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// How many holds there are.
    pub fn len(&self) -> usize {
        self.closed.values().map(BTreeMap::len).sum()
    }

    /// How many scopes are closed, by area.
    pub fn counts(&self) -> [(&'static str, usize); 4] {
        let mut counts = [("gateway", 0), ("publish", 0), ("subscribe", 0), ("topic", 0)];
        for scope in self.closed.keys() {
            counts[match scope.area {
                Area::Gateway => 0,
                Area::Publish => 1,
                Area::Subscribe => 2,
                Area::Topic(_) => 3,
            }]
            .1 += 1;
        }
        counts
    }

    /// Whether everything is open.
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty()
    }

    /// Has `holder` hold a scope. What it holds already stays as it is.
    pub(super) fn close(&mut self, holder: Holder, held: Held, by: &Arc<str>, now: Timestamp) {
        let holders = self.closed.entry(held.scope).or_default();
        if holders.get(&holder).is_some_and(|hold| hold.cause == held.cause) {
            return;
        }
        holders.insert(holder, Hold { cause: held.cause, since: now, by: by.clone() });
        self.since = Some(now);
    }

    /// Has `holder` let go of a scope.
    pub(super) fn open(&mut self, holder: Holder, scope: &Scope, now: Timestamp) {
        let Some(holders) = self.closed.get_mut(scope) else { return };
        if holders.remove(&holder).is_none() {
            return;
        }
        if holders.is_empty() {
            self.closed.remove(scope);
        }
        self.since = Some(now);
    }

    /// Has `holder` hold exactly this.
    pub(super) fn replace(&mut self, holder: Holder, all: Vec<Held>, by: &Arc<str>, now: Timestamp) {
        let kept: BTreeSet<&Scope> = all.iter().map(|held| &held.scope).collect();
        let goes: Vec<Scope> = self.held_by(holder).filter(|scope| !kept.contains(scope)).cloned().collect();
        goes.iter().for_each(|scope| self.open(holder, scope, now));
        all.into_iter().for_each(|held| self.close(holder, held, by, now));
    }

    fn held_by(&self, holder: Holder) -> impl Iterator<Item = &Scope> {
        self.closed.iter().filter(move |(_, holders)| holders.contains_key(&holder)).map(|(scope, _)| scope)
    }

    /// This state with everything closed that is closed in `other` too; if that is no more than `other`, `other` itself.
    pub(super) fn and_closed_in(&self, other: &State) -> State {
        let mut both = self.clone();
        for (scope, holder, hold) in other.holds() {
            both.closed.entry(scope.clone()).or_default().entry(holder).or_insert_with(|| hold.clone());
        }
        if both.closed == other.closed { other.clone() } else { both }
    }

    /// What makes this state into `new`.
    pub fn difference(&self, new: &State) -> Difference {
        let get = |state: &State, scope: &Scope, holder| -> Option<Hold> {
            state.closed.get(scope).and_then(|holders| holders.get(&holder)).cloned()
        };
        let put = new
            .holds()
            .filter(|(scope, holder, hold)| get(self, scope, *holder).as_ref() != Some(*hold))
            .map(|(scope, holder, hold)| (scope.clone(), holder, hold.clone()));
        let removed = self
            .holds()
            .filter(|(scope, holder, _)| get(new, scope, *holder).is_none())
            .map(|(scope, holder, _)| (scope.clone(), holder));
        Difference { put: put.collect(), removed: removed.collect() }
    }

    /// The whole state for people and programs, as `LATCH/lock` has it.
    pub fn to_json(&self) -> Value {
        let holders = self.gateway_holders();
        let names = |holders: Vec<Holder>| holders.into_iter().map(Holder::name).collect::<Vec<_>>();
        let scopes: Vec<Value> = self.closed.iter().map(scope_json).collect();
        json!({
            "gateway": if holders.is_empty() { "open" } else { "closed" },
            "holders": names(holders),
            "scopes": scopes,
            "since": self.since.map(seconds),
        })
    }
}

/// A time in whole seconds, as RFC 3339 has it.
pub(super) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn scope_json((scope, holders): (&Scope, &BTreeMap<Holder, Hold>)) -> Value {
    let mut value = json!({
        "scope": scope.area.to_string(),
        "holders": holders.keys().map(|holder| holder.name()).collect::<Vec<_>>(),
        "cause": holders.values().find(|hold| hold.cause == Cause::Locked).map_or("unavailable", |_| "locked"),
        "since": holders.values().map(|hold| hold.since).min().map(seconds),
    });
    match &scope.who {
        Who::Everyone => {}
        Who::User(user) => value["user"] = json!(&**user),
        Who::EveryoneBut(users) => {
            value["everyone_but"] = json!(users.iter().map(|user| &**user).collect::<Vec<_>>())
        }
    }
    value
}
