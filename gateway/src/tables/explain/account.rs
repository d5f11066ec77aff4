//! What is used of a service's limits, by the programs' own accounts.

use anyhow::Result;
use gateway_common::abi::{Address, FRACTION_BITS, Limit, Service, Source, Usage};

use super::view::Maps;
use crate::{
    model::{
        Limits,
        explanation::{LimitName, LimitUse},
    },
    tables::clock,
};

/// The limits of `service` that are set, `wanted`, for a client with this address.
pub fn of(maps: &Maps, service: &Service, wanted: &Limits, client: &Address) -> Result<Vec<LimitUse>> {
    let id = service.limits();
    let Some(limits) = (if id == 0 { None } else { maps.limits(id)? }) else { return Ok(Vec::new()) };
    let now = i64::from(clock::now()?) << FRACTION_BITS;
    let total = maps.total_usage(id)?.unwrap_or_default();
    let source = maps.source_usage(&Source::new(id, client))?.unwrap_or_default();
    let accounts = [
        (total, limits.total, wanted.new_per_second, [LimitName::Connections, LimitName::NewPerSecond]),
        (
            source,
            limits.per_source,
            wanted.new_per_second_per_source,
            [LimitName::ConnectionsPerSource, LimitName::NewPerSecondPerSource],
        ),
    ];
    let mut used = Vec::new();
    for (usage, limit, rate, [connections, new]) in accounts {
        if limit.connections != i64::MAX {
            let number = |number: i64| number.max(0).cast_unsigned();
            used.push(LimitUse { limit: connections, used: number(usage.open), allowed: number(limit.connections) });
        }
        if let Some(allowed) = rate {
            used.push(LimitUse { limit: new, used: used_of_second(usage, &limit, now), allowed });
        }
    }
    Ok(used)
}

/// How many connections of a second's worth were taken on so lately that they still count.
fn used_of_second(usage: Usage, limit: &Limit, now: i64) -> u64 {
    let ahead = usage.due.wrapping_sub(now);
    // As the core takes it: nobody is ahead by more than a second's worth, but for the clock's wrap.
    if limit.interval == 0 || ahead < 0 || ahead > 2 * limit.tolerance.wrapping_add(limit.interval) {
        return 0;
    }
    ahead.cast_unsigned().div_ceil(limit.interval.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_on_counts_until_its_time_has_passed() {
        let limit = Limit::new(None, Some(10));
        let now = 1_000 << FRACTION_BITS;
        let used = |ahead: i64| used_of_second(Usage { open: 0, due: now + ahead }, &limit, now);
        assert_eq!([0, limit.interval, 10 * limit.interval].map(used), [0, 1, 10]);
        assert_eq!(used(limit.interval / 2), 1);
        assert_eq!([-limit.interval, i64::MAX / 2].map(used), [0, 0], "long ago, and a clock that has wrapped");
    }
}
