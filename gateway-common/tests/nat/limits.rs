//! Which connections a service with limits takes on.

use std::net::SocketAddr;

use gateway_common::{
    abi::{Answer, Cookies, Direction, Family, Limit, Limits, TICK_SHIFT, ticks_from_secs},
    host::Packet,
    nat::{Flags, Reason, Tables},
};
use proptest::{collection::vec, prelude::*};

use crate::world::{ISN, World, in_both_families};

const ACK: Flags = Flags::ACK;
const RST: Flags = Flags::RST;

impl World {
    fn limit(&mut self, total: Limit, per_source: Limit, answer: Answer) {
        self.tables.set_limits(self.service, Some(Limits::new(total, per_source, answer)));
    }

    /// A SYN of a client that differs from the usual one in its port, or is another host.
    fn syn_of(&self, host: u8, port: u16) -> Packet {
        let client: SocketAddr = match self.client {
            SocketAddr::V4(_) => SocketAddr::new([198, 51, 100, host].into(), port),
            SocketAddr::V6(_) => SocketAddr::new([0x2001, 0xdb8, 1, u16::from(host), 0, 0, 0, port].into(), port),
        };
        Packet::new(client, self.service).flags(Flags::SYN).seq(ISN)
    }

    /// Leaves nobody to fail over to.
    fn leave_one_backend(&mut self) {
        let backend = self.indices[0];
        self.tables.send_all_to(self.service, backend);
    }

    /// Connections that the service's account says.
    fn counted(&mut self) -> i64 {
        let id = self.service_mut().id;
        self.tables.total_usage(id).expect("the service has limits").open
    }
}

fn connections(count: u64) -> Limit {
    Limit::new(Some(count), None)
}

fn rate(per_second: u64) -> Limit {
    Limit::new(None, Some(per_second))
}

#[test]
fn syn_beyond_a_limit_is_refused_as_configured() {
    type Reasons = [Reason; 2];
    let cases: [(Limit, Limit, Reasons); 4] = [
        (connections(1), Limit::NONE, [Reason::LimitConnectionsReset, Reason::LimitConnections]),
        (rate(1), Limit::NONE, [Reason::LimitRateReset, Reason::LimitRate]),
        (Limit::NONE, connections(1), [Reason::LimitConnectionsPerSourceReset, Reason::LimitConnectionsPerSource]),
        (Limit::NONE, rate(1), [Reason::LimitRatePerSourceReset, Reason::LimitRatePerSource]),
    ];
    for (total, per_source, [reset, drop]) in cases {
        in_both_families(|mut world| {
            world.limit(total, per_source, Answer::Reset);
            world.send(&world.syn_of(1, 1)).expect(Reason::Opened);
            let answer = world.send(&world.syn_of(1, 2)).expect(reset).packet();
            assert!(answer.tcp.rst && answer.tcp.acknowledgment_number == ISN + 1);
            world.limit(total, per_source, Answer::Drop);
            world.send(&world.syn_of(1, 2)).expect(drop);
            let other = world.send(&world.syn_of(2, 1)).verdict.reason;
            assert_eq!(other == Reason::Opened, per_source != Limit::NONE, "another source");
        });
    }
}

#[test]
fn addresses_of_one_ipv6_network_are_one_source() {
    let mut world = World::new(Family::V6);
    world.limit(Limit::NONE, connections(2), Answer::Drop);
    // The port is a part of the interface identifier as well.
    world.send(&world.syn_of(1, 1)).expect(Reason::Opened);
    world.send(&world.syn_of(1, 2)).expect(Reason::Opened);
    world.send(&world.syn_of(1, 3)).expect(Reason::LimitConnectionsPerSource);
}

#[test]
fn connection_is_counted_from_its_syn_to_its_end() {
    in_both_families(|mut world| {
        world.limit(connections(1), connections(1), Answer::Drop);
        world.establish();
        assert_eq!(world.counted(), 1);
        world.send(&world.syn_of(9, 9)).expect(Reason::LimitConnections);
        world.finish();
        assert_eq!(world.counted(), 0);
        world.send(&world.syn_of(9, 9)).expect(Reason::Opened);
    });
}

#[test]
fn repeated_syn_counts_once() {
    in_both_families(|mut world| {
        world.limit(Limit::new(Some(1), Some(1)), Limit::new(Some(1), Some(1)), Answer::Drop);
        world.send(&world.syn()).expect(Reason::Opened);
        world.send(&world.syn()).expect(Reason::Forwarded);
        assert_eq!(world.counted(), 1);
    });
}

#[test]
fn attempt_that_fails_over_counts_once() {
    in_both_families(|mut world| {
        world.limit(Limit::new(Some(1), Some(1)), Limit::new(Some(1), Some(1)), Answer::Drop);
        world.send(&world.syn()).expect(Reason::Opened);
        let refusal = world.backend_segment(RST.with(ACK)).seq(0).ack(ISN + 1);
        world.send(&refusal).expect(Reason::FailedOver);
        assert_eq!(world.counted(), 1);
        world.tables.advance(ticks_from_secs(1));
        world.send(&world.syn()).expect(Reason::FailedOver);
        assert_eq!(world.counted(), 1);
    });
}

#[test]
fn refused_attempt_makes_room_and_its_repetition_takes_it_again() {
    in_both_families(|mut world| {
        world.leave_one_backend();
        world.limit(connections(1), connections(1), Answer::Drop);
        world.send(&world.syn()).expect(Reason::Opened);
        world.send(&world.backend_segment(RST.with(ACK)).seq(0).ack(ISN + 1)).expect(Reason::Forwarded);
        assert_eq!(world.counted(), 0);
        world.send(&world.syn()).expect(Reason::Opened);
        assert_eq!(world.counted(), 1);
    });
}

#[test]
fn reset_makes_room_until_traffic_revives_the_flow() {
    in_both_families(|mut world| {
        world.limit(connections(5), connections(5), Answer::Drop);
        world.establish();
        world.send(&world.client_data(RST, 0, "")).expect(Reason::Forwarded);
        assert_eq!(world.counted(), 0);
        world.send(&world.client_data(ACK, 0, "on")).expect(Reason::Forwarded);
        assert_eq!(world.counted(), 1);
    });
}

#[test]
fn syn_that_opens_nothing_costs_nothing() {
    in_both_families(|mut world| {
        world.limit(Limit::new(Some(1), Some(1)), Limit::new(Some(1), Some(1)), Answer::Drop);
        let slots = std::mem::take(&mut world.service_mut().slots);
        world.send(&world.syn()).expect(Reason::NoBackendReset);
        assert_eq!(world.counted(), 0);
        world.service_mut().slots = slots;
        world.send(&world.syn()).expect(Reason::Opened);
    });
}

#[test]
fn limit_counts_the_connections_that_there_are_when_it_is_set() {
    in_both_families(|mut world| {
        world.establish();
        world.send(&world.syn_of(7, 7)).expect(Reason::Opened);
        world.limit(connections(2), Limit::NONE, Answer::Drop);
        world.send(&world.syn_of(8, 8)).expect(Reason::LimitConnections);
        world.limit(connections(3), Limit::NONE, Answer::Drop);
        world.send(&world.syn_of(8, 8)).expect(Reason::Opened);
        world.tables.set_limits(world.service, None);
        world.send(&world.syn_of(8, 9)).expect(Reason::Opened);
    });
}

#[test]
fn lowered_limit_leaves_flows_alone() {
    in_both_families(|mut world| {
        world.establish();
        world.limit(connections(1), connections(1), Answer::Drop);
        world.send(&world.client_data(ACK, 0, "on")).expect(Reason::Forwarded);
        world.send(&world.backend_data(ACK, 0, "on")).expect(Reason::Forwarded);
    });
}

#[test]
fn flooding_source_leaves_the_services_rate_to_others() {
    in_both_families(|mut world| {
        world.limit(rate(4), rate(2), Answer::Drop);
        for port in 0..2 {
            world.send(&world.syn_of(1, 1 + port)).expect(Reason::Opened);
        }
        for port in 0..1_000 {
            world.send(&world.syn_of(1, 10 + port)).expect(Reason::LimitRatePerSource);
        }
        for port in 0..2 {
            world.send(&world.syn_of(2, 1 + port)).expect(Reason::Opened);
        }
        world.send(&world.syn_of(3, 1)).expect(Reason::LimitRate);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    /// No more than a second's worth at once, and what falls due as time passes.
    #[test]
    fn rate_is_never_above_the_limit_and_is_reached(
        per_second in 1u64..60, waits in vec(0u32..20, 20..120), start in any::<u32>(),
    ) {
        let mut world = World::new(Family::V4);
        world.tables.now.set(start);
        // So many are waited for that it looks like a flood.
        world.tables.settings.cookies = Cookies::Never;
        world.limit(rate(per_second), Limit::NONE, Answer::Drop);
        let (mut elapsed, mut opened) = (0u64, 0u64);
        for (number, wait) in (1..).zip(waits) {
            world.tables.advance(wait);
            elapsed += u64::from(wait);
            match world.send(&world.syn_of(1, number)).verdict.reason {
                Reason::Opened => opened += 1,
                Reason::LimitRate => {}
                other => prop_assert!(false, "{other:?}"),
            }
            let due = (elapsed << TICK_SHIFT) * per_second / 1_000_000_000;
            prop_assert!(opened <= per_second + due, "{opened} of {per_second} a second after {elapsed} ticks");
        }
        world.tables.advance(ticks_from_secs(1) + 1);
        for number in 0..per_second as u16 {
            let reason = world.send(&world.syn_of(2, number)).verdict.reason;
            prop_assert_eq!(reason, Reason::Opened, "{} of {} after a quiet second", number, per_second);
        }
    }

    #[test]
    fn open_connections_are_never_above_the_limits_and_return_to_zero(
        total in 1u64..12, each in 1u64..6, clients in vec((1u8..5, 1u16..8), 1..60),
    ) {
        let mut world = World::new(Family::V4);
        world.leave_one_backend();
        world.limit(connections(total), connections(each), Answer::Reset);
        for &(host, port) in &clients {
            world.send(&world.syn_of(host, port));
            let id = world.service_mut().id;
            let open = world.tables.connections(id);
            prop_assert!(open.values().sum::<i64>() <= total as i64 && open.values().all(|&open| open <= each as i64));
        }
        let replies = world.tables.half_open.entries().into_iter().filter(|(_, flow)| flow.direction == Direction::Reply);
        for (tuple, _) in replies {
            let refusal = Packet::new(tuple.source(), tuple.destination()).flags(RST.with(ACK)).ack(ISN + 1);
            world.send(&refusal).expect(Reason::Forwarded);
        }
        prop_assert_eq!(world.counted(), 0);
    }
}
