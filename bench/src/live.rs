//! Real traffic through namespaces, the gateway and its peers in turns.
//!
//! Every subject runs on the front server of a network of its own, all networks stand side by side, and the subjects
//! are measured in interleaved rounds. Before that, each has to carry a transfer whose digest is compared.

use std::time::Duration;

use anyhow::Result;
use gateway_tests::{
    Lab,
    traffic::{Behaviour, Server, client},
};

use crate::{figure::Findings, names::live as names};

mod bulk;
mod connections;
mod cpu;
mod crowd;
mod echo;
mod latency;
mod load;
mod memory;
mod network;
mod packets;
mod pair;
mod processors;
mod rounds;
mod stand;

use bulk::Transfer;
use network::{Path, Service};
use rounds::{Samples, guarded, interleave};
use stand::{Stand, Subject};

/// How much is done.
struct Extent {
    slice: Duration,
    rounds: usize,
    crowd_rounds: usize,
    crowd: usize,
    transfers: &'static [Transfer],
    transfer_rounds: usize,
    packet_slice: Duration,
    packet_rounds: usize,
}

const FULL: Extent = Extent {
    slice: Duration::from_millis(1_000),
    rounds: 5,
    crowd_rounds: 2,
    crowd: 10_000,
    transfers: &Transfer::ALL,
    transfer_rounds: 3,
    packet_slice: Duration::from_millis(500),
    packet_rounds: 5,
};
const QUICK: Extent = Extent {
    slice: Duration::from_millis(400),
    rounds: 2,
    crowd_rounds: 1,
    crowd: 2_000,
    transfers: &Transfer::QUICK,
    transfer_rounds: 2,
    packet_slice: Duration::from_millis(150),
    packet_rounds: 3,
};

/// Runs the suite. What fails is a finding; an error ends the whole run.
pub fn measure(quick: bool, findings: &mut Findings) -> Result<()> {
    let extent = if quick { &QUICK } else { &FULL };
    network::prepare_machine()?;
    packets::measure(quick, extent.packet_slice, extent.packet_rounds, findings)?;
    for path in [Path::TwoArm, Path::Container] {
        name_baselines(path, findings);
        findings.step(&format!("{}: start the subjects", path.name()));
        let labs: Vec<(Subject, Lab)> =
            Subject::ALL.into_iter().map(|subject| (subject, network::build(path))).collect();
        let mut stands: Vec<Stand> =
            labs.iter().filter_map(|(subject, lab)| start(*subject, path, lab, findings)).collect();
        measure_path(path, &mut stands, extent, findings);
    }
    Ok(())
}

/// Starts a subject, and sees that it carries what it is given.
fn start<'lab>(subject: Subject, path: Path, lab: &'lab Lab, findings: &mut Findings) -> Option<Stand<'lab>> {
    const LENGTH: usize = 20_000_000;
    let started = guarded(|| {
        let stand = Stand::start(subject, path, lab);
        let port = Service::Digest.backend_ports().start;
        let _server = Server::start(&lab.backends[0], port, Behaviour::Digest);
        let to = stand.targets(Service::Digest)[0];
        client::upload(&lab.client, to, 7, LENGTH).map_err(|failure| anyhow::anyhow!("{failure}"))?;
        Ok(stand)
    });
    started.map_err(|error| findings.fail(path.cases().intact, subject.name(path), format!("{error:#}"))).ok()
}

fn measure_path(path: Path, stands: &mut [Stand], extent: &Extent, findings: &mut Findings) {
    let cases = path.cases();
    let mut turn = |what: &str, case, rounds, measure: &mut dyn FnMut(&mut Stand, &mut Samples) -> Result<()>| {
        findings.step(&format!("{}: {what}", path.name()));
        interleave(findings, case, rounds, stands, measure);
    };
    turn("new connections", cases.connections, extent.rounds, &mut |stand, samples| {
        connections::measure(stand, extent.slice, samples)
    });
    turn("latency", cases.idle.p50, extent.rounds, &mut |stand, samples| {
        latency::measure(stand, extent.slice, samples)
    });
    for transfer in extent.transfers.iter().filter(|transfer| transfer.is_possible(path)) {
        turn("bulk transfers", transfer.cases(path).rate, extent.transfer_rounds, &mut |stand, samples| {
            bulk::measure(stand, *transfer, extent.slice, samples)
        });
    }
    turn("many open connections", cases.crowd.p50, extent.crowd_rounds, &mut |stand, samples| {
        crowd::measure(stand, extent.crowd, extent.slice, samples)
    });
}

fn name_baselines(path: Path, findings: &mut Findings) {
    for case in path.cases().all() {
        findings.baseline(case, names::ROUTING);
    }
    // Routing holds nothing.
    findings.baseline(path.cases().crowd_memory, names::NFTABLES);
}
