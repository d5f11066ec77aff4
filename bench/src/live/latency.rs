//! Request and response on one connection, alone and beside other traffic.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use super::{
    connections,
    echo::Echo,
    network::Service,
    pair::{Door, Pair},
    processors::{Awake, ENDS, front, on},
    rounds::{Named as _, Samples},
    stand::Stand,
};
use crate::{figure::Point, names::live::Latency};

/// New connections in a second beside the measured one: a load that every subject carries with ease.
pub const LOAD: u32 = 2_000;
const LOAD_CONNECTIONS: usize = 64;
const WARM_UP: u32 = 200;

/// One slice of one subject, idle and loaded.
pub fn measure(stand: &Stand, slice: Duration, samples: &mut Samples) -> Result<()> {
    let cases = stand.path.cases();
    let door = Door::open(stand)?;
    let mut pairs = door.pairs(stand, 1)?;
    let pair = pairs.first_mut().context("one was asked for")?;
    on(ENDS, || {
        let idle = {
            let _awake = Awake::start(front());
            round_trips(&mut [&mut *pair], slice)?
        };
        record(&idle, &cases.idle, stand, None, samples);
        let _echo = Echo::start(&stand.lab.backends[0], Service::Echo.backend_ports())?;
        let loaded = thread::scope(|scope| {
            let load = scope.spawn(|| connections::run(stand, slice, LOAD_CONNECTIONS, Some(LOAD)));
            let loaded = round_trips(&mut [&mut *pair], slice);
            connections::check(&load.join().expect("the load does not panic")?)?;
            loaded
        })?;
        record(&loaded, &cases.loaded, stand, None, samples);
        Ok(())
    })
}

/// Times round trips on the pairs in turn.
pub fn round_trips(pairs: &mut [&mut Pair], slice: Duration) -> Result<Histogram<u64>> {
    let mut times = Histogram::new_with_bounds(100, 10_000_000_000, 3).context("make a histogram")?;
    let mut seed = 0_u8;
    let warm_up = (WARM_UP as usize).div_ceil(pairs.len());
    for _ in 0..warm_up {
        for pair in &mut *pairs {
            pair.round_trip(seed)?;
        }
    }
    let deadline = Instant::now() + slice;
    while Instant::now() < deadline {
        for pair in &mut *pairs {
            seed = seed.wrapping_add(1);
            times.saturating_record(u64::try_from(pair.round_trip(seed)?.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    Ok(times)
}

pub fn record(times: &Histogram<u64>, cases: &Latency, stand: &Stand, at: Option<&Point>, samples: &mut Samples) {
    for (case, quantile) in [(cases.p50, 0.5), (cases.p99, 0.99), (cases.p999, 0.999)] {
        samples.take_at(case, stand.name(), at.cloned(), "µs", times.value_at_quantile(quantile) as f64 / 1000.0);
    }
}
