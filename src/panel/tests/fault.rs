//! Hardware that misbehaves, behind the trait, under a clock that the test moves.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};

use crate::panel::{Code, Conditions, Driver, Kind, Panel, Port, PortError, Settings, Status, Task, Wish};

/// The hardware: what stands in its way, and what was done to it.
#[derive(Default)]
struct Hardware {
    /// Why it cannot be opened.
    missing: Option<fn() -> PortError>,
    pressed: bool,
    lit: bool,
    /// To the port in hand.
    changes: Option<mpsc::UnboundedSender<bool>>,
    opened: usize,
    /// It errs at every touch from now on.
    broken: bool,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Hardware>>);

struct FakePort(Fake, mpsc::UnboundedReceiver<bool>);

fn gone() -> PortError {
    PortError::Failed { doing: "reading the button", why: "No such device (os error 19)".into() }
}

fn busy() -> PortError {
    PortError::Busy { key: "button", line: 17, consumer: "somebody".into() }
}

impl Driver for Fake {
    fn open(&self) -> Result<Box<dyn Port>, PortError> {
        let mut hardware = self.0.lock();
        if let Some(error) = hardware.missing {
            return Err(error());
        }
        let (changes, port) = mpsc::unbounded_channel();
        hardware.changes = Some(changes);
        hardware.opened += 1;
        hardware.broken = false;
        Ok(Box::new(FakePort(self.clone(), port)))
    }
}

impl FakePort {
    fn works(&self) -> Result<(), PortError> {
        if self.0.0.lock().broken { Err(gone()) } else { Ok(()) }
    }
}

impl Port for FakePort {
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, PortError>> {
        self.1.poll_recv(cx).map(|change| change.ok_or_else(gone))
    }

    fn is_pressed(&mut self) -> Result<bool, PortError> {
        self.works().map(|()| self.0.0.lock().pressed)
    }

    fn light(&mut self, on: bool) -> Result<(), PortError> {
        self.works().map(|()| self.0.0.lock().lit = on)
    }

    fn is_debounced(&self) -> bool {
        false
    }
}

impl Fake {
    fn set(&self, pressed: bool) {
        let mut hardware = self.0.lock();
        hardware.pressed = pressed;
        if let Some(changes) = &hardware.changes {
            let _ = changes.send(pressed);
        }
    }

    async fn press(&self, hold: Duration) {
        self.set(true);
        sleep(hold).await;
        self.set(false);
        sleep(Duration::from_millis(50)).await;
    }

    /// The chip is pulled out: reading says so at once, or (`silent`) only when it is touched.
    fn unplug(&self, silent: bool) {
        let mut hardware = self.0.lock();
        hardware.missing = Some(|| PortError::NoChip { wanted: "x".into(), found: "none at all".into() });
        hardware.broken = true;
        if !silent {
            hardware.changes = None;
        }
    }
}

struct Bench {
    fake: Fake,
    conditions: watch::Sender<Conditions>,
    status: watch::Receiver<Status>,
    wishes: mpsc::Receiver<Wish>,
    running: JoinHandle<()>,
}

fn bench(fake: Fake) -> Bench {
    let conditions = watch::Sender::new(Conditions::default());
    let debounce = Duration::from_millis(20);
    let (task, status, wishes) =
        Task::new("fake", Some(Arc::new(fake.clone())), debounce, false, conditions.subscribe()).unwrap();
    Bench { fake, conditions, status, wishes, running: tokio::spawn(task.run()) }
}

impl Bench {
    fn wished(&mut self) -> Vec<Wish> {
        std::iter::from_fn(|| self.wishes.try_recv().ok()).collect()
    }

    fn trouble(&self) -> bool {
        self.status.borrow().trouble.is_some()
    }
}

#[tokio::test(start_paused = true)]
async fn a_press_becomes_a_wish_and_the_led_follows_the_conditions() {
    let mut bench = bench(Fake::default());
    bench.fake.press(Duration::from_millis(200)).await;
    assert_eq!(bench.wished(), [Wish::Close]);
    assert!(!bench.status.borrow().settled, "the wish was not obeyed yet");
    bench.conditions.send_modify(|now| {
        now.closed_by_panel = true;
        now.obeyed = 1;
    });
    bench.status.wait_for(|status| status.settled && status.code == Code::ClosedByPanel).await.unwrap();
    assert!(bench.fake.0.lock().lit);
    bench.fake.press(Duration::from_millis(200)).await;
    assert_eq!(bench.wished(), [Wish::Open]);
}

#[tokio::test(start_paused = true)]
async fn a_line_in_use_is_no_reason_to_stop_and_is_taken_when_it_is_free() {
    let fake = Fake::default();
    fake.0.lock().missing = Some(busy);
    let mut bench = bench(fake);
    let trouble = bench.status.borrow().trouble.clone().unwrap();
    assert!(trouble.contains("panel.button = 17: the line is in use by \"somebody\""), "{trouble}");
    sleep(Duration::from_secs(30)).await;
    bench.fake.0.lock().missing = None;
    bench.status.wait_for(|status| status.trouble.is_none()).await.unwrap();
    bench.fake.press(Duration::from_millis(200)).await;
    assert_eq!(bench.wished(), [Wish::Close]);
}

#[tokio::test(start_paused = true)]
async fn a_panel_that_is_required_must_be_there_at_the_start() {
    let fake = Fake::default();
    fake.0.lock().missing = Some(busy);
    let conditions = watch::Sender::new(Conditions::default());
    let task = Task::new("fake", Some(Arc::new(fake)), Duration::ZERO, true, conditions.subscribe());
    assert!(matches!(task.err(), Some(PortError::Busy { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_chip_that_vanishes_while_it_runs_is_taken_up_again_when_it_returns() {
    for silent in [false, true] {
        let mut bench = bench(Fake::default());
        bench.fake.unplug(silent);
        bench.status.wait_for(|status| status.trouble.is_some()).await.unwrap();
        sleep(Duration::from_secs(60)).await;
        assert!(bench.trouble() && bench.wished().is_empty() && !bench.running.is_finished());
        // It comes back with the button held down: that is no press.
        {
            let mut hardware = bench.fake.0.lock();
            hardware.missing = None;
            hardware.pressed = true;
        }
        bench.status.wait_for(|status| status.trouble.is_none()).await.unwrap();
        sleep(Duration::from_secs(60)).await;
        bench.fake.set(false);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(bench.wished(), []);
        bench.fake.press(Duration::from_millis(200)).await;
        assert_eq!(bench.wished(), [Wish::Close]);
        assert_eq!(bench.fake.0.lock().opened, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_button_held_at_the_start_does_not_toggle() {
    let fake = Fake::default();
    fake.0.lock().pressed = true;
    let mut bench = bench(fake);
    sleep(Duration::from_secs(40)).await;
    bench.fake.set(false);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.wished(), []);
}

#[tokio::test(start_paused = true)]
async fn a_bounce_storm_is_one_press() {
    let mut bench = bench(Fake::default());
    for _ in 0..200 {
        bench.fake.set(true);
        sleep(Duration::from_millis(1)).await;
        bench.fake.set(false);
        sleep(Duration::from_millis(1)).await;
    }
    bench.fake.press(Duration::from_millis(500)).await;
    assert_eq!(bench.wished(), [Wish::Close]);
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_was_lost_is_found_by_looking() {
    let mut bench = bench(Fake::default());
    bench.fake.0.lock().pressed = true;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.wished(), [Wish::Close]);
}

#[tokio::test(start_paused = true)]
async fn the_led_is_off_when_the_task_is_stopped_or_panics() {
    for panics in [false, true] {
        let mut bench = bench(Fake::default());
        bench.conditions.send_modify(|now| now.closed_by_panel = true);
        bench.status.wait_for(|status| status.lit).await.unwrap();
        assert!(bench.fake.0.lock().lit);
        if panics {
            // A panic in the task unwinds through what it holds, as this one does through the task.
            let Bench { fake, running, .. } = bench;
            running.abort();
            assert!(running.await.unwrap_err().is_cancelled());
            let (task, ..) = Task::new(
                "fake",
                Some(Arc::new(fake.clone())),
                Duration::ZERO,
                false,
                watch::Sender::new(Conditions::default()).subscribe(),
            )
            .unwrap();
            fake.0.lock().lit = true;
            let unwound = tokio::spawn(async move {
                let _task = task;
                panic!("as any bug would");
            });
            assert!(unwound.await.unwrap_err().is_panic());
            assert!(!fake.0.lock().lit);
        } else {
            bench.running.abort();
            assert!(bench.running.await.unwrap_err().is_cancelled());
            assert!(!bench.fake.0.lock().lit);
        }
    }
}

fn settings(kind: Kind) -> Settings {
    Settings { kind, chip: None, button: 17, led: 27, debounce: Duration::from_millis(20) }
}

#[tokio::test]
async fn a_chip_that_no_board_has_is_told_with_what_was_looked_for() {
    let settings = Settings { chip: Some("no-such-chip".into()), ..settings(Kind::GpioChip) };
    let conditions = watch::Sender::new(Conditions::default());
    let (panel, ..) = Panel::open(&settings, false, conditions.subscribe()).unwrap();
    let trouble = panel.status().trouble.unwrap();
    assert!(trouble.contains("no-such-chip") || trouble.contains("cannot be opened"), "{trouble}");
    assert!(panel.press(Duration::ZERO).await.is_none(), "a real button is pressed by hand only");
    assert!(Panel::open(&settings, true, conditions.subscribe()).is_err());
}

#[cfg(not(feature = "rppal"))]
#[tokio::test]
async fn a_driver_that_was_not_built_in_is_an_error_that_says_how_to_build_it() {
    let conditions = watch::Sender::new(Conditions::default());
    let error = Panel::open(&settings(Kind::Rppal), false, conditions.subscribe()).err().unwrap();
    assert!(error.to_string().contains("--features rppal"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_simulated_press_returns_when_everything_that_follows_is_done() {
    let conditions = watch::Sender::new(Conditions::default());
    let (panel, task, mut wishes) =
        Panel::open(&settings(Kind::Simulated), true, conditions.subscribe()).unwrap();
    tokio::spawn(task.run());
    let gateway = tokio::spawn(async move {
        for obeyed in 1.. {
            let Some(wish) = wishes.recv().await else { return };
            sleep(Duration::from_millis(300)).await;
            conditions.send_modify(|now| {
                now.closed_by_panel = wish == Wish::Close;
                now.obeyed = obeyed;
            });
        }
    });
    for code in [Code::ClosedByPanel, Code::Open] {
        let status = panel.press(Duration::from_millis(100)).await.unwrap().unwrap();
        assert_eq!((status.code, status.pressed, status.settled), (code, false, true));
        assert!(status.last_press.is_some());
    }
    gateway.abort();
}
