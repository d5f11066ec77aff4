//! Rules about timeouts.

use std::{ops::RangeInclusive, time::Duration};

use super::{Field, Problem};
use crate::model::Policy;

/// A flow is swept once a second at best, and a month of silence is no connection.
const IDLE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);

/// Zero cuts the flows of a drained backend at once.
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30 * 24 * 3600);

/// The timeouts that are out of bounds.
pub fn check_policy(policy: &Policy) -> Vec<Problem> {
    let rules = [
        (Field::IdleTimeout, policy.idle_timeout, IDLE, "use 1s to 30days; RFC 5382 asks for 2h4m or more"),
        (Field::DrainTimeout, policy.drain_timeout, DRAIN, "use 0s to 30days"),
    ];
    let broken = rules.into_iter().filter(|(_, duration, bounds, _)| !bounds.contains(duration));
    broken.map(|(field, duration, _, remedy)| out_of_range(field, duration, remedy)).collect()
}

/// The times of a drain or of a deployment that are out of bounds, by name. What ends at one of them is a date that can
/// be reckoned with and written down.
pub fn check_waits(waits: &[(&'static str, Duration)]) -> Vec<Problem> {
    let broken = waits.iter().filter(|(_, duration)| !DRAIN.contains(duration));
    broken.map(|(name, duration)| out_of_range(Field::Wait(name), *duration, "use 0s to 30days")).collect()
}

fn out_of_range(field: Field, duration: Duration, remedy: &str) -> Problem {
    let message = format!("{field} {} is out of range", humantime::format_duration(duration));
    Problem::new(field, message, remedy)
}
