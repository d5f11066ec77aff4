//! A SYN goes to another backend when the one that has it refuses it or does not answer, and comes from another port when
//! the backend answers for another connection.

use std::collections::HashSet;

use gateway_common::{
    abi::{Algorithm, BackendCounters, Egress, Family, Hop, MAX_TRIED, ticks_from_millis},
    host::{HostTables, Packet, ServiceOptions},
    nat::{Flags, Reason, State, Tables},
};
use proptest::{collection::vec, prelude::*};

use crate::world::{HOP, ISN, ISS, World, in_both_families};

/// When a client that has no answer sends its SYN again.
const RETRANSMISSION: u32 = ticks_from_millis(1_000);
const REFUSAL: Flags = Flags(0x14);

impl World {
    /// The reset by which the backend of the client's flow refuses it.
    #[track_caller]
    pub fn refusal(&self) -> Packet {
        self.backend_segment(REFUSAL).seq(0).ack(ISN + 1)
    }

    /// What the backend of the client's flow says that has the tuple in TIME-WAIT still.
    #[track_caller]
    pub fn answer_of_time_wait(&self) -> Packet {
        self.backend_segment(Flags::ACK).seq(ISS - 9).ack(ISN - 999)
    }

    /// Attempts, and how many of them were refused and not answered, of one backend.
    fn attempts(&self, backend: u32) -> (u64, u64, u64) {
        let BackendCounters { attempts, refused, unanswered, .. } = self.tables.totals(backend);
        (attempts, refused, unanswered)
    }

    /// Lets the client complete the handshake with the backend that it has.
    #[track_caller]
    fn complete(&self) {
        self.send(&self.syn_ack()).expect(Reason::Forwarded);
        self.send(&self.client_data(Flags::ACK, 0, "")).expect(Reason::Forwarded);
        assert_eq!(self.state(), State::Established);
    }
}

/// A world with that many backends.
fn with_backends(count: u8) -> World {
    let mut world = World::new(Family::V4);
    world.tables = HostTables::new(5);
    world.tables.add_snat(world.snat);
    world.backends = (1..=count).map(|number| ([10, 0, 1, number], 8080).into()).collect();
    let weighted: Vec<_> = world.backends.iter().map(|&backend| (backend, 1)).collect();
    world.indices = world.tables.add_service(world.service, ServiceOptions::default(), &weighted);
    world
}

#[test]
fn refused_syn_goes_to_another_backend_at_once() {
    in_both_families(|world| {
        let first = world.send(&world.syn()).packet();
        let refused = world.flow().backend;
        let second = world.send(&world.refusal()).expect(Reason::FailedOver).packet();
        let chosen = world.flow().backend;
        assert_ne!(chosen, refused);
        assert_ne!(second.destination(), first.destination());
        assert_eq!(second.source().ip(), world.snat);
        assert_eq!((world.attempts(refused), world.attempts(chosen)), ((1, 1, 0), (1, 0, 0)));
        assert_eq!(world.tables.half_open.len(), 2);
        world.complete();
        assert_eq!(world.connections(), 1);
    });
}

#[test]
fn answer_is_counted_by_the_time_since_the_first_syn() {
    in_both_families(|world| {
        world.send(&world.syn()).expect(Reason::Opened);
        let backend = world.flow().backend;
        world.tables.advance(ticks_from_millis(100));
        let answer = world.syn_ack();
        world.send(&answer).expect(Reason::Forwarded);
        world.send(&answer).expect(Reason::Forwarded);
        let BackendCounters { handshakes, handshake_us, .. } = world.tables.totals(backend);
        // 2^17 µs is 131 ms.
        assert_eq!((handshakes[17 - 5], handshakes.iter().sum::<u32>()), (1, 1));
        assert!((100_000..131_000).contains(&handshake_us), "{handshake_us}");
    });
}

#[test]
fn refusal_with_tags_padding_and_payload_becomes_the_syn() {
    in_both_families(|world| {
        world.send_by_wire(&world.syn().options(&[1; 40])).expect(Reason::Opened);
        let mut refusal = world.refusal().payload("go away").options(&[1; 4]);
        (refusal.envelope.vlans, refusal.envelope.padding) = (vec![100, 200], 9);
        let sent = world.send_by_wire(&refusal).expect(Reason::FailedOver).packet();
        assert_eq!((sent.tcp.header_len(), sent.payload.len(), sent.envelope.padding), (60, 0, 0));
    });
}

#[test]
fn client_learns_of_the_refusal_when_every_backend_has_refused() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.refusal()).expect(Reason::FailedOver);
        world.send(&world.refusal()).expect(Reason::FailedOver);
        let reset = world.send(&world.refusal()).expect(Reason::Forwarded).packet();
        assert!(reset.tcp.rst);
        assert_eq!((reset.source(), reset.destination()), (world.service, world.client));
        for &index in &world.indices {
            assert_eq!(world.attempts(index), (1, 1, 0));
        }
    });
}

#[test]
fn one_syn_is_given_to_a_bounded_number_of_backends() {
    let world = with_backends(20);
    world.send(&world.syn());
    for _ in 1..MAX_TRIED {
        world.send(&world.refusal()).expect(Reason::FailedOver);
    }
    world.send(&world.refusal()).expect(Reason::Forwarded);
}

#[test]
fn syn_with_another_number_is_tried_anew() {
    let world = with_backends(20);
    world.send(&world.syn());
    for _ in 1..MAX_TRIED {
        world.send(&world.refusal());
    }
    world.send(&world.refusal()).expect(Reason::Forwarded);
    world.send(&world.client_segment(Flags::SYN).seq(9 * ISN)).expect(Reason::FailedOver);
    for _ in 1..MAX_TRIED {
        world.send(&world.refusal().ack(9 * ISN + 1)).expect(Reason::FailedOver);
    }
    world.send(&world.refusal().ack(9 * ISN + 1)).expect(Reason::Forwarded);
}

#[test]
fn only_backend_passes_its_refusals_on() {
    in_both_families(|mut world| {
        let only = world.indices[0];
        world.tables.send_all_to(world.service, only);
        world.send(&world.syn());
        let refusal = world.refusal();
        assert!(world.send(&refusal).expect(Reason::Forwarded).packet().tcp.rst);
        world.send(&refusal).expect(Reason::Forwarded);
        assert_eq!(world.attempts(only), (1, 1, 0));
        world.send(&world.syn()).expect(Reason::Opened);
        assert_eq!(world.attempts(only), (2, 1, 0));
    });
}

#[test]
fn unanswered_syn_goes_to_another_backend_when_it_comes_again() {
    in_both_families(|world| {
        let first = world.send(&world.syn()).packet();
        let silent = world.flow().backend;
        world.tables.advance(RETRANSMISSION);
        let second = world.send(&world.syn()).expect(Reason::FailedOver).packet();
        let chosen = world.flow().backend;
        assert_ne!(second.destination(), first.destination());
        assert_eq!((world.attempts(silent), world.attempts(chosen)), ((1, 0, 1), (1, 0, 0)));
        assert_eq!(world.tables.half_open.len(), 2);
        world.complete();
    });
}

#[test]
fn client_that_goes_on_trying_is_never_stuck_with_one_backend() {
    in_both_families(|world| {
        world.send(&world.syn());
        for _ in 0..20 {
            let before = world.flow().backend;
            world.tables.advance(RETRANSMISSION);
            world.send(&world.syn()).expect(Reason::FailedOver);
            assert_ne!(world.flow().backend, before);
        }
    });
}

#[test]
fn duplicate_of_a_syn_follows_it() {
    in_both_families(|world| {
        let first = world.send(&world.syn()).packet();
        world.tables.advance(ticks_from_millis(200) - 1);
        let again = world.send(&world.syn()).expect(Reason::Forwarded).packet();
        assert_eq!(again.tuple(), first.tuple());
        assert_eq!(world.attempts(world.flow().backend), (1, 0, 0));
    });
}

#[test]
fn only_backend_keeps_an_unanswered_syn() {
    in_both_families(|mut world| {
        let only = world.indices[0];
        world.tables.send_all_to(world.service, only);
        let first = world.send(&world.syn()).packet();
        for repetition in 1..=5 {
            world.tables.advance(RETRANSMISSION);
            let again = world.send(&world.syn()).expect(Reason::Forwarded).packet();
            assert_eq!(again.tuple(), first.tuple());
            assert_eq!(world.attempts(only), (1 + repetition, 0, repetition));
        }
        world.complete();
    });
}

#[test]
fn backend_that_has_answered_keeps_the_flow() {
    in_both_families(|world| {
        let first = world.send(&world.syn()).packet();
        world.send(&world.syn_ack());
        world.tables.advance(RETRANSMISSION);
        let again = world.send(&world.syn()).expect(Reason::Forwarded).packet();
        assert_eq!(again.tuple(), first.tuple());
        // A reset now says that the connection has failed, not that there is none to be had.
        world.send(&world.refusal()).expect(Reason::Forwarded);
        assert_eq!(world.attempts(world.flow().backend), (1, 0, 0));
    });
}

#[test]
fn late_answers_of_the_abandoned_backend_are_the_kernels() {
    in_both_families(|world| {
        world.send(&world.syn());
        let (late_answer, late_refusal) = (world.syn_ack(), world.refusal());
        world.tables.advance(RETRANSMISSION);
        world.send(&world.syn()).expect(Reason::FailedOver);
        for late in [late_answer, late_refusal] {
            world.send(&late).expect(Reason::NoService);
            world.send_by_wire(&late).expect(Reason::NoService);
        }
        world.complete();
    });
}

#[test]
fn port_of_the_abandoned_attempt_is_free() {
    in_both_families(|mut world| {
        world.tables.settings.ports = 1;
        world.send(&world.syn());
        let refused = world.flow().backend;
        let freed = world.flow().to;
        world.send(&world.refusal()).expect(Reason::FailedOver);
        world.tables.send_all_to(world.service, refused);
        world.client.set_port(50001);
        world.send(&world.syn()).expect(Reason::Opened);
        assert_eq!(world.flow().to, freed);
    });
}

#[test]
fn refusal_of_a_forgotten_syn_waits_for_the_clients_repetition() {
    in_both_families(|mut world| {
        world.send(&world.syn());
        let refused = world.flow().backend;
        world.tables.forget_syns();
        let refusal = world.refusal();
        world.send(&refusal).expect(Reason::RefusalWithheld);
        assert_eq!(world.attempts(refused), (1, 1, 0));
        world.tables.advance(RETRANSMISSION);
        world.send(&world.syn()).expect(Reason::FailedOver);
        assert_eq!(world.attempts(refused), (1, 1, 0));
        world.complete();
    });
}

#[test]
fn refusal_of_a_syn_with_data_waits_for_the_clients_repetition() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.syn().payload("early")).expect(Reason::Forwarded);
        world.send(&world.refusal().ack(ISN + 6)).expect(Reason::RefusalWithheld);
        world.tables.advance(RETRANSMISSION);
        world.send(&world.syn()).expect(Reason::FailedOver);
        world.send(&world.refusal()).expect(Reason::FailedOver);
        world.complete();
    });
}

#[test]
fn reset_that_does_not_acknowledge_the_syn_refuses_nothing() {
    in_both_families(|mut world| {
        world.send(&world.syn());
        let backend = world.flow().backend;
        world.send(&world.refusal().ack(ISN + 2)).expect(Reason::Forwarded);
        assert_eq!(world.attempts(backend), (1, 0, 0));
        world.client.set_port(50001);
        world.send(&world.syn());
        world.send(&world.backend_segment(Flags::RST)).expect(Reason::Forwarded);
    });
}

#[test]
fn client_that_has_given_up_is_given_no_other_backend() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.client_segment(Flags::RST).seq(ISN + 1)).expect(Reason::Forwarded);
        world.send(&world.refusal()).expect(Reason::Forwarded);
    });
}

#[test]
fn every_algorithm_fails_over() {
    for algorithm in [Algorithm::Maglev, Algorithm::LeastConnections, Algorithm::Source] {
        let world = World::with(Family::V4, ServiceOptions { algorithm, ..ServiceOptions::default() });
        world.send(&world.syn());
        world.send(&world.refusal()).expect(Reason::FailedOver);
        world.tables.advance(RETRANSMISSION);
        world.send(&world.syn()).expect(Reason::FailedOver);
        world.complete();
    }
}

#[test]
fn refusal_is_left_to_tc_where_only_tc_reaches_the_next_backend() {
    in_both_families(|mut world| {
        world.send_by_wire(&world.syn()).expect(Reason::Opened);
        let present = world.flow().to.dst;
        world.routes.default = Ok(Hop { egress: Egress::LOCAL, ..HOP });
        world.routes.set(present, Ok(HOP));
        world.send_by_wire(&world.refusal()).expect(Reason::HandedToTc);
        world.send(&world.refusal()).expect(Reason::FailedOver);
    });
}

#[test]
fn refusal_without_a_route_to_the_next_backend_leaves_the_attempt() {
    in_both_families(|mut world| {
        world.send(&world.syn());
        world.routes.default = Err(Reason::NoRoute);
        world.send(&world.refusal()).expect(Reason::NoRoute);
        world.routes.default = Ok(HOP);
        world.send(&world.syn_ack()).expect(Reason::Forwarded);
    });
}

#[test]
fn port_that_is_occupied_at_the_backend_is_given_up_for_another() {
    in_both_families(|world| {
        let first = world.send_by_wire(&world.syn()).expect(Reason::Opened).packet();
        let (backend, occupied) = (world.flow().backend, world.flow().to.reversed());
        let answer = world.answer_of_time_wait();
        let second = world.send_by_wire(&answer).expect(Reason::PortChanged).packet();
        assert_eq!(second.destination(), first.destination());
        assert_ne!(second.source(), first.source());
        assert_eq!((second.tcp.syn, second.tcp.sequence_number), (true, ISN));
        assert_eq!(world.attempts(backend), (2, 0, 0));
        assert_eq!(world.tables.half_open.len(), 2);
        world.complete();
        assert_eq!(world.connections(), 1);
        // Nobody gets the port for now, and what the backend still says there is answered.
        assert!(world.is_resting(&occupied));
        world.send(&answer).expect(Reason::FlowGoneReset);
    });
}

#[test]
fn other_segments_of_the_connection_before_tell_the_same() {
    for flags in [Flags::ACK.with(Flags::FIN), Flags::ACK.with(Flags(0x08))] {
        in_both_families(|world| {
            world.send(&world.syn());
            let answer = world.backend_segment(flags).seq(ISS - 9).ack(ISN - 999).payload("late");
            world.send(&answer).expect(Reason::PortChanged);
            world.complete();
        });
    }
}

#[test]
fn one_syn_comes_from_a_bounded_number_of_ports() {
    in_both_families(|world| {
        world.send(&world.syn());
        let mut ports = HashSet::from([world.flow().to.src_port]);
        while let Reason::PortChanged = world.send(&world.answer_of_time_wait()).verdict.reason {
            ports.insert(world.flow().to.src_port);
        }
        assert_eq!(ports.len(), 9);
        // The client has had the last answer, and its reset ends what the backend had there (RFC 9293 section 3.10.7.3).
        let last = world.flow().to;
        world.send(&world.client_segment(Flags::RST).seq(ISN - 999)).expect(Reason::Forwarded);
        world.tables.advance(RETRANSMISSION);
        world.send(&world.syn()).expect(Reason::Forwarded);
        assert_eq!(world.flow().to, last);
        world.complete();
    });
}

#[test]
fn backend_that_refuses_after_a_change_of_the_port_is_failed_over() {
    in_both_families(|world| {
        world.send(&world.syn());
        let first = world.flow().backend;
        world.send(&world.answer_of_time_wait()).expect(Reason::PortChanged);
        world.send(&world.refusal()).expect(Reason::FailedOver);
        assert_eq!(world.attempts(first), (2, 1, 0));
        assert_ne!(world.flow().backend, first);
        world.complete();
    });
}

#[test]
fn answer_for_another_connection_reaches_the_client_of_a_forgotten_syn() {
    in_both_families(|mut world| {
        world.send(&world.syn());
        world.tables.forget_syns();
        let answer = world.send(&world.answer_of_time_wait()).expect(Reason::Forwarded).packet();
        assert_eq!((answer.source(), answer.destination()), (world.service, world.client));
    });
}

#[test]
fn backend_that_has_answered_keeps_the_port() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.syn_ack());
        world.send(&world.answer_of_time_wait()).expect(Reason::Forwarded);
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Established);
    });
}

#[test]
fn only_port_goes_on_when_the_client_has_reset_what_is_there() {
    in_both_families(|mut world| {
        world.tables.settings.ports = 1;
        let first = world.send(&world.syn()).packet();
        world.send(&world.answer_of_time_wait()).expect(Reason::PortsExhausted);
        world.tables.advance(RETRANSMISSION);
        assert_eq!(world.send(&world.syn()).expect(Reason::Forwarded).packet().tuple(), first.tuple());
        world.send(&world.answer_of_time_wait()).expect(Reason::Forwarded);
        world.send(&world.client_segment(Flags::RST).seq(ISN - 999)).expect(Reason::Forwarded);
        world.tables.advance(RETRANSMISSION);
        assert_eq!(world.send(&world.syn()).expect(Reason::Forwarded).packet().tuple(), first.tuple());
        world.complete();
        let reply = world.tables.flows.find(&world.flow().to.reversed()).unwrap();
        assert_eq!((reply.next_seq, reply.acked), (ISS.wrapping_add(1), ISN + 1));
    });
}

#[test]
fn change_of_the_port_is_no_sign_of_a_flood() {
    in_both_families(|world| {
        let waiting = || *world.tables.pressure(0).unwrap();
        world.send(&world.syn());
        let before = waiting();
        world.send(&world.answer_of_time_wait()).expect(Reason::PortChanged);
        assert_eq!(waiting(), before);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn next_backend_gets_the_clients_syn(
        seq in any::<u32>(), window in any::<u16>(), urgent in any::<u16>(),
        // Any of CWR, ECE, URG and PSH beside SYN.
        flags in any::<u8>().prop_map(|bits| bits & 0b1110_1000 | Flags::SYN.0),
        options in vec(any::<u8>(), 0..=10).prop_map(|words| words.iter().flat_map(|w| [*w; 4]).collect::<Vec<_>>()),
    ) {
        in_both_families(|world| {
            let mut syn = world.client_segment(Flags(flags)).seq(seq).options(&options);
            (syn.tcp.window_size, syn.tcp.urgent_pointer) = (window, urgent);
            world.send(&syn).expect(Reason::Opened);
            let refusal = world.backend_segment(REFUSAL).seq(ISS).ack(seq.wrapping_add(1));
            let mut sent = world.send(&refusal).expect(Reason::FailedOver).packet();
            (sent.tcp.source_port, sent.tcp.destination_port) = (syn.tcp.source_port, syn.tcp.destination_port);
            assert_eq!(sent.tcp, syn.tcp);
        });
    }
}
