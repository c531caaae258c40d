//! What a press means. Time is handed in; nothing here waits.
//!
//! The safe side is the fast one. Pressing a gateway that the panel does not hold closes it at the touch. Pressing one
//! that the panel holds opens it when the button is let go, so that holding it down can mean something else: after
//! [`CLOSES`] the gateway is closed whatever it was, without having been open in between.

use std::time::{Duration, Instant};

/// Held so long, the button closes whatever it was.
pub const CLOSES: Duration = Duration::from_secs(3);
/// Held so long, it makes ready for recovery.
pub const ARMS: Duration = Duration::from_secs(10);
/// So long after it was let go, a press recovers.
pub const ARMED: Duration = Duration::from_secs(5);
/// Held so long, it is taken to be stuck.
pub const STUCK: Duration = Duration::from_secs(30);

/// What the hand wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The panel's hold on the gateway.
    Close,
    /// An end of the panel's hold.
    Open,
    /// A one-time secret for an administrator.
    Recover,
    /// Nothing: the button seems to be stuck.
    Stuck,
}

/// What the button is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Released,
    /// Released after a long hold.
    Armed {
        until: Instant,
    },
    Pressed {
        since: Instant,
        /// Whether letting go now opens.
        opens: bool,
    },
    /// Pressed for [`CLOSES`].
    Long {
        since: Instant,
    },
    /// Pressed for [`ARMS`].
    Arming {
        since: Instant,
    },
    /// Pressed, but it means nothing until it is let go.
    Spent,
}

/// The button over time: contact bounce is taken out, and presses become wishes.
#[derive(Clone, Debug)]
pub struct Presses {
    debounce: Duration,
    /// What was reported last, and when it became so.
    level: bool,
    since: Instant,
    /// What counts: the level that was steady for `debounce`.
    pressed: bool,
    phase: Phase,
}

impl Presses {
    /// A button that is `pressed` at the beginning: that press means nothing. `debounce`: how long a level must be
    /// steady to count.
    pub fn new(pressed: bool, debounce: Duration, now: Instant) -> Self {
        let phase = if pressed { Phase::Spent } else { Phase::Released };
        Presses { debounce, level: pressed, since: now, pressed, phase }
    }

    /// The button is reported as `pressed`, or not. `held`: whether the panel holds the gateway now.
    pub fn report(&mut self, pressed: bool, now: Instant, held: bool, wishes: &mut Vec<Wish>) {
        self.advance(now, held, wishes);
        if pressed != self.level {
            self.level = pressed;
            self.since = now;
            self.advance(now, held, wishes);
        }
    }

    /// Lets time pass until `now`. To be called at [`Presses::deadline`], and harmless at any other time.
    pub fn advance(&mut self, now: Instant, held: bool, wishes: &mut Vec<Wish>) {
        loop {
            let timer = self.timer();
            // While the contact may just be bouncing, nobody knows yet what is true.
            let edge = (self.level != self.pressed).then_some(self.since);
            if timer.is_some_and(|due| due <= now && edge.is_none_or(|edge| due <= edge)) {
                wishes.extend(self.elapsed());
            } else if let Some(edge) = edge.filter(|edge| now >= *edge + self.debounce) {
                self.pressed = self.level;
                wishes.extend(if self.pressed { self.press(edge, held) } else { self.release(edge) });
            } else {
                return;
            }
        }
    }

    /// When time alone changes something.
    pub fn deadline(&self) -> Option<Instant> {
        let steady = (self.level != self.pressed).then(|| self.since + self.debounce);
        let timer = self.timer().filter(|due| steady.is_none() || *due <= self.since);
        [steady, timer].into_iter().flatten().min()
    }

    /// What was reported last.
    pub fn level(&self) -> bool {
        self.level
    }

    /// Whether the contact is steady.
    pub fn is_steady(&self) -> bool {
        self.level == self.pressed
    }

    /// Whether a press, after letting go if need be, recovers.
    pub fn is_armed(&self) -> bool {
        matches!(self.phase, Phase::Armed { .. } | Phase::Arming { .. })
    }

    fn timer(&self) -> Option<Instant> {
        match self.phase {
            Phase::Released | Phase::Spent => None,
            Phase::Armed { until } => Some(until),
            Phase::Pressed { since, .. } => Some(since + CLOSES),
            Phase::Long { since } => Some(since + ARMS),
            Phase::Arming { since } => Some(since + STUCK),
        }
    }

    fn elapsed(&mut self) -> Option<Wish> {
        let (phase, wish) = match self.phase {
            Phase::Pressed { since, .. } => (Phase::Long { since }, Some(Wish::Close)),
            Phase::Long { since } => (Phase::Arming { since }, None),
            Phase::Arming { .. } => (Phase::Spent, Some(Wish::Stuck)),
            Phase::Armed { .. } => (Phase::Released, None),
            // These wait for the hand.
            phase @ (Phase::Released | Phase::Spent) => (phase, None),
        };
        self.phase = phase;
        wish
    }

    fn press(&mut self, since: Instant, held: bool) -> Option<Wish> {
        let armed = matches!(self.phase, Phase::Armed { .. });
        self.phase = if armed { Phase::Spent } else { Phase::Pressed { since, opens: held } };
        match (armed, held) {
            (true, _) => Some(Wish::Recover),
            (false, true) => None,
            (false, false) => Some(Wish::Close),
        }
    }

    fn release(&mut self, at: Instant) -> Option<Wish> {
        let phase = std::mem::replace(&mut self.phase, Phase::Released);
        match phase {
            Phase::Arming { .. } => {
                self.phase = Phase::Armed { until: at + ARMED };
                None
            }
            Phase::Pressed { opens: true, .. } => Some(Wish::Open),
            _ => None,
        }
    }
}
