//! New connections: how many, and what each costs the front server.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{
    cpu::Meter,
    echo::Echo,
    load::{Load, Tally},
    network::Service,
    processors::{ENDS, on},
    rounds::{Named as _, Samples},
    stand::Stand,
};

/// At once; a front server's share of a few hundred clients.
const CONNECTIONS: usize = 64;
/// Beyond this share the figure says something else than what it is called.
const MAX_FAILED: f64 = 0.001;

/// One slice of one subject.
pub fn measure(stand: &Stand, slice: Duration, samples: &mut Samples) -> Result<()> {
    let cases = stand.path.cases();
    let (tally, used) = on(ENDS, || {
        let _echo = Echo::start(&stand.lab.backends[0], Service::Echo.backend_ports())?;
        let meter = Meter::start(stand)?;
        let before = meter.read()?;
        let tally = run(stand, slice, CONNECTIONS, None)?;
        Ok((tally, meter.read()? - before))
    })?;
    check(&tally)?;
    let rate = tally.in_time as f64 / slice.as_secs_f64();
    samples.take(cases.connections, stand.name(), "connections/s", rate);
    samples.take(cases.connection_cpu, stand.name(), "µs", used.as_secs_f64() * 1e6 / tally.done as f64);
    Ok(())
}

/// Runs the load in the client's namespace.
pub fn run(stand: &Stand, slice: Duration, connections: usize, per_second: Option<u32>) -> Result<Tally> {
    let targets = stand.targets(Service::Echo);
    let load = Load { targets: &targets, sources: &stand.sources, connections, per_second };
    stand.lab.client.run(|| load.run(Instant::now() + slice))
}

/// Few may fail, and none silently.
pub fn check(tally: &Tally) -> Result<()> {
    let all = tally.done + tally.failed;
    ensure!(
        tally.done > 0 && tally.failed as f64 <= all as f64 * MAX_FAILED,
        "{} of {all} connections failed: {}",
        tally.failed,
        tally.first_failure.as_deref().unwrap_or("none was opened")
    );
    Ok(())
}
