//! One backend, probed again and again.

use std::{sync::LazyLock, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{pace::Pace, probe::Failure, streak::Streak};
use crate::model::{HealthReport, HealthStatus};

/// Probes of all backends begin at the same multiples of this time, many at once, to wake up less
/// often.
const TICK: Duration = Duration::from_millis(10);

/// Probes for as long as it is polled, and reports each change.
///
/// A backend that others wait for is probed at once, any other after a random part of its interval.
pub(super) async fn watch<F: Future<Output = Result<(), Failure>>>(
    pace: Pace,
    mut streak: Streak,
    probe: impl Fn() -> F,
    report: impl Fn(HealthReport),
) {
    let began = Instant::now();
    let mut has_phase = streak.status() != HealthStatus::Starting;
    if has_phase {
        sleep_until(tick(began + pace.phase(fastrand::f64()))).await;
    }
    loop {
        let probed_at = Instant::now();
        if let Some(changed) = streak.note(probe().await) {
            report(changed.clone());
        }
        let pause = if has_phase || streak.status() == HealthStatus::Starting {
            pace.pause(streak.status(), began.elapsed(), fastrand::f64())
        } else {
            has_phase = true;
            pace.phase(fastrand::f64())
        };
        sleep_until(tick(probed_at + pause)).await;
    }
}

/// The tick that is nearest to `instant`.
fn tick(instant: Instant) -> Instant {
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    let ticks = instant.saturating_duration_since(*EPOCH).div_duration_f64(TICK).round();
    *EPOCH + TICK.mul_f64(ticks)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::{sleep, timeout};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(2);

    /// When a backend in `status` is probed within `time`, if every probe takes `latency` and ends as `outcome` says
    /// for its number.
    async fn probes(
        status: HealthStatus,
        time: Duration,
        latency: Duration,
        outcome: impl Fn(usize) -> bool,
    ) -> (Vec<Duration>, Vec<HealthStatus>) {
        let (began, at, reports) = (Instant::now(), RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let probe = || async {
            at.borrow_mut().push(began.elapsed());
            let number = at.borrow().len();
            sleep(latency).await;
            if outcome(number) { Ok(()) } else { Err(Failure::Backend("connection refused".to_owned())) }
        };
        let pace = Pace { interval: INTERVAL, is_awaited: false };
        let streak = Streak::new(HealthReport::now(status), 1, 3);
        let report = |report: HealthReport| reports.borrow_mut().push(report.status);
        timeout(time, watch(pace, streak, probe, report)).await.unwrap_err();
        (at.into_inner(), reports.into_inner())
    }

    fn gaps(at: &[Duration]) -> Vec<Duration> {
        at.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn backend_that_was_there_before_is_probed_within_its_interval_and_then_at_it() {
        let (at, reports) = probes(HealthStatus::Unknown, 100 * INTERVAL, Duration::ZERO, |_| true).await;
        assert!(at[0] <= INTERVAL, "{at:?}");
        assert!((89..=112).contains(&at.len()), "{} probes", at.len());
        let (shortest, longest) = (INTERVAL.mul_f64(0.9) - TICK, INTERVAL.mul_f64(1.1) + TICK);
        assert!(gaps(&at).iter().all(|gap| (shortest..=longest).contains(gap)), "{at:?}");
        assert_eq!(reports, [HealthStatus::Up]);
    }

    #[tokio::test(start_paused = true)]
    async fn new_backend_is_probed_at_once_and_eagerly_until_it_answers() {
        let (at, reports) = probes(HealthStatus::Starting, 10 * INTERVAL, Duration::ZERO, |number| number > 5).await;
        assert!(at[0] < Duration::from_millis(1), "{at:?}");
        assert!(gaps(&at)[..5].iter().all(|gap| *gap <= Duration::from_millis(220) + TICK), "{at:?}");
        assert_eq!(reports, [HealthStatus::Starting, HealthStatus::Up]);
        assert!(gaps(&at)[7..].iter().all(|gap| *gap >= INTERVAL.mul_f64(0.9) - TICK), "{at:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn probes_of_many_backends_share_their_ticks() {
        let began = tick(Instant::now());
        for _ in 0..100 {
            let wanted = began + INTERVAL.mul_f64(fastrand::f64());
            let next = tick(wanted);
            let off = next.saturating_duration_since(wanted).max(wanted.saturating_duration_since(next));
            assert!(off <= TICK / 2 + Duration::from_micros(1), "{off:?}");
            let ticks = (next - began).div_duration_f64(TICK);
            assert!((ticks - ticks.round()).abs() < 0.001, "{ticks} ticks");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_answers_do_not_stretch_the_interval() {
        let slow = INTERVAL.mul_f64(0.5);
        let (at, _) = probes(HealthStatus::Up, 100 * INTERVAL, slow, |_| true).await;
        assert!(at.len() >= 89, "{} probes", at.len());
    }

    #[tokio::test(start_paused = true)]
    async fn probes_that_began_together_spread_over_the_interval() {
        let mut in_first_half = 0;
        for _ in 0..200 {
            let (at, _) = probes(HealthStatus::Unknown, INTERVAL, Duration::ZERO, |_| true).await;
            in_first_half += usize::from(at.first().is_some_and(|at| *at < INTERVAL / 2));
        }
        // Off by more than 40 of 200 once in 10^8 runs.
        assert!((60..=140).contains(&in_first_half), "{in_first_half} of 200");
    }
}
