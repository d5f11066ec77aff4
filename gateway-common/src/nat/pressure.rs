//! How many SYNs wait for their clients' acknowledgement, of each backend and of all.
//!
//! A leaky bucket: a SYN that opens a flow fills it, the completed handshake takes out what its SYN put in, and what nobody
//! completes drains by itself. So clients that are there weigh nothing, however many they are. While a bucket is full, SYNs
//! are answered by cookies.

use super::tables::Tables;
use crate::abi::{Cookies, FRACTION_BITS, TICK_SHIFT};

/// What drains: 512 SYNs a second, in units of 2^-32 tick for one.
const INTERVAL: i64 = ((1_000_000_000 << FRACTION_BITS) >> TICK_SHIFT) / 512;

/// SYNs that may wait for one backend: as many as a listening socket keeps by default (net.core.somaxconn, listen(2)).
const OF_BACKEND: u32 = 4096;

/// SYNs that wait for a backend in any case before cookies begin.
const AT_LEAST: u32 = 16;

/// No bucket is ahead by more, or the clock has wrapped.
const MOST: i64 = INTERVAL << 24;

/// The bucket of all backends.
const ALL: u32 = 0;

/// Whether a SYN for this backend is to be answered by a cookie.
#[inline(always)]
pub fn is_high<T: Tables>(tables: &T, backend: u32) -> bool {
    let settings = tables.settings();
    match settings.cookies {
        Cookies::Always => true,
        Cookies::Never => false,
        Cookies::InFloods => {
            // They need ports too, and there may be few towards a backend.
            let few = (settings.half_open / 4).min(u32::from(settings.ports) / 2).max(AT_LEAST);
            is_full(tables, backend, OF_BACKEND.min(few)) || is_full(tables, ALL, settings.half_open / 2)
        }
    }
}

/// Counts a SYN that has opened a flow.
#[inline(always)]
pub fn rise<T: Tables>(tables: &T, backend: u32) {
    for bucket in [backend, ALL] {
        if let Some(due) = tables.pressure(bucket) {
            let now = now(tables);
            if !(0..MOST).contains(&due.wrapping_sub(now)) {
                *due = now;
            }
            tables.add(due, INTERVAL);
        }
    }
}

/// Takes out a SYN whose client has acknowledged.
#[inline(always)]
pub fn fall<T: Tables>(tables: &T, backend: u32) {
    for bucket in [backend, ALL] {
        if let Some(due) = tables.pressure(bucket) {
            tables.add(due, INTERVAL.wrapping_neg());
        }
    }
}

#[inline(always)]
fn is_full<T: Tables>(tables: &T, bucket: u32, waiting: u32) -> bool {
    let full = INTERVAL.wrapping_mul(waiting.into());
    tables.pressure(bucket).is_some_and(|due| (full..MOST).contains(&due.wrapping_sub(now(tables))))
}

#[inline(always)]
fn now<T: Tables>(tables: &T) -> i64 {
    i64::from(tables.now()) << FRACTION_BITS
}
