//! How the LED blinks: one pattern a code, as data, and what it shows at any moment.

use std::time::Duration;

use super::Code;

/// What the LED does, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Always the same.
    Steady(bool),
    /// Milliseconds on, off, on, off …, from the beginning again after the last. An even number of steps, none of them 0.
    Cycle(&'static [u16]),
}

/// Every code with its pattern and the pattern in words, the most urgent first: of those that hold, the first is
/// shown. `README.md` has this list as a card, and a test compares them.
pub const CODES: &[(Code, Pattern, &str)] = &[
    (Code::Recovery, Pattern::Cycle(&[50, 50]), "flickers, ten times a second"),
    (Code::Failing, Pattern::Cycle(&[250, 250]), "blinks fast, twice a second"),
    (Code::Starting, Pattern::Cycle(&[1000, 1000]), "blinks slowly, every two seconds"),
    (Code::ClosedByPanel, Pattern::Steady(true), "on"),
    (Code::ClosedByAnother, Pattern::Cycle(&[1700, 300]), "on, with a short gap every two seconds"),
    (Code::Service(super::Service::Clock), flashes::<7>(), "seven flashes, pause"),
    (Code::Service(super::Service::Signature), flashes::<6>(), "six flashes, pause"),
    (Code::Service(super::Service::Unpaired), flashes::<5>(), "five flashes, pause"),
    (Code::Service(super::Service::Silent), flashes::<4>(), "four flashes, pause"),
    (Code::CertificateExpires, flashes::<3>(), "three flashes, pause"),
    (Code::BridgeDown, flashes::<2>(), "two flashes, pause"),
    (Code::Open, Pattern::Cycle(&[50, 2950]), "one very short flash every three seconds"),
];

/// Seven flashes; fewer are taken from the end, so that every count ends in the same pause.
const SEVEN: [u16; 14] = [200, 300, 200, 300, 200, 300, 200, 300, 200, 300, 200, 300, 200, 2000];

/// `N` flashes that can be counted, and a pause of two seconds.
const fn flashes<const N: usize>() -> Pattern {
    Pattern::Cycle(SEVEN.split_at(SEVEN.len() - 2 * N).1)
}

impl Code {
    fn entry(self) -> Option<&'static (Code, Pattern, &'static str)> {
        CODES.iter().find(|(code, ..)| *code == self)
    }

    /// How it blinks.
    pub fn pattern(self) -> Pattern {
        // A test sees to it that every code is there.
        self.entry().map_or(Pattern::Steady(false), |(_, pattern, _)| *pattern)
    }

    /// How it blinks, in words.
    pub fn looks(self) -> &'static str {
        self.entry().map_or("off", |(.., words)| words)
    }
}

impl Pattern {
    /// Whether the LED is lit when the pattern has been shown for `elapsed`, and how long it stays so (`None`: for
    /// good).
    pub fn at(self, elapsed: Duration) -> (bool, Option<Duration>) {
        let steps = match self {
            Pattern::Steady(lit) => return (lit, None),
            Pattern::Cycle(steps) => steps,
        };
        let round: u128 = steps.iter().map(|step| u128::from(*step) * 1000).sum();
        let mut within = elapsed.as_micros().checked_rem(round).unwrap_or(0);
        for (index, step) in steps.iter().enumerate() {
            let step = u128::from(*step) * 1000;
            if within < step {
                // Less than a step, which has 16 bits of milliseconds.
                let left = u64::try_from(step - within).unwrap_or(u64::MAX);
                return (index % 2 == 0, Some(Duration::from_micros(left)));
            }
            within -= step;
        }
        (false, None)
    }
}
