//! The processor time of the sweeper.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gateway::tables::Sweeper;
use gateway_common::abi::ticks_from_secs;
use nix::time::{ClockId, clock_gettime};

use super::flow_tables::FlowTables;
use crate::{
    figure::{Figure, Findings},
    names::{axis, scale as names},
};

const IDLE_TIMEOUT_SECS: u32 = 3_600;

/// Tables that are full, empty, and such that some flows are to be removed.
pub fn measure(quick: bool, findings: &mut Findings) -> Result<()> {
    let (sizes, sweeps): (&[u32], _) = if quick { (&[1_000_000], 3) } else { (&[100_000, 1_000_000, 4_000_000], 5) };
    for flows in sizes {
        let tables = FlowTables::new(*flows)?;
        let mut sweeper = Sweeper::new(|name| tables.map(name))?;
        let mut record = |subject, samples| {
            findings.push(Figure::new(names::SWEEP, subject, "s", samples).at(axis::FLOWS, (*flows).into()));
        };
        record(names::SWEEP_EMPTY, (0..sweeps).map(|_| sweep(&mut sweeper, 0, 0)).collect::<Result<_>>()?);
        tables.fill(0..*flows, |_| 60)?;
        record(names::SWEEPER, (0..sweeps).map(|_| sweep(&mut sweeper, *flows, 0)).collect::<Result<_>>()?);
        if quick {
            continue;
        }
        let mut samples = Vec::new();
        for _ in 0..2 {
            let is_over = |number: u32| number.is_multiple_of(10);
            tables.fill(0..*flows, |number| if is_over(number) { u64::from(IDLE_TIMEOUT_SECS) + 60 } else { 60 })?;
            samples.push(sweep(&mut sweeper, *flows - *flows / 10, *flows / 10)?);
        }
        record(names::SWEEP_TENTH, samples);
    }
    Ok(())
}

/// Seconds of processor time of one sweep, which leaves and removes as many flows as expected.
fn sweep(sweeper: &mut Sweeper, left: u32, removed: u32) -> Result<f64> {
    let before = processor_time()?;
    let swept = sweeper.sweep(|_| ticks_from_secs(IDLE_TIMEOUT_SECS.into()))?;
    let took = processor_time()? - before;
    let (left, removed) = (u64::from(left), u64::from(removed));
    ensure!((swept.flows, swept.removed) == (left, removed), "swept {swept:?}, not {left} left and {removed} removed");
    Ok(took.as_secs_f64())
}

/// Of this thread, its system calls included.
fn processor_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("read the thread's clock")?.into())
}
