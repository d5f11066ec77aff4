//! What a service admits, and what is used of it.

use super::{Address, Answer, TICK_SHIFT};

/// Bits of a tick's fraction in [`Usage::due`].
pub const FRACTION_BITS: u32 = 32;

/// A second in units of 2^-32 tick.
const SECOND: i64 = (1_000_000_000 << FRACTION_BITS) >> TICK_SHIFT;

/// Limits of one account: all of a service, or one of its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// Open connections at most.
    pub connections: i64,
    /// Time from one new connection to the next in units of 2^-32 tick; 0: as many as come.
    pub interval: i64,
    /// How much earlier than that they may come: by one second's worth of them.
    pub tolerance: i64,
}

impl Limit {
    pub const NONE: Self = Self { connections: i64::MAX, interval: 0, tolerance: 0 };

    /// Neither number is 0.
    pub fn new(connections: Option<u64>, per_second: Option<u64>) -> Self {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let connections = connections.map_or(i64::MAX, signed);
        let Some(rate) = per_second.map(signed) else { return Self { connections, ..Self::NONE } };
        // Rounded up, so that the rate is never exceeded.
        let interval = (SECOND - 1) / rate + 1;
        Self { connections, interval, tolerance: interval.saturating_mul(rate - 1).min(SECOND) }
    }
}

/// Limits of a service.
///
/// Layout: total 24, per source 24, flags 2, share of ports 1, padding 5 = 56 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Limits {
    pub total: Limit,
    pub per_source: Limit,
    /// What a SYN beyond them gets.
    pub answer: Answer,
    /// 1: sources are accounted for.
    pub by_source: u8,
    /// Percent of the source ports towards each of its backends that it may use, 0: all.
    pub port_share: u8,
    pub reserved: [u8; 5],
}

impl Limits {
    /// With all source ports.
    pub fn new(total: Limit, per_source: Limit, answer: Answer) -> Self {
        let by_source = u8::from(per_source != Limit::NONE);
        Self { total, per_source, answer, by_source, port_share: 0, reserved: [0; 5] }
    }
}

/// What an account has used. Changed by atomic addition, but for idle accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Usage {
    /// Connections that are not finished, from the SYN that was admitted.
    pub open: i64,
    /// When a connection more would be exactly on time, in units of 2^-32 tick: the theoretical arrival time of the
    /// generic cell rate algorithm (ITU-T I.371).
    pub due: i64,
}

/// Who connects to a service: an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct Source {
    pub prefix: Address,
    pub service: u32,
    /// A key is compared as bytes, so this is always zero.
    padding: u32,
}

impl Source {
    #[inline(always)]
    pub const fn new(service: u32, address: &Address) -> Self {
        Self { prefix: if address.is_v4_mapped() { *address } else { address.network() }, service, padding: 0 }
    }
}
