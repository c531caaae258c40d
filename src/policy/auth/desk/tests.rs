//! The desk under simulated time, before a backend that does as the test says.

use std::sync::atomic::AtomicUsize;

use tokio::time::{advance, sleep};

use super::super::backend::Asking;
use super::*;
use crate::policy::acl::Access;

/// Answers after a while, or fails as long as it is told to.
#[derive(Default)]
struct Puppet {
    asked: Arc<AtomicUsize>,
    takes: Duration,
    fails: Arc<AtomicUsize>,
    /// What fails is the question's own.
    odd: bool,
    /// Whether it is watched, and has changed.
    changed: Option<Arc<AtomicUsize>>,
}

impl Remote for Puppet {
    fn answers(&self, _: &Question) -> bool {
        true
    }

    fn is_watched(&self) -> bool {
        self.changed.is_some()
    }

    fn look(&self) -> bool {
        self.changed.as_ref().is_some_and(|changed| changed.swap(0, Relaxed) > 0)
    }

    fn ask<'a>(&'a self, who: &'a Who, _: &'a Question) -> Asking<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, Relaxed);
            sleep(self.takes).await;
            if self.fails.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                let failure = if self.odd { Failure::of_question } else { Failure::passing };
                return Err(failure("it is told to"));
            }
            let answer = if &*who.user == "ann" { Answer::Allow } else { Answer::Unknown };
            Ok(Reply::new(answer, "so it says"))
        })
    }
}

fn who(user: &str, client_id: &str) -> Arc<Who> {
    let address = ([127, 0, 0, 1], 1).into();
    Arc::new(Who {
        user: user.into(),
        client_id: client_id.into(),
        address,
        listener: "l".into(),
        anonymous: false,
        certificate: None,
    })
}

fn may(topic: &str) -> Question {
    Question::May(Access::PUBLISH, topic.into(), None)
}

fn desk(puppet: Puppet, settings: DeskSettings) -> Arc<Desk> {
    Arc::new(Desk::new("puppet", Box::new(puppet), settings).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_question_on_its_way_is_not_asked_twice_however_many_want_to_know() {
    let puppet = Puppet { takes: Duration::from_secs(1), ..Puppet::default() };
    let asked = puppet.asked.clone();
    let desk = desk(puppet, DeskSettings::default());
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let desk = desk.clone();
            tokio::spawn(async move { desk.ask(&who("ann", "c"), &may("x")).await.answer })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Answer::Allow);
    }
    assert_eq!(asked.load(Relaxed), 1);
    assert!(desk.ask(&who("ann", "c"), &may("x")).await.remembered);
    desk.ask(&who("ann", "c"), &may("y")).await;
    desk.ask(&who("bob", "c"), &may("x")).await;
    assert_eq!(asked.load(Relaxed), 3);
    assert!(desk.flights.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_takes_nothing_from_the_others() {
    let puppet = Puppet { takes: Duration::from_secs(1), ..Puppet::default() };
    let asked = puppet.asked.clone();
    let desk = desk(puppet, DeskSettings::default());
    let impatient = tokio::time::timeout(Duration::from_millis(10), async {
        desk.ask(&who("ann", "c"), &may("x")).await
    });
    assert!(impatient.await.is_err());
    assert_eq!(desk.ask(&who("ann", "c"), &may("x")).await.answer, Answer::Allow);
    assert_eq!(asked.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_and_a_deadline_ends_it() {
    let fails = Arc::new(AtomicUsize::new(1));
    let desk_of = |takes| {
        let puppet = Puppet { takes, fails: fails.clone(), ..Puppet::default() };
        desk(puppet, DeskSettings { deadline: Duration::from_secs(2), ..DeskSettings::default() })
    };
    assert_eq!(desk_of(Duration::ZERO).ask(&who("ann", "c"), &may("x")).await.answer, Answer::Allow);
    let began = tokio::time::Instant::now();
    let said = desk_of(Duration::from_secs(60)).ask(&who("ann", "c"), &may("x")).await;
    assert_eq!((said.answer, said.failed), (Answer::Deny, true));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn what_it_said_last_counts_in_an_outage_only_if_told_so() {
    for (on_error, expected) in
        [(OnError::Deny, Answer::Deny), (OnError::Next, Answer::Unknown), (OnError::Stale, Answer::Allow)]
    {
        let fails = Arc::new(AtomicUsize::new(0));
        let puppet = Puppet { fails: fails.clone(), ..Puppet::default() };
        let short = DeskSettings {
            allow: Duration::from_nanos(1),
            jitter: Duration::ZERO,
            ..DeskSettings::default()
        };
        let settings = DeskSettings { on_error, ..short };
        let desk = desk(puppet, settings);
        assert_eq!(desk.ask(&who("ann", "c"), &may("x")).await.answer, Answer::Allow);
        fails.store(1000, Relaxed);
        advance(Duration::from_secs(1)).await;
        assert_eq!(desk.ask(&who("ann", "c"), &may("x")).await.answer, expected, "{on_error:?}");
        let new = desk.ask(&who("ann", "c"), &may("new")).await.answer;
        assert_eq!(new, if on_error == OnError::Next { Answer::Unknown } else { Answer::Deny });
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_again_and_again_is_left_alone_for_a_moment() {
    let puppet = Puppet { fails: Arc::new(AtomicUsize::new(usize::MAX)), ..Puppet::default() };
    let asked = puppet.asked.clone();
    let desk = desk(puppet, DeskSettings { retries: 0, ..DeskSettings::default() });
    for number in 0..50 {
        desk.ask(&who("ann", "c"), &may(&number.to_string())).await;
    }
    assert_eq!(asked.load(Relaxed), 5);
}

/// Else whoever sends an odd name would shut everybody out.
#[tokio::test(start_paused = true)]
async fn a_question_that_cannot_be_answered_is_no_reason_to_leave_the_backend_alone() {
    let fails = Arc::new(AtomicUsize::new(50));
    let puppet = Puppet { fails, odd: true, ..Puppet::default() };
    let asked = puppet.asked.clone();
    let desk = desk(puppet, DeskSettings::default());
    for number in 0..50 {
        let said = desk.ask(&who("odd", "c"), &may(&number.to_string())).await;
        assert_eq!((said.answer, said.failed), (Answer::Deny, true));
    }
    assert_eq!(asked.load(Relaxed), 50, "it is not tried again either");
    assert_eq!(desk.ask(&who("ann", "c"), &may("x")).await.answer, Answer::Allow);
}

#[tokio::test(start_paused = true)]
async fn what_is_watched_counts_until_it_changes_and_an_older_answer_that_comes_late_does_not() {
    let changed = Arc::new(AtomicUsize::new(0));
    let takes = Duration::from_secs(1);
    let puppet = Puppet { takes, changed: Some(changed.clone()), ..Puppet::default() };
    let asked = puppet.asked.clone();
    let desk = desk(puppet, DeskSettings { allow: Duration::ZERO, ..DeskSettings::default() });
    let ask = || async { desk.ask(&who("ann", "c"), &may("x")).await };
    ask().await;
    advance(Duration::from_secs(600)).await;
    assert!(ask().await.remembered && !desk.look());
    let (early, late) = (ask(), async {
        changed.store(1, Relaxed);
        assert!(desk.look() && !desk.look());
        ask().await
    });
    early.await;
    assert!(!late.await.remembered);
    assert_eq!(asked.load(Relaxed), 2);
    // One that was asked before the change and is answered after it.
    let on_its_way = tokio::spawn({
        let desk = desk.clone();
        async move { desk.ask(&who("ann", "c"), &may("y")).await }
    });
    sleep(Duration::from_millis(500)).await;
    changed.store(1, Relaxed);
    assert!(desk.look());
    on_its_way.await.unwrap();
    assert!(!desk.ask(&who("ann", "c"), &may("y")).await.remembered);
    assert_eq!(asked.load(Relaxed), 4);
}

#[test]
fn fields_do_not_run_into_each_other_and_no_two_questions_share_a_tag() {
    let desk = desk(Puppet::default(), DeskSettings::default());
    let password = |text: &str| Question::Login(Arc::new(Secret(text.into())));
    let tags: Vec<Tag> = [
        (who("a", "bc"), may("d")),
        (who("ab", "c"), may("d")),
        (who("a", "b"), may("cd")),
        (who("a", "bc"), password("d")),
        (who("a", "b"), password("cd")),
        (who("a", "bc"), Question::Superuser),
        (who("a", "bc"), Question::Stored),
        (who("a", "bc"), Question::Filters(Access::PUBLISH)),
        (who("a", "bc"), Question::Filters(Access::RECEIVE)),
        (who("a", "bc"), Question::May(Access::RECEIVE, "d".into(), None)),
    ]
    .iter()
    .map(|(who, question)| desk.tag(who, question))
    .collect();
    for (n, tag) in tags.iter().enumerate() {
        assert!(!tags[n + 1..].contains(tag), "{n}");
    }
}

#[test]
fn times_differ_by_no_more_than_they_may() {
    let (time, jitter) = (Duration::from_secs(30), Duration::from_secs(3));
    let times: Vec<Duration> = (0..100).map(|_| jittered(time, jitter)).collect();
    assert!(times.iter().all(|one| *one >= time - jitter && *one <= time + jitter));
    assert!(times.iter().any(|one| *one != times[0]));
    assert!(jittered(Duration::from_secs(1), Duration::from_secs(60)) >= Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_one_message_is_for_no_other() {
    let puppet = Puppet::default();
    let (asked, fails) = (puppet.asked.clone(), puppet.fails.clone());
    let desk = desk(puppet, DeskSettings { retries: 0, ..DeskSettings::default() });
    let of = |payload: &[u8]| Question::May(Access::PUBLISH, "x".into(), Some(payload.into()));
    for payload in [&b"a"[..], b"a", b"", b"b"] {
        let said = desk.ask(&who("ann", "c"), &of(payload)).await;
        assert!(!said.remembered && said.until <= Instant::now());
    }
    assert_eq!(asked.load(Relaxed), 4);
    fails.store(1, Relaxed);
    let said = desk.ask(&who("ann", "c"), &of(b"a")).await;
    assert!(said.failed && said.until <= Instant::now());
    assert_ne!(desk.tag(&who("ann", "c"), &of(b"")), desk.tag(&who("ann", "c"), &may("x")));
}
