//! What goes through a backend or a service, as rates.
//!
//! A rate is absent where there is nothing to take it from: at the first look, and when totals have begun anew because
//! the packet tables were made anew.

use std::time::Duration;

use crate::{control::views::Counters, model::status::Handshakes};

/// What goes through a service or a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activity {
    pub open: u64,
    /// Handshakes under way at the latest sweep.
    pub half_open: u64,
    /// Connections a second.
    pub new: Option<f64>,
    /// SYNs a second that were refused, or not answered before they were repeated.
    pub failed: Option<f64>,
    /// The handshakes of this time.
    pub handshakes: Option<Handshakes>,
    /// Bits a second.
    pub to_backends: Option<f64>,
    pub to_clients: Option<f64>,
}

impl Activity {
    /// Of nothing.
    pub const NONE: Self = Self {
        open: 0,
        half_open: 0,
        new: Some(0.0),
        failed: Some(0.0),
        handshakes: Some(NO_HANDSHAKES),
        to_backends: Some(0.0),
        to_clients: Some(0.0),
    };

    /// What was done between two looks that are so long apart.
    pub fn between(before: Option<&Counters>, after: &Counters, time: Option<Duration>) -> Self {
        let per_second = |of: fn(&Counters) -> u64| rate(before.map(of), of(after), time);
        Self {
            open: after.open_flows,
            half_open: after.half_open,
            new: per_second(|counters| counters.connections),
            failed: per_second(|counters| counters.refused + counters.unanswered),
            handshakes: before.and_then(|before| since(&before.handshakes, &after.handshakes)),
            to_backends: per_second(|counters| counters.original.bytes * 8),
            to_clients: per_second(|counters| counters.reply.bytes * 8),
        }
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        let add = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        Self {
            open: self.open + other.open,
            half_open: self.half_open + other.half_open,
            new: add(self.new, other.new),
            failed: add(self.failed, other.failed),
            handshakes: self.handshakes.zip(other.handshakes).map(|(a, b)| together(a, b)),
            to_backends: add(self.to_backends, other.to_backends),
            to_clients: add(self.to_clients, other.to_clients),
        }
    }

    /// Bits a second, both ways.
    pub fn traffic(&self) -> Option<f64> {
        Some(self.to_backends? + self.to_clients?)
    }

    /// The mean time from SYN to SYN-ACK, in seconds.
    pub fn handshake_mean(&self) -> Option<f64> {
        let handshakes = self.handshakes.filter(|handshakes| handshakes.count() > 0)?;
        Some(handshakes.sum_us as f64 / 1e6 / handshakes.count() as f64)
    }

    /// The bound that 99 of 100 handshakes kept, in seconds; infinite beyond the last one.
    pub fn handshake_p99(&self) -> Option<f64> {
        let handshakes = self.handshakes.filter(|handshakes| handshakes.count() > 0)?;
        let enough = (handshakes.count() as f64 * 0.99).ceil() as u64;
        let mut so_far = 0;
        let bucket = handshakes.buckets.iter().position(|count| {
            so_far += count;
            so_far >= enough
        })?;
        Some(Handshakes::bound_us(bucket).map_or(f64::INFINITY, |bound| bound as f64 / 1e6))
    }
}

/// How fast a total has grown, a second.
pub fn rate(before: Option<u64>, after: u64, time: Option<Duration>) -> Option<f64> {
    let seconds = time?.as_secs_f64();
    let grown = after.checked_sub(before?)?;
    (seconds > 0.0).then(|| grown as f64 / seconds)
}

const NO_HANDSHAKES: Handshakes = Handshakes { buckets: [0; 17], sum_us: 0 };

fn since(before: &Handshakes, after: &Handshakes) -> Option<Handshakes> {
    let mut new = *after;
    for (count, before) in new.buckets.iter_mut().zip(before.buckets) {
        *count = count.checked_sub(before)?;
    }
    new.sum_us = new.sum_us.checked_sub(before.sum_us)?;
    Some(new)
}

fn together(mut a: Handshakes, b: Handshakes) -> Handshakes {
    a.buckets.iter_mut().zip(b.buckets).for_each(|(count, more)| *count += more);
    a.sum_us += b.sum_us;
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::flow::Traffic;

    const TIME: Option<Duration> = Some(Duration::from_secs(2));

    fn counters(connections: u64, fast: u64, slow: u64) -> Counters {
        let mut handshakes = NO_HANDSHAKES;
        (handshakes.buckets[0], handshakes.buckets[5]) = (fast, slow);
        handshakes.sum_us = fast * 20 + slow * 1000;
        let original = Traffic { packets: connections, bytes: connections * 100 };
        Counters { connections, handshakes, original, refused: connections / 10, ..Counters::default() }
    }

    #[test]
    fn rates_are_of_what_has_come_since() {
        let activity = Activity::between(Some(&counters(100, 0, 0)), &counters(120, 0, 0), TIME);
        assert_eq!((activity.new, activity.failed, activity.to_backends), (Some(10.0), Some(1.0), Some(8000.0)));
        assert_eq!(activity.handshake_mean(), None, "there was none");
    }

    #[test]
    fn totals_that_begin_anew_have_no_rate_once() {
        let activity = Activity::between(Some(&counters(100, 5, 0)), &counters(20, 1, 0), TIME);
        assert_eq!((activity.new, activity.handshakes), (None, None));
        assert_eq!(Activity::between(None, &counters(20, 1, 0), TIME).new, None);
        assert_eq!(Activity::between(Some(&counters(1, 1, 0)), &counters(2, 1, 0), None).new, None);
    }

    #[test]
    fn handshakes_of_several_backends_are_weighed_together() {
        let backend =
            |fast: u64, slow: u64| Activity::between(Some(&counters(0, 7, 7)), &counters(0, 7 + fast, 7 + slow), TIME);
        let both = backend(98, 0).and(backend(0, 2));
        assert_eq!(both.handshake_mean(), Some((98.0 * 20.0 + 2.0 * 1000.0) / 100.0 / 1e6));
        assert_eq!(both.handshake_p99(), Some(1024e-6));
        assert_eq!(backend(98, 0).handshake_p99(), Some(32e-6));
    }
}
