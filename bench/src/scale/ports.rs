//! New flows as the source ports towards a backend run out.
//!
//! The ports that are taken lie as the gateway's own way of allocation leaves them: it tries neighbours from a random
//! start, so ports in a row are more often taken than chance has it.

use anyhow::{Context, Result, ensure};
use aya::maps::Array;
use gateway::datapath::Capacity;
use gateway_common::{abi::Address, nat::Reason};

use crate::{
    figure::{Figure, Findings},
    harness::{Harness, Hook, Packets, Program, World, in_lab, plan},
    micro::rounds::UNIT,
    names::{axis, scale as names},
};

/// One source address, one backend.
const PORTS: u32 = 1 << 15;
/// Ports that the gateway tries for a flow: so many anywhere, of so many in all; the others are neighbours.
const SCATTERED_PROBES: u32 = 16;
const PROBES: u32 = 64;
/// So few half-open flows are remembered that those of the run itself take next to no ports.
const HALF_OPEN: u32 = 128;

/// The time for a SYN, and how many find no port.
pub fn measure(quick: bool, findings: &mut Findings) -> Result<()> {
    let shares: &[u32] = if quick { &[0, 90] } else { &[0, 50, 75, 90, 99] };
    let (rounds, repeat) = if quick { (3, 50_000) } else { (5, 100_000) };
    let capacity = Capacity { half_open: HALF_OPEN, ..World::SMALL.capacity };
    for share in shares {
        let (mut times, mut refused) = (Vec::new(), Vec::new());
        in_lab(|| {
            let mut harness = Harness::new(World { capacity, snat: 1, ..World::SMALL })?;
            // New flows compete with the established ones, whose first source address this is.
            let addresses = harness.gateway_mut().map_mut("SNAT").context("the object has no SNAT")?;
            Array::try_from(addresses)?.set(0, Address::from_v4(plan::SNAT.to_be_bytes()), 0)?;
            harness.occupy(&taken(PORTS * share / 100))?;
            for _ in 0..rounds {
                let (with, counts) = harness.run_counting(Hook::Xdp, Program::Gateway, &Packets::SYN, repeat)?;
                let (without, _) = harness.run_counting(Hook::Xdp, Program::Empty, &Packets::SYN, repeat)?;
                let [opened, exhausted] =
                    [Reason::Opened, Reason::PortsExhausted].map(|reason| counts[reason as usize]);
                ensure!(opened + exhausted == u64::from(repeat), "{opened} opened and {exhausted} not, of {repeat}");
                times.push(with - without);
                refused.push(exhausted as f64 / f64::from(repeat) * 100.0);
            }
            Ok(())
        })?;
        let at = u64::from(*share);
        findings.push(Figure::new(names::NEW_BY_PORTS, names::GATEWAY_XDP, UNIT, times).at(axis::PORTS, at));
        findings.push(Figure::new(names::REFUSED_BY_PORTS, names::GATEWAY_XDP, "%", refused).at(axis::PORTS, at));
    }
    Ok(())
}

/// Ports in use after many flows have come and gone while `wanted` were open.
fn taken(wanted: u32) -> Vec<u32> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut is_taken = vec![false; PORTS as usize];
    let mut ports: Vec<u32> = Vec::with_capacity(wanted as usize);
    let mut turns = 10 * wanted;
    while ports.len() < wanted as usize || turns > 0 {
        if ports.len() == wanted as usize {
            let gone = ports.swap_remove(random.usize(..ports.len()));
            is_taken[gone as usize] = false;
            turns -= 1;
        }
        let mut port = 0;
        let free = (0..PROBES).find_map(|probe| {
            port = if probe < SCATTERED_PROBES { random.u32(..PORTS) } else { (port + 1) % PORTS };
            (!is_taken[port as usize]).then_some(port)
        });
        if let Some(port) = free {
            is_taken[port as usize] = true;
            ports.push(port);
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_ports_are_taken_as_wanted_and_none_twice() {
        for wanted in [0, 100, PORTS / 2, PORTS * 99 / 100] {
            let mut ports = taken(wanted);
            ports.sort_unstable();
            ports.dedup();
            assert_eq!(ports.len(), wanted as usize);
        }
    }
}
