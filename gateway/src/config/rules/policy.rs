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
    let problem = |(field, duration, _, remedy): (Field, Duration, _, &str)| {
        let message = format!("{field} {} is out of range", humantime::format_duration(duration));
        Problem::new(field, message, remedy)
    };
    rules.into_iter().filter(|(_, duration, bounds, _)| !bounds.contains(duration)).map(problem).collect()
}
