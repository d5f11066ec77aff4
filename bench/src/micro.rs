//! The packet programs alone, by `BPF_PROG_TEST_RUN`.
//!
//! Figures are the program's own time: that of the driver that makes the packets is measured in the same round and taken
//! off. A sample is one long run; subjects take turns, round by round. A run whose packets were not all counted under
//! the expected reason is a failure.

mod cases;
pub mod rounds;

use std::path::Path;

use anyhow::Result;
use gateway::datapath::Capacity;

use self::{
    cases::{Case, ESTABLISHED, MANY, SMALL, V6, VLAN},
    rounds::Rounds,
};
use crate::{
    figure::{Figure, Findings},
    harness::{
        Harness, Hook, Packets, Program, World, in_lab,
        plan::{Direction, Kind},
    },
    names::{axis, micro as names},
};

/// Runs the suite. What fails is a finding; an error ends the whole run.
pub fn measure(quick: bool, katran: Option<&Path>, findings: &mut Findings) -> Result<()> {
    let rounds = if quick { Rounds { count: 5, seconds: 0.04 } } else { Rounds { count: 7, seconds: 0.25 } };
    let flows: &[u32] = if quick { &[1, 30_000, 1_000_000] } else { &[1, 1_000, 30_000, 1_000_000] };
    in_lab(|| {
        let mut harness = Harness::new(World::SMALL)?;
        plain(&mut harness, rounds, findings);
        if let Some(object) = katran {
            harness.load_katran(object)?;
        }
        curves(&mut harness, SMALL, flows, rounds, findings)?;
        drop(harness);
        let mut harness = Harness::new(World { v6: true, ..World::SMALL })?;
        curves(&mut harness, V6, if quick { &[30_000] } else { flows }, rounds, findings)?;
        drop(harness);
        let mut harness = Harness::new(World { vlan: 77, ..World::SMALL })?;
        curves(&mut harness, VLAN, if quick { &[30_000] } else { flows }, rounds, findings)?;
        drop(harness);
        let capacity = Capacity { backends: 1 << 20, ..World::SMALL.capacity };
        let mut harness = Harness::new(World { capacity, services: 10_000, backends: 100, ..World::SMALL })?;
        curves(&mut harness, MANY, &[30_000], rounds, findings)
    })
}

/// What needs no table, and the driver.
fn plain(harness: &mut Harness, rounds: Rounds, findings: &mut Findings) {
    findings.step("programs without a table");
    let packets = Packets::established(Kind::Tcp4, Direction::Original);
    let subjects = [
        (names::PARSE_XDP, Hook::Xdp, Program::Parse),
        (names::REDIRECT_XDP, Hook::Xdp, Program::Redirect),
        (names::REWRITE_XDP, Hook::Xdp, Program::Rewrite),
        (names::PARSE_TC, Hook::Tc, Program::Parse),
        (names::REDIRECT_TC, Hook::Tc, Program::Redirect),
        (names::REWRITE_TC, Hook::Tc, Program::Rewrite),
    ];
    findings.baseline(names::PLAIN, names::REWRITE_XDP);
    rounds.measure(harness, names::PLAIN, None, &packets, &subjects, findings);
    rounds.measure_drivers(harness, names::DRIVER, &packets, findings);
    // What does not depend on flows is the baseline of all that does.
    if let Some(rewrite) = findings.find(names::PLAIN, names::REWRITE_XDP, None).cloned() {
        for case in ESTABLISHED {
            findings.baseline(case, names::REWRITE_XDP);
            findings.push(Figure { case: case.to_owned(), ..rewrite.clone() });
        }
    }
}

/// The gateway's programs over a rising number of flows.
fn curves(harness: &mut Harness, cases: &[Case], flows: &[u32], rounds: Rounds, findings: &mut Findings) -> Result<()> {
    let gateway = [(names::GATEWAY_XDP, Hook::Xdp, Program::Gateway), (names::GATEWAY_TC, Hook::Tc, Program::Gateway)];
    let and_katran = [gateway[0], gateway[1], (names::KATRAN, Hook::Xdp, Program::Katran)];
    for flows in flows {
        harness.fill(*flows)?;
        for case in cases {
            findings.step(&format!("{}, {flows} flows", case.name));
            let at = Some((axis::FLOWS, u64::from(*flows)));
            let with_katran = harness.has_katran() && [names::BOTH, names::NEW].contains(&case.name);
            let subjects = if with_katran { &and_katran[..] } else { &gateway };
            rounds.measure(harness, case.name, at, &case.packets, subjects, findings);
        }
    }
    Ok(())
}
