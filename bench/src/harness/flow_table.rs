//! Established flows in the gateway's table: the one place of the benchmarks that knows how it is laid out.

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use gateway::{datapath, tables::flow_table};
use gateway_common::{
    abi::{Direction, Flow, Hop, Ifindex, Seen, TICK_SHIFT, Tuple, Volume},
    nat::headers::Mac,
};
use nix::time::{ClockId, clock_gettime};

use super::{
    World,
    frame::{v4, v6},
    network::{BACK, FRONT},
    plan::{self, BACKEND_PORT, BACKENDS, PRIVATE6, PUBLIC6, SERVICE},
    tables::{GENERATION, backend_index},
};

/// The map of the flow table, and all that grows with the number of flows.
pub const NAME: &str = "FLOWS";
pub const MAPS: [&str; 1] = [NAME];

/// Adds the flows with these numbers, which have been seen just now, and counts `open` flows.
pub fn add(gateway: &mut Ebpf, world: &World, numbers: impl Iterator<Item = u32>, open: u32) -> Result<()> {
    let now = now()?;
    write(&|name| datapath::map_handle(gateway, name), world, numbers, |_| now)?;
    let mut counters =
        Array::<_, i64>::try_from(gateway.map_mut("OPEN_FLOWS").context("the object has no OPEN_FLOWS")?)?;
    counters.set(0, i64::from(open), 0).context("write the number of flows")
}

/// Puts the flows with these numbers, `last_seen` in ticks, into a flow table, in the place of those that are there. `open`
/// opens another handle of a map by its name.
pub fn write(
    open: &dyn Fn(&str) -> Result<MapData>,
    world: &World,
    numbers: impl Iterator<Item = u32>,
    last_seen: impl Fn(u32) -> u32,
) -> Result<()> {
    let mut table = flow_table::open(NAME, open)?;
    let entries: Vec<Flow> = numbers.flat_map(|number| pair(world, number, last_seen(number))).collect();
    for entry in &entries {
        table.remove(&entry.from, &|_| true)?;
    }
    table.recycle()?;
    entries.iter().try_for_each(|entry| table.insert(entry))
}

/// Both directions of a flow.
fn pair(world: &World, number: u32, now: u32) -> [Flow; 2] {
    let (original, reply) = tuples(world, number);
    let backend = backend_index(plan::ends(number, &world.shape()).backend);
    let flow = |from: Tuple, to: Tuple, ifindex, direction| Flow {
        from,
        to,
        hop: Hop {
            generation: GENERATION,
            device: Ifindex::new(ifindex),
            dst_mac: Mac([2, 0, 0, 0, 0, 0xb1]),
            src_mac: Mac([2, 0, 0, 0, 0, 0x0b]),
            egress: world.egress(),
            mtu: 1500,
        },
        traffic: Volume::EMPTY,
        backend,
        created: now,
        last_seen: now,
        next_seq: 7,
        acked: 1,
        direction,
        seen: Seen::SYN,
    };
    [
        flow(original, reply.reversed(), BACK, Direction::Original),
        flow(reply, original.reversed(), FRONT, Direction::Reply),
    ]
}

/// The tuples of both directions' packets.
fn tuples(world: &World, number: u32) -> (Tuple, Tuple) {
    let ends = plan::ends(number, &world.shape());
    let public = |number| if world.v6 { v6(PUBLIC6, number) } else { v4(number) };
    let private = |number| if world.v6 { v6(PRIVATE6, number) } else { v4(number) };
    let (client, service) = ((public(ends.client), ends.client_port), (public(SERVICE), ends.service_port));
    let (backend, snat) = ((private(BACKENDS + ends.backend), BACKEND_PORT), (private(ends.snat), ends.snat_port));
    (Tuple::from_sockets(client.into(), service.into()), Tuple::from_sockets(backend.into(), snat.into()))
}

/// Ticks, as the programs count them.
pub fn now() -> Result<u32> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).context("read the clock")?;
    Ok((std::time::Duration::from(now).as_nanos() >> TICK_SHIFT) as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_flow_has_tuples_of_its_own() {
        for (services, backends) in [(1, 1), (100, 10)] {
            let world = World { services, backends, ..World::SMALL };
            let mut seen = HashSet::new();
            for number in (0..100_000).chain(1_000_000..1_100_000) {
                let (original, reply) = tuples(&world, number);
                assert!(seen.insert(original) && seen.insert(reply), "{number}");
            }
        }
    }

    #[test]
    fn flows_reach_all_services_and_backends() {
        let shape = World { services: 100, backends: 10, ..World::SMALL }.shape();
        let ends: Vec<_> = (0..20_000).map(|number| plan::ends(number, &shape)).collect();
        let backends: HashSet<_> = ends.iter().map(|ends| ends.backend).collect();
        assert_eq!(backends.len(), 1_000);
        assert!(ends.iter().all(|ends| ends.backend / 10 == ends.service));
    }
}
