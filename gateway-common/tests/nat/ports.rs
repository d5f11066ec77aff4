//! The choice of source address and port.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use gateway_common::{
    abi::{Answer, Cookies, Family, Limit, Limits, Settings, ticks_from_millis},
    host::Packet,
    nat::{Flags, Reason},
};

use crate::world::{ISN, ISS, World, in_both_families};

impl World {
    /// The SYN of the next client port.
    fn next_syn(&mut self) -> Packet {
        self.client.set_port(self.client.port() + 1);
        self.syn()
    }
}

/// Opens flows from new client ports until one is refused; the source of each.
fn open_all(world: &mut World) -> Vec<(IpAddr, u16)> {
    let mut sources = Vec::new();
    loop {
        let syn = world.next_syn();
        let outcome = world.send(&syn);
        if outcome.verdict.reason == Reason::PortsExhausted {
            return sources;
        }
        let sent = outcome.expect(Reason::Opened).packet();
        sources.push((sent.source().ip(), sent.source().port()));
    }
}

#[test]
fn every_port_is_used_once_towards_a_backend() {
    in_both_families(|mut world| {
        // Fewer than the probes of one SYN, so that none is missed.
        world.tables.settings.ports = 12;
        world.tables.send_all_to(world.service, world.indices[0]);
        let sources = open_all(&mut world);
        assert_eq!(sources.len(), 12);
        assert_eq!(sources.iter().collect::<HashSet<_>>().len(), 12);
        let Settings { first_port, ports, .. } = world.tables.settings;
        assert!(sources.iter().all(|(ip, port)| *ip == world.snat && (first_port..first_port + ports).contains(port)));
    });
}

#[test]
fn another_backend_has_all_ports_again() {
    in_both_families(|mut world| {
        world.tables.settings.ports = 5;
        world.tables.send_all_to(world.service, world.indices[0]);
        assert_eq!(open_all(&mut world).len(), 5);
        world.tables.send_all_to(world.service, world.indices[1]);
        assert_eq!(open_all(&mut world).len(), 5);
    });
}

#[test]
fn several_source_addresses_multiply_the_ports() {
    for (family, more) in [(Family::V4, ["10.0.0.2", "10.0.0.3"]), (Family::V6, ["fd00::2", "fd00::3"])] {
        let mut world = World::new(family);
        for address in more {
            world.tables.add_snat(address.parse().unwrap());
        }
        world.tables.settings.ports = 4;
        world.tables.send_all_to(world.service, world.indices[0]);
        let sources = open_all(&mut world);
        let mut by_address: BTreeMap<IpAddr, usize> = BTreeMap::new();
        sources.iter().for_each(|(ip, _)| *by_address.entry(*ip).or_default() += 1);
        assert_eq!(by_address.into_values().collect::<Vec<_>>(), [4, 4, 4]);
    }
}

#[test]
fn highest_ports_are_reached_without_overflow() {
    in_both_families(|mut world| {
        (world.tables.settings.first_port, world.tables.settings.ports) = (65_533, 3);
        world.tables.send_all_to(world.service, world.indices[0]);
        let mut ports: Vec<_> = open_all(&mut world).into_iter().map(|(_, port)| port).collect();
        ports.sort_unstable();
        assert_eq!(ports, [65_533, 65_534, 65_535]);
    });
}

#[test]
fn no_source_address_of_the_family_refuses_flows() {
    in_both_families(|mut world| {
        (world.tables.settings.snat_v4, world.tables.settings.snat_v6) = (0, 0);
        world.send(&world.syn()).expect(Reason::PortsExhausted);
    });
}

#[test]
fn syn_goes_to_another_backend_when_no_port_is_left_towards_its_own() {
    in_both_families(|mut world| {
        world.tables.settings.cookies = Cookies::Never;
        world.tables.settings.ports = 20;
        let mut by_reason: BTreeMap<&str, usize> = BTreeMap::new();
        for _ in 0..200 {
            let syn = world.next_syn();
            *by_reason.entry(world.send(&syn).verdict.reason.name()).or_default() += 1;
        }
        let count = |reason: Reason| by_reason.get(reason.name()).copied().unwrap_or(0);
        let opened = count(Reason::Opened) + count(Reason::OpenedElsewhere);
        assert_eq!(opened, 3 * 20, "every port towards each of three backends: {by_reason:?}");
        assert!(count(Reason::OpenedElsewhere) > 0, "{by_reason:?}");
        assert_eq!(count(Reason::PortsExhausted), 200 - opened);
    });
}

#[test]
fn share_of_the_ports_holds_for_each_backend() {
    in_both_families(|mut world| {
        world.tables.settings.ports = 40;
        let limits = Limits::new(Limit::NONE, Limit::NONE, Answer::Reset);
        world.tables.set_limits(world.service, Some(Limits { port_share: 10, ..limits }));
        // 4 of 40 ports towards each of three backends.
        let mut elsewhere = 0;
        for _ in 0..3 * 4 {
            let syn = world.next_syn();
            elsewhere += u32::from(world.send(&syn).verdict.reason == Reason::OpenedElsewhere);
            world.send(&world.syn_ack()).expect(Reason::Forwarded);
            world
                .send(&world.client_segment(Flags::ACK).seq(ISN + 1).ack(ISS.wrapping_add(1)))
                .expect(Reason::Forwarded);
        }
        assert!(elsewhere > 0, "the shares were used up at the same time");
        let syn = world.next_syn();
        world.send(&syn).expect(Reason::PortShareUsed);
    });
}

#[test]
fn attempt_that_nobody_completes_gives_its_port_away_when_ports_are_short() {
    in_both_families(|mut world| {
        world.tables.settings.ports = 4;
        world.tables.settings.half_open = 1_000;
        world.tables.send_all_to(world.service, world.indices[0]);
        assert_eq!(open_all(&mut world).len(), 4);
        world.tables.advance(ticks_from_millis(1_900));
        let syn = world.next_syn();
        world.send(&syn).expect(Reason::PortsExhausted);
        world.tables.advance(ticks_from_millis(200));
        for _ in 0..4 {
            let syn = world.next_syn();
            world.send(&syn).expect(Reason::Opened);
        }
        let syn = world.next_syn();
        world.send(&syn).expect(Reason::PortsExhausted);
    });
}

#[test]
fn port_of_an_attempt_that_its_client_resets_is_free_at_once_when_ports_are_short() {
    in_both_families(|mut world| {
        world.tables.settings.ports = 1;
        world.tables.send_all_to(world.service, world.indices[0]);
        world.send(&world.syn()).expect(Reason::Opened);
        world.send(&world.syn_ack()).expect(Reason::Forwarded);
        world.send(&world.client_segment(Flags::RST).seq(ISN + 1)).expect(Reason::Forwarded);
        let syn = world.next_syn();
        world.send(&syn).expect(Reason::Opened);
    });
}
