//! Moving averages over 1, 5 and 15 minutes, as `$SYS/broker/load/…` has them.

use std::time::Duration;

/// The windows, in minutes.
pub(super) const WINDOWS: [u32; 3] = [1, 5, 15];

/// The rate of something in events a minute, averaged with weights that fall off exponentially.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    total: u64,
    averages: [f64; 3],
}

impl Load {
    /// Takes in that `total` was reached `passed` after the last call; the averages for each of [`WINDOWS`].
    pub fn update(&mut self, total: u64, passed: Duration) -> [f64; 3] {
        let seconds = passed.as_secs_f64();
        if seconds > 0.0 {
            let rate = total.saturating_sub(self.total) as f64 * 60.0 / seconds;
            for (average, minutes) in self.averages.iter_mut().zip(WINDOWS) {
                let kept = (-seconds / (60.0 * f64::from(minutes))).exp();
                *average = rate + kept * (*average - rate);
            }
            self.total = total;
        }
        self.averages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_reached_and_left_again_sooner_by_the_shorter_window() {
        let mut load = Load::default();
        let mut total = 0;
        for _ in 0..1000 {
            total += 100;
            load.update(total, Duration::from_secs(10));
        }
        for average in load.averages {
            assert!((average - 600.0).abs() < 1.0, "{average}");
        }
        let [one, five, fifteen] = load.update(total, Duration::from_secs(60));
        assert!((one - 600.0 / std::f64::consts::E).abs() < 1.0, "{one}");
        assert!(one < five && five < fifteen);
        assert_eq!(load.update(total, Duration::ZERO), [one, five, fifteen]);
    }
}
