//! What is closed for a paired user: a plain function of what the service said, how it stands, and the configuration.

use std::{sync::Arc, time::Duration};

use super::{Fault, Id, Instance, State, Switch};

/// What counts while the service does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// What it said last, for [`Rules::grace`]; then closed.
    LastKnown,
    /// Closed.
    Closed,
    /// Open.
    Open,
}

/// What the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How often each user is asked about.
    pub poll: Duration,
    /// How long what was said last counts.
    pub grace: Duration,
    /// What counts while the service does not answer.
    pub on_error: OnError,
    /// The operation for publishing, if there is one.
    pub publish: Option<Id>,
    /// The operation for subscribing and receiving, if there is one.
    pub subscribe: Option<Id>,
    /// Whether users that are not paired are shut out.
    pub must_be_paired: bool,
}

/// Whom a closure is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// One user.
    User(Arc<str>),
    /// Everyone but these: they are paired.
    EveryoneBut(Vec<Arc<str>>),
}

/// What is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Area {
    /// Everything.
    Gateway,
    /// Publishing.
    Publish,
    /// Subscribing and receiving.
    Subscribe,
    /// What this topic filter matches.
    Topic(String),
}

/// Why it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It was locked at the phone, or the user is not paired and must be.
    Locked,
    /// The service says nothing that would open it.
    Unavailable,
}

/// Something that is closed for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// Whom.
    pub who: Who,
    /// What.
    pub area: Area,
    /// Why.
    pub cause: Cause,
}

/// How the service stands towards one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It answered about the user since it last began to answer.
    Confirmed,
    /// The user was not asked about since then.
    Waiting,
    /// It does not answer.
    Silent,
    /// It answers, and says something else than open or locked.
    Rejected(Fault),
}

/// What is closed for one paired user. `known` is what the service said last and how long ago. Instances in `fresh` were
/// made a moment ago and not asked about yet: they stay as they were, without a lock of their own.
pub(super) fn closed(
    standing: Standing,
    known: Option<(&State, Duration)>,
    instances: &[Instance],
    fresh: &dyn Fn(&Id) -> bool,
    rules: &Rules,
) -> Vec<(Area, Cause)> {
    let shut = || vec![(Area::Gateway, Cause::Unavailable)];
    let on_error = match standing {
        Standing::Rejected(_) => return shut(),
        Standing::Confirmed => OnError::LastKnown,
        // A silence is only known to be one when it has lasted for a request's time.
        Standing::Waiting if rules.on_error == OnError::Open => OnError::LastKnown,
        Standing::Waiting | Standing::Silent => rules.on_error,
    };
    match (on_error, known) {
        (OnError::Open, _) => Vec::new(),
        (OnError::LastKnown, Some((state, age))) if standing == Standing::Confirmed || age <= rules.grace => {
            by_state(state, instances, fresh)
        }
        _ => shut(),
    }
}

fn by_state(state: &State, instances: &[Instance], fresh: &dyn Fn(&Id) -> bool) -> Vec<(Area, Cause)> {
    let cause = |switch| match switch {
        Switch::Open => None,
        Switch::Locked => Some(Cause::Locked),
        Switch::Gone => Some(Cause::Unavailable),
    };
    if let Some(cause) = cause(state.application) {
        return vec![(Area::Gateway, cause)];
    }
    let topics = instances.iter().filter(|instance| !fresh(&instance.id)).map(|instance| {
        // One that was never asked about is as good as gone.
        let switch = state.instances.get(&instance.id).copied().unwrap_or(Switch::Gone);
        (Area::Topic(instance.topic.clone()), switch)
    });
    [(Area::Publish, state.publish), (Area::Subscribe, state.subscribe)]
        .into_iter()
        .chain(topics)
        .filter_map(|(area, switch)| Some((area, cause(switch)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(on_error: OnError) -> Rules {
        Rules {
            poll: Duration::from_secs(5),
            grace: Duration::from_secs(60),
            on_error,
            publish: None,
            subscribe: None,
            must_be_paired: false,
        }
    }

    fn state(application: Switch, publish: Switch, subscribe: Switch, door: Option<Switch>) -> State {
        let door = door.map(|switch| (Id::new("DOOR").unwrap(), switch));
        State { application, publish, subscribe, instances: door.into_iter().collect() }
    }

    fn open() -> State {
        state(Switch::Open, Switch::Open, Switch::Open, Some(Switch::Open))
    }

    fn asked(standing: Standing, known: Option<(&State, u64)>, on_error: OnError) -> Vec<(Area, Cause)> {
        let door = Instance { id: Id::new("DOOR").unwrap(), topic: "door/#".into() };
        let known = known.map(|(state, age)| (state, Duration::from_secs(age)));
        closed(standing, known, &[door], &|_| false, &rules(on_error))
    }

    const SHUT: [(Area, Cause); 1] = [(Area::Gateway, Cause::Unavailable)];

    #[test]
    fn all_three_levels_must_be_on() {
        use Switch::{Gone, Locked, Open};
        let topic = || Area::Topic("door/#".into());
        for (state, expected) in [
            (open(), vec![]),
            (state(Locked, Locked, Open, Some(Open)), vec![(Area::Gateway, Cause::Locked)]),
            (state(Gone, Open, Open, Some(Open)), vec![(Area::Gateway, Cause::Unavailable)]),
            (state(Open, Locked, Open, Some(Open)), vec![(Area::Publish, Cause::Locked)]),
            (
                state(Open, Open, Locked, Some(Locked)),
                vec![(Area::Subscribe, Cause::Locked), (topic(), Cause::Locked)],
            ),
            (state(Open, Open, Open, Some(Gone)), vec![(topic(), Cause::Unavailable)]),
            (state(Open, Open, Open, None), vec![(topic(), Cause::Unavailable)]),
        ] {
            for on_error in [OnError::LastKnown, OnError::Closed, OnError::Open] {
                assert_eq!(
                    asked(Standing::Confirmed, Some((&state, 1_000_000)), on_error),
                    expected,
                    "{state:?}"
                );
            }
        }
    }

    #[test]
    fn a_silent_service_is_taken_as_the_configuration_says() {
        let locked = state(Switch::Locked, Switch::Open, Switch::Open, None);
        let silent = Standing::Silent;
        assert_eq!(asked(silent, Some((&open(), 60)), OnError::LastKnown), []);
        assert_eq!(asked(silent, Some((&open(), 61)), OnError::LastKnown), SHUT);
        assert_eq!(asked(silent, Some((&locked, 1)), OnError::LastKnown), [(Area::Gateway, Cause::Locked)]);
        assert_eq!(asked(silent, None, OnError::LastKnown), SHUT);
        assert_eq!(asked(silent, Some((&open(), 0)), OnError::Closed), SHUT);
        assert_eq!(asked(silent, Some((&locked, 0)), OnError::Open), []);
        assert_eq!(asked(silent, None, OnError::Open), []);
    }

    #[test]
    fn before_the_first_answer_nothing_is_open_that_was_not() {
        let waiting = Standing::Waiting;
        for on_error in [OnError::LastKnown, OnError::Closed, OnError::Open] {
            assert_eq!(asked(waiting, None, on_error), SHUT, "{on_error:?}");
            assert_eq!(asked(waiting, Some((&open(), 61)), on_error), SHUT, "{on_error:?}");
        }
        assert_eq!(asked(waiting, Some((&open(), 1)), OnError::LastKnown), []);
        assert_eq!(asked(waiting, Some((&open(), 1)), OnError::Closed), SHUT);
    }

    #[test]
    fn no_fault_that_the_service_tells_of_opens_whatever_the_configuration_says() {
        for fault in [Fault::BadSignature, Fault::ClockSkew, Fault::Unpaired, Fault::Unknown, Fault::Refused]
        {
            for on_error in [OnError::LastKnown, OnError::Closed, OnError::Open] {
                assert_eq!(asked(Standing::Rejected(fault), Some((&open(), 0)), on_error), SHUT, "{fault}");
            }
        }
    }

    #[test]
    fn an_instance_made_a_moment_ago_is_left_out_until_it_was_asked_about() {
        let door = Instance { id: Id::new("NEW").unwrap(), topic: "new".into() };
        let known = open();
        let known = Some((&known, Duration::ZERO));
        let rules = rules(OnError::LastKnown);
        assert_eq!(closed(Standing::Confirmed, known, std::slice::from_ref(&door), &|_| true, &rules), []);
        assert_eq!(closed(Standing::Confirmed, known, &[door], &|_| false, &rules).len(), 1);
    }
}
