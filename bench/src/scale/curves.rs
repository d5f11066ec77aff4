//! The packet program's time against what grows.

use anyhow::Result;
use gateway::datapath::Capacity;

use crate::{
    figure::Findings,
    harness::{
        Harness, Hook, Packets, Program, World, in_lab,
        plan::{Direction, Kind},
    },
    micro::rounds::Rounds,
    names::{axis, scale as names},
};

const SUBJECT: [(&str, Hook, Program); 1] = [(names::GATEWAY_XDP, Hook::Xdp, Program::Gateway)];
const DATA: Packets = Packets::established(Kind::Tcp4, Direction::Both);
/// Flows where the number of flows is not what varies: more than the first caches hold.
const SOME: u32 = 30_000;

pub fn rounds(quick: bool) -> Rounds {
    if quick { Rounds { count: 5, seconds: 0.05 } } else { Rounds { count: 5, seconds: 0.2 } }
}

/// Established packets by the number of flows, in a table with room for the most of them.
pub fn flows(findings: &mut Findings) -> Result<()> {
    let capacity = Capacity { flows: 4_000_000, ..World::SMALL.capacity };
    let flows = [1, 1_000, 10_000, 100_000, 1_000_000, 4_000_000];
    in_lab(|| {
        let mut harness = Harness::new(World { capacity, ..World::SMALL })?;
        for flows in flows {
            harness.fill(flows)?;
            let at = Some((axis::FLOWS, u64::from(flows)));
            rounds(false).measure(&mut harness, names::BY_FLOWS, at, &DATA, &SUBJECT, findings);
        }
        Ok(())
    })
}

/// Established packets and new flows as the table fills.
pub fn fill(findings: &mut Findings) -> Result<()> {
    in_lab(|| {
        let mut harness = Harness::new(World::SMALL)?;
        for percent in [50, 60, 70, 80, 90, 95] {
            harness.fill((u64::from(World::SMALL.capacity.flows) * percent / 100) as u32)?;
            let at = Some((axis::FILL, percent));
            rounds(false).measure(&mut harness, names::BY_FILL, at, &DATA, &SUBJECT, findings);
            rounds(false).measure(&mut harness, names::NEW_BY_FILL, at, &Packets::SYN, &SUBJECT, findings);
        }
        Ok(())
    })
}

/// Established packets and new flows by the number of services, of one backend each.
pub fn services(findings: &mut Findings) -> Result<()> {
    let capacity = Capacity { backends: 1 << 16, ..World::SMALL.capacity };
    for services in [1, 100, 1_000, 10_000] {
        let world = World { capacity, services, ..World::SMALL };
        let at = (axis::SERVICES, u64::from(services));
        in_lab(|| pair(world, [names::BY_SERVICES, names::NEW_BY_SERVICES], at, rounds(false), findings))?;
    }
    Ok(())
}

/// Established packets and new flows by the number of backends of the one service.
pub fn backends(quick: bool, findings: &mut Findings) -> Result<()> {
    let counts: &[u32] = if quick { &[1, 1_000] } else { &[1, 10, 100, 1_000] };
    let capacity = Capacity { backends: 1 << 16, ..World::SMALL.capacity };
    for backends in counts {
        let world = World { capacity, backends: *backends, ..World::SMALL };
        let at = (axis::BACKENDS, u64::from(*backends));
        in_lab(|| pair(world, [names::BY_BACKENDS, names::NEW_BY_BACKENDS], at, rounds(quick), findings))?;
    }
    Ok(())
}

/// New flows by the number of source addresses. Among so many backends no port is ever short.
pub fn source_addresses(findings: &mut Findings) -> Result<()> {
    for snat in [1, 4, 16, 64] {
        in_lab(|| {
            let mut harness = Harness::new(World { backends: 100, snat, ..World::SMALL })?;
            let at = Some((axis::SNAT, u64::from(snat)));
            rounds(false).measure(&mut harness, names::NEW_BY_SNAT, at, &Packets::SYN, &SUBJECT, findings);
            Ok(())
        })?;
    }
    Ok(())
}

/// Established packets of some flows, then new flows.
fn pair(
    world: World,
    [established, new]: [&str; 2],
    at: (&str, u64),
    rounds: Rounds,
    findings: &mut Findings,
) -> Result<()> {
    let mut harness = Harness::new(world)?;
    // Among those of one flow stands the packet that new flows are compared with.
    harness.fill(1)?;
    rounds.measure(&mut harness, new, Some(at), &Packets::SYN, &SUBJECT, findings);
    harness.fill(SOME)?;
    rounds.measure(&mut harness, established, Some(at), &DATA, &SUBJECT, findings);
    Ok(())
}
