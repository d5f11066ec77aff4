//! Which backend a flow gets.

use std::{collections::BTreeMap, net::SocketAddr};

use gateway_common::{
    abi::{Algorithm, Cookies, Family},
    host::{HostTables, Packet, ServiceOptions},
    nat::{Reason, Tables},
};

use crate::world::World;

/// Opens flows from `clients`; how many each backend got.
fn share(world: &mut World, clients: impl Iterator<Item = SocketAddr>) -> BTreeMap<u32, u32> {
    let mut by_backend = BTreeMap::new();
    for client in clients {
        world.client = client;
        world.send(&world.syn()).expect(Reason::Opened);
        *by_backend.entry(world.flow().backend).or_default() += 1;
    }
    by_backend
}

fn clients(count: u32) -> impl Iterator<Item = SocketAddr> {
    (0..count).map(|number| SocketAddr::new([198, 51, 100, (number / 50) as u8].into(), 1000 + (number % 50) as u16))
}

/// A world whose backends weigh 1, 2 and 3.
fn weighted(algorithm: Algorithm) -> World {
    let mut world = World::new(Family::V4);
    let backends: Vec<_> = world.backends.iter().copied().zip([1, 2, 3]).collect();
    world.tables = HostTables::new(11);
    // Nobody completes a handshake here.
    world.tables.settings.cookies = Cookies::Never;
    world.tables.add_snat(world.snat);
    let options = ServiceOptions { algorithm, ..ServiceOptions::default() };
    world.indices = world.tables.add_service(world.service, options, &backends);
    world
}

#[test]
fn flows_are_shared_by_weight() {
    for algorithm in [Algorithm::Maglev, Algorithm::LeastConnections] {
        let shares = share(&mut weighted(algorithm), clients(1200));
        for (share, expected) in shares.values().zip([200_u32, 400, 600]) {
            // Five standard deviations of a binomial share.
            assert!(share.abs_diff(expected) < 90, "{algorithm:?}: {shares:?}");
        }
    }
}

#[test]
fn same_tuple_gets_the_same_backend() {
    let chosen: Vec<_> = (0..3).map(|_| share(&mut weighted(Algorithm::Maglev), clients(40))).collect();
    assert!(chosen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn source_affinity_keeps_an_address_on_one_backend() {
    let mut world = weighted(Algorithm::Source);
    for host in 0..20_u8 {
        let of_host = (1000..1050).map(|port| SocketAddr::new([198, 51, 100, host].into(), port));
        assert_eq!(share(&mut world, of_host).len(), 1);
    }
    assert_eq!(share(&mut weighted(Algorithm::Source), clients(1000)).len(), 3);
}

#[test]
fn least_connections_prefers_the_idle_backend() {
    let mut world =
        World::with(Family::V4, ServiceOptions { algorithm: Algorithm::LeastConnections, ..Default::default() });
    for (index, open) in world.indices.clone().into_iter().zip([40, 0, 40]) {
        for number in 0..open {
            world.client = SocketAddr::new([192, 0, 2, index as u8].into(), 1000 + number);
            let slots = world.tables.slots.clone();
            world.tables.send_all_to(world.service, index);
            world.establish();
            world.tables.slots = slots;
        }
    }
    let shares = share(&mut world, clients(90));
    // It wins whenever it is among the two that are drawn: five times in nine.
    assert!((40..60).contains(&shares[&world.indices[1]]), "{shares:?}");
}

#[test]
fn least_connections_weighs_what_is_open() {
    let mut world = weighted(Algorithm::LeastConnections);
    for client in clients(600) {
        world.client = client;
        world.establish();
    }
    let open: Vec<_> = world.indices.iter().map(|&index| world.tables.open_flows(index)).collect();
    for (open, expected) in open.iter().zip([100_i64, 200, 300]) {
        assert!((open - expected).abs() < 30, "{open}, not {expected}");
    }
}

#[test]
fn slot_of_another_services_backend_counts_as_none() {
    let mut world = World::new(Family::V4);
    let other = "203.0.113.10:20002".parse().unwrap();
    let foreign = world.tables.add_service(other, ServiceOptions::default(), &[("10.0.9.9:1".parse().unwrap(), 1)]);
    world.tables.send_all_to(world.service, foreign[0]);
    world.send(&world.syn()).expect(Reason::NoBackendReset);
    world.send(&Packet::syn(world.client, other, 1)).expect(Reason::Opened);
}

#[test]
fn entry_that_is_free_counts_as_none() {
    let mut world = World::new(Family::V4);
    for index in world.indices.clone() {
        world.tables.backends[index as usize].in_use = 0;
    }
    let reset = world.send(&world.syn()).expect(Reason::NoBackendReset).packet();
    assert!(reset.tcp.rst);
}
