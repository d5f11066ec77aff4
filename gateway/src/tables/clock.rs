//! The packet programs' clock, read from this side.

use std::time::Duration;

use anyhow::{Context, Result};
use gateway_common::abi::TICK_SHIFT;
use nix::time::{ClockId, clock_gettime};

/// Now in ticks of `CLOCK_MONOTONIC_COARSE`, as `bpf_ktime_get_coarse_ns` gives it to the programs.
pub fn now() -> Result<u32> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).context("read the clock")?;
    Ok((Duration::from(time).as_nanos() >> TICK_SHIFT) as u32)
}

/// Ticks from one to the other; 0 where the later one is not later.
pub fn ticks_between(earlier: u32, later: u32) -> u32 {
    let ticks = later.wrapping_sub(earlier);
    if ticks > u32::MAX / 2 { 0 } else { ticks }
}

/// The same in whole seconds.
pub fn seconds_between(earlier: u32, later: u32) -> u64 {
    (u64::from(ticks_between(earlier, later)) << TICK_SHIFT) / 1_000_000_000
}
