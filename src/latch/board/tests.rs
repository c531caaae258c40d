//! Stories of a board: outages, restarts, new pairings.

use super::*;
use crate::latch::{OnError, Refusal, Switch};

const SHUT: [(Area, Cause); 1] = [(Area::Gateway, Cause::Unavailable)];
const WALL: u64 = 1_000_000;

fn rules() -> Rules {
    Rules {
        poll: Duration::from_secs(10),
        grace: Duration::from_secs(60),
        on_error: OnError::LastKnown,
        publish: None,
        subscribe: None,
        must_be_paired: false,
    }
}

fn state(application: Switch) -> State {
    State { application, publish: Switch::Open, subscribe: Switch::Open, instances: BTreeMap::new() }
}

fn pairing(user: &str) -> Pairing {
    let account = Some(Id::new(&format!("ACC{user}")).unwrap());
    Pairing { user: user.into(), account, instances: Vec::new(), known: None }
}

fn silent() -> Result<State, Error> {
    Err(Error::Timeout(Duration::from_secs(1)))
}

fn refused(code: u64) -> Result<State, Error> {
    Err(Error::Refused(Refusal::new(code, "")))
}

/// A board with its time.
struct Story {
    board: Board,
    now: Instant,
    wall: u64,
}

impl Story {
    fn begin(rules: Rules, pairings: Vec<Pairing>) -> Self {
        // Far enough from the beginning of the clock that times before it can be told.
        let now = Instant::now() + Duration::from_secs(100_000);
        Story { board: Board::new(rules, pairings, now, Some(WALL)), now, wall: WALL }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.wall += seconds;
    }

    /// Everyone who is due is asked about, with this outcome; how many, and what was noted.
    fn ask(&mut self, outcome: &Result<State, Error>) -> (usize, Vec<Known>) {
        let due = self.board.due(self.now);
        let noted = due
            .iter()
            .filter_map(|question| self.board.settle(question, outcome.clone(), self.now, self.wall, 0.5))
            .collect();
        (due.len(), noted)
    }

    fn closed(&self, user: &str) -> Option<Vec<(Area, Cause)>> {
        let view = self.board.view(self.now);
        view.users.into_iter().find(|view| &*view.user == user).map(|view| view.closed)
    }
}

#[test]
fn nobody_is_asked_about_twice_at_a_time_and_few_at_once() {
    let mut story = Story::begin(rules(), (0..20).map(|n| pairing(&format!("u{n}"))).collect());
    let first = story.board.due(story.now);
    assert_eq!(first.len(), AT_ONCE);
    assert_eq!(story.board.due(story.now), []);
    story.board.settle(&first[0], Ok(state(Switch::Open)), story.now, story.wall, 0.5);
    let next = story.board.due(story.now);
    assert_eq!(next.len(), 1);
    assert!(first.iter().all(|question| question.user != next[0].user));
}

#[test]
fn polls_are_spread_by_jitter() {
    let mut story = Story::begin(rules(), vec![pairing("a")]);
    let question = story.board.due(story.now).remove(0);
    story.board.settle(&question, Ok(state(Switch::Open)), story.now, story.wall, 1.0);
    story.pass(11);
    assert_eq!(story.board.due(story.now), []);
    story.pass(1);
    assert_eq!(story.board.due(story.now).len(), 1);
}

#[test]
fn an_outage_keeps_what_was_known_for_the_grace_and_then_closes() {
    let mut story = Story::begin(rules(), vec![pairing("a")]);
    assert_eq!(story.closed("a").unwrap(), SHUT, "before the first answer");
    story.ask(&Ok(state(Switch::Open)));
    assert_eq!(story.closed("a").unwrap(), []);
    story.pass(12);
    story.ask(&silent());
    assert_eq!(story.closed("a").unwrap(), []);
    story.pass(48);
    assert_eq!(story.closed("a").unwrap(), []);
    story.pass(1);
    assert_eq!(story.closed("a").unwrap(), SHUT);
    story.ask(&Ok(state(Switch::Open)));
    assert_eq!(story.closed("a").unwrap(), []);
}

#[test]
fn while_the_service_is_silent_one_question_at_a_time_is_enough() {
    let mut story = Story::begin(rules(), (0..20).map(|n| pairing(&format!("u{n}"))).collect());
    for _ in 0..3 {
        story.ask(&Ok(state(Switch::Open)));
    }
    story.pass(12);
    story.ask(&silent());
    assert!(story.board.view(story.now).users.iter().all(|view| view.closed.is_empty()), "in their grace");
    story.pass(12);
    let probe = story.board.due(story.now);
    assert_eq!((probe.len(), probe[0].again), (1, false));
    story.board.settle(&probe[0], Ok(state(Switch::Open)), story.now, story.wall, 0.5);
    assert_eq!(story.board.due(story.now).len(), AT_ONCE, "all are asked about as soon as it answers");
}

#[test]
fn after_an_outage_nothing_opens_before_it_was_asked_about_again() {
    let mut story =
        Story::begin(Rules { on_error: OnError::Closed, ..rules() }, vec![pairing("a"), pairing("b")]);
    story.ask(&Ok(state(Switch::Open)));
    story.pass(12);
    story.ask(&silent());
    assert_eq!((story.closed("a").unwrap(), story.closed("b").unwrap()), (SHUT.to_vec(), SHUT.to_vec()));
    story.pass(12);
    let probe = story.board.due(story.now).remove(0);
    story.board.settle(&probe, Ok(state(Switch::Open)), story.now, story.wall, 0.5);
    let other = if &*probe.user == "a" { "b" } else { "a" };
    assert_eq!(story.closed(&probe.user).unwrap(), []);
    assert_eq!(story.closed(other).unwrap(), SHUT);
}

#[test]
fn faults_close_at_once_in_every_mode_and_end_with_the_next_answer() {
    for on_error in [OnError::LastKnown, OnError::Closed, OnError::Open] {
        for code in [102, 109, 201, 207, 301] {
            let mut story = Story::begin(Rules { on_error, ..rules() }, vec![pairing("a")]);
            story.ask(&Ok(state(Switch::Open)));
            story.pass(12);
            story.ask(&refused(code));
            assert_eq!(story.closed("a").unwrap(), SHUT, "{code} {on_error:?}");
            story.pass(12);
            story.ask(&Ok(state(Switch::Open)));
            assert_eq!(story.closed("a").unwrap(), [], "{code} {on_error:?}");
        }
    }
}

#[test]
fn a_user_unpaired_from_the_phone_stays_shut_out_through_an_outage() {
    let mut story = Story::begin(Rules { on_error: OnError::Open, ..rules() }, vec![pairing("a")]);
    story.ask(&refused(201));
    story.pass(12);
    story.ask(&silent());
    assert_eq!(story.closed("a").unwrap(), SHUT);
}

#[test]
fn what_was_noted_counts_after_a_restart_for_the_rest_of_the_grace() {
    let known = |at| Pairing { known: Some(Known { at, state: state(Switch::Open) }), ..pairing("a") };
    let mut story = Story::begin(rules(), vec![known(WALL - 50)]);
    assert_eq!(story.closed("a").unwrap(), []);
    story.ask(&silent());
    story.pass(10);
    assert_eq!(story.closed("a").unwrap(), []);
    story.pass(1);
    assert_eq!(story.closed("a").unwrap(), SHUT);
    assert_eq!(Story::begin(rules(), vec![known(WALL - 61)]).closed("a").unwrap(), SHUT);
    assert_eq!(
        Story::begin(rules(), vec![known(WALL + 5)]).closed("a").unwrap(),
        SHUT,
        "the clock was set back"
    );
    assert_eq!(Story::begin(rules(), vec![known(0)]).closed("a").unwrap(), SHUT);
    let undated = Board::new(rules(), vec![known(WALL - 5)], Instant::now(), None);
    let view = undated.view(Instant::now());
    assert_eq!(view.users[0].closed, SHUT, "the clock is not set: the time since is not known");
}

#[test]
fn a_state_is_noted_when_it_changes_and_else_now_and_then() {
    let mut story = Story::begin(Rules { grace: Duration::from_secs(600), ..rules() }, vec![pairing("a")]);
    let mut noted = Vec::new();
    for round in 0..10 {
        let switch = if round < 9 { Switch::Open } else { Switch::Locked };
        noted.push(story.ask(&Ok(state(switch))).1.len());
        story.pass(12);
    }
    assert_eq!(noted, [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
}

#[test]
fn a_new_pairing_changes_nothing_until_it_was_asked_about() {
    let must = Rules { must_be_paired: true, ..rules() };
    let mut story = Story::begin(must, vec![pairing("a")]);
    story.ask(&Ok(state(Switch::Open)));
    story.board.load(vec![pairing("a"), pairing("b")], story.now);
    assert_eq!(story.closed("b"), None);
    let view = story.board.view(story.now);
    let but = Who::EveryoneBut(vec!["a".into()]);
    assert_eq!(view.closures(), [Closure { who: but, area: Area::Gateway, cause: Cause::Locked }]);
    assert_eq!(story.ask(&Ok(state(Switch::Open))).0, 1, "at once");
    assert_eq!(story.closed("b").unwrap(), []);
    story.board.load(vec![pairing("b")], story.now);
    assert_eq!(story.closed("a"), None);
}

#[test]
fn a_new_pairing_during_an_outage_is_closed() {
    let mut story = Story::begin(rules(), vec![pairing("a")]);
    story.ask(&silent());
    story.board.load(vec![pairing("a"), pairing("b")], story.now);
    assert_eq!(story.closed("b").unwrap(), SHUT);
    let mut story = Story::begin(rules(), vec![]);
    story.board.load(vec![pairing("b")], story.now);
    assert_eq!(story.closed("b"), None);
    story.ask(&silent());
    assert_eq!(story.closed("b").unwrap(), SHUT);
}

#[test]
fn a_pairing_that_cannot_be_understood_shuts_its_user_out() {
    let broken = Pairing { account: None, ..pairing("a") };
    let mut story = Story::begin(Rules { on_error: OnError::Open, ..rules() }, vec![broken]);
    assert_eq!(story.closed("a").unwrap(), SHUT);
    assert_eq!(story.ask(&Ok(state(Switch::Open))).0, 0);
    assert_eq!(story.closed("a").unwrap(), SHUT);
}

#[test]
fn an_answer_about_an_account_that_was_replaced_meanwhile_says_nothing() {
    let mut story = Story::begin(rules(), vec![pairing("a")]);
    let old = story.board.due(story.now).remove(0);
    let other = Pairing { account: Some(Id::new("OTHER").unwrap()), ..pairing("a") };
    story.board.load(vec![other], story.now);
    assert_eq!(story.board.settle(&old, Ok(state(Switch::Open)), story.now, story.wall, 0.5), None);
    assert_eq!(story.closed("a").unwrap(), SHUT);
    assert_eq!(story.ask(&Ok(state(Switch::Open))).0, 1);
    assert_eq!(story.closed("a").unwrap(), []);
}

#[test]
fn an_instance_made_while_the_gateway_runs_is_asked_about_at_once() {
    let mut story = Story::begin(rules(), vec![pairing("a")]);
    story.ask(&Ok(state(Switch::Open)));
    let door = Instance { id: Id::new("DOOR").unwrap(), topic: "door".into() };
    let with_door = Pairing { instances: vec![door.clone()], ..pairing("a") };
    story.board.load(vec![with_door], story.now);
    assert_eq!(story.closed("a").unwrap(), []);
    let locked = State { instances: [(door.id, Switch::Locked)].into(), ..state(Switch::Open) };
    story.ask(&Ok(locked));
    assert_eq!(story.closed("a").unwrap(), [(Area::Topic("door".into()), Cause::Locked)]);
}
