//! When a backend is probed.

use std::time::Duration;

use crate::model::HealthStatus;

/// Between two probes of a backend that others wait for.
const EAGER: Duration = Duration::from_millis(200);

/// Others wait so long for a backend that is to get connections as soon as it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pauses are up to this share of the interval shorter or longer, so that probes drift apart.
const JITTER: f64 = 0.1;

/// How often one backend is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub interval: Duration,
    /// A deployment waits for its first answer.
    pub is_awaited: bool,
}

impl Pace {
    /// The pause after a probe of a backend that has been watched for so long; `random` is in 0..1.
    pub fn pause(&self, status: HealthStatus, watched_for: Duration, random: f64) -> Duration {
        let is_eager = status == HealthStatus::Starting && (self.is_awaited || watched_for < PATIENCE);
        let pause = if is_eager { self.interval.min(EAGER) } else { self.interval };
        pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * random)
    }

    /// The pause before the first regular probe: any part of the interval, so that backends that came together are
    /// not probed together.
    pub fn phase(&self, random: f64) -> Duration {
        self.interval.mul_f64(random)
    }
}

#[cfg(test)]
mod tests {
    use HealthStatus::{Down, Starting, Unknown, Up};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(2);

    fn pauses(is_awaited: bool, status: HealthStatus, watched_for: Duration) -> [u128; 3] {
        let pace = Pace { interval: INTERVAL, is_awaited };
        [0.0, 0.5, 1.0].map(|random| pace.pause(status, watched_for, random).as_millis())
    }

    #[test]
    fn regular_pauses_are_the_interval_with_jitter() {
        for status in [Unknown, Up, Down] {
            assert_eq!(pauses(true, status, Duration::ZERO), [1800, 2000, 2200], "{status:?}");
        }
    }

    #[test]
    fn awaited_backend_is_probed_eagerly_until_it_answers() {
        assert_eq!(pauses(true, Starting, 100 * PATIENCE), [180, 200, 220]);
    }

    #[test]
    fn backend_that_stays_away_is_probed_at_the_interval() {
        assert_eq!(pauses(false, Starting, Duration::ZERO), [180, 200, 220]);
        assert_eq!(pauses(false, Starting, PATIENCE), [1800, 2000, 2200]);
    }

    #[test]
    fn short_interval_holds_for_eager_probes_too() {
        let pace = Pace { interval: Duration::from_millis(50), is_awaited: true };
        assert_eq!(pace.pause(Starting, Duration::ZERO, 0.5), pace.interval);
    }

    #[test]
    fn phases_fill_the_interval() {
        let pace = Pace { interval: INTERVAL, is_awaited: false };
        assert_eq!([0.0, 0.25, 1.0].map(|random| pace.phase(random).as_millis()), [0, 500, 2000]);
    }
}
