//! Many open connections, few of them active: what the active ones wait, and what the idle ones cost.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit};

use super::{
    cpu::Meter,
    latency::{record, round_trips},
    memory,
    pair::{Door, Pair},
    processors::{Awake, ENDS, front, on},
    rounds::{Named as _, Samples},
    stand::Stand,
};
use crate::{figure::Point, names::axis};

/// One in so many is active.
const STEP: usize = 100;

/// `connections`, or fewer where the limit of open files does not let this process hold both their ends, nor a proxy
/// two sockets for each.
fn possible(connections: usize) -> Result<usize> {
    const OTHERS: usize = 1_000;
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).context("ask for the limit of open files")?;
    Ok(connections.min(usize::try_from(limit / 2)?.saturating_sub(OTHERS)))
}

/// One slice of one subject.
pub fn measure(stand: &Stand, connections: usize, slice: Duration, samples: &mut Samples) -> Result<()> {
    let cases = stand.path.cases();
    let door = Door::open(stand)?;
    let before = memory::used(stand)?;
    let count = possible(connections)?;
    let mut pairs = door.pairs(stand, count)?;
    let after = memory::used(stand)?;
    let programs = after.programs.saturating_sub(stand.resident(before.programs));
    let bytes = programs + after.kernel.saturating_sub(before.kernel);
    let at = Some(Point { axis: axis::CONNECTIONS.to_owned(), value: count as u64 });
    samples.take_at(cases.crowd_memory, stand.name(), at.clone(), "bytes", bytes as f64 / count as f64);
    let mut active: Vec<&mut Pair> = pairs.iter_mut().step_by(STEP).collect();
    let measured = on(ENDS, || {
        let _awake = Awake::start(front());
        round_trips(&mut active, slice)
    })?;
    record(&measured, &cases.crowd, stand, at.as_ref(), samples);
    let (requests, used) = on(ENDS, || paced(stand, &mut active, slice))?;
    samples.take_at(cases.crowd_cpu, stand.name(), at, "µs", used.as_secs_f64() * 1e6 / requests as f64);
    Ok(())
}

/// Requests at a rate that leaves the machine idle in between, and their processor time on the front server.
fn paced(stand: &Stand, active: &mut [&mut Pair], slice: Duration) -> Result<(u64, Duration)> {
    const INTERVAL: Duration = Duration::from_micros(500);
    let meter = Meter::start(stand)?;
    let (start, before) = (Instant::now(), meter.read()?);
    let mut requests = 0_u32;
    while start.elapsed() < slice {
        active[requests as usize % active.len()].round_trip(requests as u8)?;
        requests += 1;
        thread::sleep((start + requests * INTERVAL).saturating_duration_since(Instant::now()));
    }
    Ok((u64::from(requests), meter.read()? - before))
}
