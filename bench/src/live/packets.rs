//! Small frames: nanoseconds of one core for each, all told, over as many flows as wanted.
//!
//! Live frames of `BPF_PROG_TEST_RUN` are sent into the wire towards the front server and dropped where they leave the
//! one behind it, all on one core: making, receiving and dropping a frame is part of each figure, and the same for every
//! subject. XDP's frames are dropped by XDP, those of skbs by TC, so that none is converted to be dropped.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use gateway_tests::Lab;

use super::{
    network,
    rounds::{Named, Samples, guarded, interleave},
};
use crate::{
    figure::{Findings, Point},
    names::{axis, live as names},
};

mod frame;
mod generator;
mod programs;
mod site;

use site::{Contestant, Run, Site};

/// Of the frames sent, so many have to come out, or the figure is of something else.
const ARRIVING: f64 = 0.99;

/// Runs this part of the suite.
pub fn measure(quick: bool, slice: Duration, rounds: usize, findings: &mut Findings) -> Result<()> {
    findings.baseline(names::PACKETS, names::REDIRECT_XDP);
    findings.step("64-byte frames: start the subjects");
    let labs: Vec<(Contestant, Lab)> =
        Contestant::ALL.into_iter().map(|contestant| (contestant, network::build(contestant.path()))).collect();
    let mut sites = Vec::new();
    for (contestant, lab) in &labs {
        match guarded(|| Site::start(*contestant, lab)) {
            Ok(site) => sites.push(site),
            Err(error) => findings.fail(names::PACKETS, contestant.name(), format!("{error:#}")),
        }
    }
    for flows in [1, 30_000, 1_000_000] {
        findings.step(&format!("64-byte frames of {flows} flows"));
        sites.retain(|site| site.contestant.most_flows(quick) >= flows);
        sites.retain_mut(|site| match guarded(|| site.open(flows)) {
            Ok(()) => true,
            Err(error) => {
                findings.fail(names::PACKETS, site.name(), format!("open {flows} flows: {error:#}"));
                false
            }
        });
        interleave(findings, names::PACKETS, rounds, &mut sites, &mut |site, samples| sample(site, slice, samples));
    }
    Ok(())
}

fn sample(site: &mut Site, slice: Duration, samples: &mut Samples) -> Result<()> {
    const CALIBRATION: u32 = 20_000;
    let first = site.run(CALIBRATION)?;
    ensure!(first.seen > 0, "none of {CALIBRATION} frames has come through");
    let frames = (slice.as_secs_f64() / first.used.as_secs_f64() * f64::from(CALIBRATION)) as u32;
    let run = run_without_loss(site, frames)?;
    let at = Some(Point { axis: axis::FLOWS.to_owned(), value: site.flows().into() });
    samples.take_at(names::PACKETS, site.name(), at, "ns/packet", run.used.as_nanos() as f64 / run.seen as f64);
    Ok(())
}

/// Where others take the core for a while, queues overflow: then it is tried again.
fn run_without_loss(site: &mut Site, frames: u32) -> Result<Run> {
    const ATTEMPTS: usize = 5;
    let mut most = 0;
    for _ in 0..ATTEMPTS {
        let run = site.run(frames)?;
        if run.seen as f64 >= f64::from(frames) * ARRIVING {
            return Ok(run);
        }
        most = most.max(run.seen);
    }
    bail!("{most} of {frames} frames have come through, at best")
}
