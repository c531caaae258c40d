//! The lock against a plain model, and what it does when nothing can be kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::mqtt::TopicFilter;
use crate::policy::live::Live;

/// Keeps what it is told, unless it is told to fail.
#[derive(Default)]
struct Paper {
    kept: Mutex<State>,
    log: Mutex<Vec<Entry>>,
    fails: Mutex<bool>,
    damage: Option<String>,
}

impl LockStore for Paper {
    fn load(&self) -> Result<Kept, LockStoreError> {
        Ok(Kept { state: self.kept.lock().clone(), damage: self.damage.clone() })
    }

    fn save(&self, edit: &Edit<'_>) -> Result<(), LockStoreError> {
        if *self.fails.lock() {
            return Err(LockStoreError { what: "the disk is full".into() });
        }
        let mut kept = self.kept.lock();
        let gone = |scope: &Scope, holder| edit.difference.removed.contains(&(scope.clone(), holder));
        let stays = kept.holds().filter(|(scope, holder, _)| !gone(scope, *holder));
        let stays = stays.map(|(scope, holder, hold)| (scope.clone(), holder, hold.clone()));
        let next = State::restore(stays.chain(edit.difference.put.iter().cloned()), edit.since);
        *kept = next;
        self.log.lock().extend(edit.log.iter().cloned());
        Ok(())
    }

    fn log(&self, _: usize) -> Result<Vec<Entry>, LockStoreError> {
        Ok(self.log.lock().clone())
    }
}

fn lock(paper: &Arc<Paper>, settings: Settings) -> Arc<Lock> {
    Arc::new(Lock::load(paper.clone(), settings, Arc::new(Live::default())).unwrap())
}

fn scope(area: &str, user: Option<&str>) -> Scope {
    Scope::parse(area, user).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

const USERS: [&str; 4] = ["ann", "bob", "eve", "bridge:cloud"];
const TOPICS: [&str; 4] = ["doors/1", "doors/2", "lamps", "LATCH/lock"];

fn scopes() -> impl Strategy<Value = Scope> {
    let area = prop::sample::select(vec![
        "gateway",
        "publish",
        "subscribe",
        "topic:doors/#",
        "topic:doors/1",
        "topic:#",
        "topic:+",
    ]);
    let who = prop_oneof![
        Just(Who::Everyone),
        prop::sample::select(USERS.to_vec()).prop_map(|user| Who::User(user.into())),
        prop::collection::btree_set(prop::sample::select(USERS.to_vec()), 0..3)
            .prop_map(|users| Who::EveryoneBut(Arc::new(users.into_iter().map(Arc::from).collect()))),
    ];
    (area, who).prop_map(|(area, who)| Scope { area: area.parse().unwrap(), who })
}

#[derive(Clone, Debug)]
enum Step {
    Close(Holder, Scope),
    Open(Holder, Scope),
    Hold(Holder, Vec<Scope>),
    Release(Holder),
    Fail(bool),
}

fn steps() -> impl Strategy<Value = Step> {
    let holder = || prop::sample::select(Holder::ALL.to_vec());
    prop_oneof![
        4 => (holder(), scopes()).prop_map(|(holder, scope)| Step::Close(holder, scope)),
        3 => (holder(), scopes()).prop_map(|(holder, scope)| Step::Open(holder, scope)),
        2 => (holder(), prop::collection::vec(scopes(), 0..4)).prop_map(|(h, all)| Step::Hold(h, all)),
        1 => holder().prop_map(Step::Release),
        1 => any::<bool>().prop_map(Step::Fail),
    ]
}

type Model = BTreeSet<(Scope, Holder)>;

fn of(state: &State) -> Model {
    state.holds().map(|(scope, holder, _)| (scope.clone(), holder)).collect()
}

/// What a step makes of the model, if it can be kept.
fn step(model: &Model, step: &Step) -> Model {
    let mut next = model.clone();
    match step {
        Step::Close(holder, scope) => drop(next.insert((scope.clone(), *holder))),
        Step::Open(holder, scope) => drop(next.remove(&(scope.clone(), *holder))),
        Step::Hold(holder, all) => {
            next.retain(|(_, of)| of != holder);
            next.extend(all.iter().map(|scope| (scope.clone(), *holder)));
        }
        Step::Release(holder) => next.retain(|(_, of)| of != holder),
        Step::Fail(_) => {}
    }
    next
}

/// Whether any scope of the model closes `area` for `user` at `topic`; by looking at each.
fn closed(model: &Model, settings: &Settings, user: &str, is_out: bool, topic: &str) -> bool {
    if settings.exempt.iter().any(|name| name == user) || topic.starts_with("LATCH/") {
        return false;
    }
    let is_bridge = user.starts_with("bridge:");
    let many = !is_bridge || if is_out { settings.bridge_out_closed } else { settings.bridge_in_closed };
    model.iter().any(|(scope, _)| {
        let me = match &scope.who {
            Who::Everyone => many,
            Who::User(name) => **name == *user,
            Who::EveryoneBut(names) => !is_bridge && !names.contains(user),
        };
        me && match &scope.area {
            Area::Gateway => true,
            Area::Publish => !is_out,
            Area::Subscribe => is_out,
            Area::Topic(filter) => filter.matches(topic),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order: the state is the model's, what is asked is answered as looking at every scope
    /// would, and what is kept is what a restart brings back. What cannot be kept closes and never opens.
    #[test]
    fn the_lock_agrees_with_a_set_of_scopes_and_holders(
        all in prop::collection::vec(steps(), 1..20),
        bridges in any::<(bool, bool)>(),
        exempt in prop::sample::subsequence(USERS.to_vec(), 0..2),
    ) {
        let settings = Settings {
            exempt: exempt.into_iter().map(str::to_owned).collect(),
            bridge_in_closed: bridges.0,
            bridge_out_closed: bridges.1,
            ..Settings::default()
        };
        let paper = Arc::new(Paper::default());
        let lock = lock(&paper, settings.clone());
        let mut model = Model::new();
        for one in &all {
            let next = step(&model, one);
            let fails = *paper.fails.lock();
            let held = |scopes: &[Scope]| scopes.iter().cloned().map(|scope| Held { scope, cause: Cause::Locked }).collect();
            let outcome = run(async { match one {
                Step::Close(holder, scope) => lock.close(*holder, scope.clone(), "test").await.map(|_| ()),
                Step::Open(holder, scope) => lock.open(*holder, scope.clone(), "test").await.map(|_| ()),
                Step::Hold(holder, scopes) => lock.hold(*holder, held(scopes), "test").await.map(|_| ()),
                Step::Release(holder) => lock.release(*holder, "test").await.map(|_| ()),
                Step::Fail(fail) => { *paper.fails.lock() = *fail; Ok(()) }
            }});
            if fails {
                let opens = model.iter().any(|hold| !next.contains(hold));
                prop_assert_eq!(outcome.is_err(), opens);
                model.extend(next);
            } else {
                prop_assert!(outcome.is_ok());
                model = next;
            }
            prop_assert_eq!(of(&lock.state()), model.clone());
            if !fails && !matches!(one, Step::Fail(_)) {
                prop_assert_eq!(of(&paper.kept.lock()), model.clone());
            }
            for user in USERS {
                let view = lock.view(&user.into());
                for topic in TOPICS {
                    prop_assert_eq!(view.publish(topic).is_some(), closed(&model, &settings, user, false, topic));
                    prop_assert_eq!(view.receive(topic).is_some(), closed(&model, &settings, user, true, topic));
                }
            }
        }
    }
}

#[test]
fn a_closed_gateway_lets_bridges_out_and_not_in_unless_told_otherwise() {
    for (ins, out) in [(true, false), (false, true)] {
        let settings = Settings { bridge_in_closed: ins, bridge_out_closed: out, ..Settings::default() };
        let lock = lock(&Arc::new(Paper::default()), settings);
        run(lock.close(Holder::Command, Scope::GATEWAY, "test")).unwrap();
        let closed = [lock.bridge_in("cloud", "a").is_some(), lock.bridge_out("cloud", "a").is_some()];
        assert_eq!(closed, [ins, out]);
        run(lock.close(Holder::Command, scope("gateway", Some("bridge:cloud")), "test")).unwrap();
        assert!(lock.bridge_in("cloud", "a").is_some() && lock.bridge_out("cloud", "a").is_some());
    }
}

#[test]
fn what_nobody_can_read_is_closed_until_the_panel_is_released() {
    let paper = Arc::new(Paper { damage: Some("a row is not understood".into()), ..Paper::default() });
    let lock = lock(&paper, Settings::default());
    assert_eq!(lock.state().gateway_holders(), [Holder::Panel]);
    assert!(lock.view(&"ann".into()).publish("a").is_some());
    run(lock.open(Holder::Command, Scope::GATEWAY, "test")).unwrap();
    assert!(lock.state().is_any_closed(), "a command does not open what it does not hold");
    run(lock.release(Holder::Panel, "root")).unwrap();
    assert!(!lock.state().is_any_closed());
}

#[test]
fn a_holder_that_holds_the_same_again_changes_nothing_and_writes_nothing() {
    let paper = Arc::new(Paper::default());
    let lock = lock(&paper, Settings::default());
    let held = || vec![Held { scope: scope("publish", Some("ann")), cause: Cause::Unavailable }];
    assert!(run(lock.hold(Holder::Latch, held(), "latch")).unwrap().changed);
    let (generation, lines) =
        (lock.generation().load(std::sync::atomic::Ordering::SeqCst), paper.log.lock().len());
    assert!(!run(lock.hold(Holder::Latch, held(), "latch")).unwrap().changed);
    assert_eq!(lock.generation().load(std::sync::atomic::Ordering::SeqCst), generation);
    assert_eq!((lines, paper.log.lock().len()), (1, 1));
}

#[test]
fn a_subscription_is_refused_where_a_closed_topic_covers_it() {
    let lock = lock(&Arc::new(Paper::default()), Settings::default());
    run(lock.close(Holder::Command, scope("topic:doors/#", None), "test")).unwrap();
    let view = lock.view(&"ann".into());
    let subscribes = |filter: &str| view.subscribe(&TopicFilter::new(filter).unwrap()).is_none();
    assert!(!subscribes("doors/1") && !subscribes("doors/#") && !subscribes("doors/+/x"));
    assert!(subscribes("#") && subscribes("+/1") && subscribes("lamps"));
    run(lock.close(Holder::Command, Scope::GATEWAY, "test")).unwrap();
    let view = lock.view(&"ann".into());
    for (filter, may) in
        [("LATCH/#", true), ("$SYS/#", true), ("LATCH/lock", true), ("#", false), ("a", false)]
    {
        assert_eq!(view.subscribe(&TopicFilter::new(filter).unwrap()).is_none(), may, "{filter}");
    }
    assert_eq!(view.publish("a").unwrap().to_string(), "locked: gateway");
}

#[test]
fn what_could_not_be_kept_is_kept_later_with_its_lines_of_the_log_and_nothing_else() {
    let paper = Arc::new(Paper::default());
    let lock = lock(&paper, Settings::default());
    *paper.fails.lock() = true;
    assert!(run(lock.close(Holder::Command, Scope::GATEWAY, "test")).unwrap().not_kept.is_some());
    assert!(run(lock.open(Holder::Command, Scope::GATEWAY, "test")).is_err());
    assert!(lock.not_stored().is_some() && !run(lock.try_again()));
    *paper.fails.lock() = false;
    assert!(run(lock.try_again()) && lock.not_stored().is_none());
    assert_eq!(*paper.kept.lock(), *lock.state());
    let did: Vec<_> = paper.log.lock().iter().map(|line| line.did.clone()).collect();
    assert_eq!(did, ["closed"]);
}

#[test]
fn what_could_not_be_opened_leaves_what_is_stored_stored() {
    let paper = Arc::new(Paper::default());
    let lock = lock(&paper, Settings::default());
    run(lock.close(Holder::Command, Scope::GATEWAY, "test")).unwrap();
    *paper.fails.lock() = true;
    assert!(run(lock.open(Holder::Command, Scope::GATEWAY, "test")).is_err());
    assert_eq!((lock.not_stored(), &*paper.kept.lock()), (None, &*lock.state()));
}
