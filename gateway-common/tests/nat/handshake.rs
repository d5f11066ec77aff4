//! From the SYN to the acknowledgement that completes the handshake.

use gateway_common::{
    abi::Seen,
    host::{HostFlows, WhenFull},
    nat::{Flags, Reason, State, Tables},
};

use crate::world::{ISN, ISS, in_both_families};

#[test]
fn syn_ack_comes_from_the_service_address() {
    in_both_families(|world| {
        world.send(&world.syn());
        let sent = world.send(&world.syn_ack()).expect(Reason::Forwarded).packet();
        assert_eq!((sent.source(), sent.destination()), (world.service, world.client));
        assert_eq!((sent.tcp.sequence_number, sent.tcp.acknowledgment_number), (ISS, ISN + 1));
        assert!(world.tables.flows.is_empty());
    });
}

#[test]
fn acknowledgement_establishes_the_flow() {
    in_both_families(|world| {
        let flow = world.establish();
        assert!(world.tables.half_open.is_empty());
        assert_eq!(world.tables.flows.len(), 2);
        assert_eq!(world.connections(), 1);
        assert_eq!(world.open_flows(), 1);
        assert_eq!(world.tables.open_flows(flow.backend), 1);
        assert_eq!(world.tables.open_flows(0), 1);
        assert_eq!(flow.traffic.packets(), 2);
    });
}

#[test]
fn data_with_the_acknowledgement_establishes_the_flow() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.syn_ack());
        world.send(&world.client_data(Flags::ACK, 0, "GET /")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Established);
    });
}

#[test]
fn fin_with_the_acknowledgement_half_closes_the_flow() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.syn_ack());
        world.send(&world.client_data(Flags::ACK.with(Flags::FIN), 0, "")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::FinWait);
        assert_eq!(world.open_flows(), 1);
    });
}

#[test]
fn acknowledgement_of_something_else_is_dropped() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::HandshakeMismatch);
        world.send(&world.syn_ack());
        for wrong in [ISS.wrapping_add(2), ISS.wrapping_sub(0x1_0000), 0x7fff_0000] {
            world.send(&world.client_segment(Flags::ACK).seq(ISN + 1).ack(wrong)).expect(Reason::HandshakeMismatch);
        }
        world.send(&world.client_segment(Flags(0)).seq(ISN + 1)).expect(Reason::HandshakeMismatch);
        assert!(world.tables.flows.is_empty());
    });
}

#[test]
fn server_may_speak_before_the_acknowledgement_arrives() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.syn_ack());
        world.send(&world.backend_data(Flags::ACK, 0, "220 ready")).expect(Reason::Forwarded);
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Established);
    });
}

#[test]
fn syn_after_a_refusal_that_was_passed_on_picks_anew() {
    in_both_families(|mut world| {
        let first = world.send(&world.syn()).packet();
        world.tables.send_all_to(world.service, world.flow().backend);
        let refusal = world.backend_segment(Flags::RST.with(Flags::ACK)).ack(ISN + 1);
        let passed_on = world.send(&refusal).expect(Reason::Forwarded).packet();
        assert_eq!(passed_on.source(), world.service);
        let other = world.indices.iter().copied().find(|&index| index != world.flow().backend).unwrap();
        world.tables.send_all_to(world.service, other);
        let second = world.send(&world.syn()).expect(Reason::FailedOver).packet();
        assert_ne!(second.destination(), first.destination());
        assert_eq!(world.flow().backend, other);
        assert_eq!(world.tables.half_open.len(), 2);
    });
}

#[test]
fn refused_attempt_stays_where_no_other_can_begin() {
    in_both_families(|mut world| {
        world.send(&world.syn());
        world.service_mut().slots = 0;
        world.send(&world.backend_segment(Flags::RST.with(Flags::ACK)).ack(ISN + 1)).expect(Reason::Forwarded);
        world.send(&world.syn()).expect(Reason::NoBackendReset);
        assert_eq!(world.tables.half_open.len(), 2);
    });
}

#[test]
fn reset_of_the_client_reaches_the_backend() {
    in_both_families(|world| {
        world.send(&world.syn());
        let reset = world.send(&world.client_segment(Flags::RST).seq(ISN + 1)).expect(Reason::Forwarded).packet();
        assert!(reset.tcp.rst);
        assert!(world.flow().seen.contains(Seen::RST));
    });
}

#[test]
fn attempt_with_other_sequence_numbers_completes() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.syn_ack());
        // The client has given up and starts over on the same port; so does the backend, from numbers that compare
        // as older.
        let (isn, iss) = (ISN.wrapping_sub(500_000), ISS.wrapping_sub(0x4000_0000));
        world.send(&world.client_segment(Flags::RST).seq(ISN + 1)).expect(Reason::Forwarded);
        world.send(&world.client_segment(Flags::SYN).seq(isn)).expect(Reason::Forwarded);
        world.send(&world.backend_segment(Flags::SYN).seq(iss).ack(isn.wrapping_add(1))).expect(Reason::Forwarded);
        let ack = world.client_segment(Flags::ACK).seq(isn.wrapping_add(1)).ack(iss.wrapping_add(1));
        world.send(&ack).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Established);
        assert_eq!(world.flow().next_seq, isn.wrapping_add(1));
    });
}

#[test]
fn reset_before_the_last_acknowledgement_is_counted_once() {
    in_both_families(|world| {
        world.send(&world.syn());
        world.send(&world.syn_ack());
        world.send(&world.backend_segment(Flags::RST).seq(ISS.wrapping_add(1))).expect(Reason::Forwarded);
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Closed);
        assert_eq!(world.open_flows(), 0);
        world.send(&world.backend_data(Flags::ACK, 0, "still there")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Established);
        assert_eq!(world.open_flows(), 1);
    });
}

#[test]
fn forgotten_reply_entry_is_put_back_by_the_next_syn() {
    in_both_families(|world| {
        let first = world.send(&world.syn()).packet();
        world.tables.half_open.forget(&first.tuple().reversed());
        let again = world.send(&world.syn()).expect(Reason::Forwarded).packet();
        assert_eq!(again.tuple(), first.tuple());
        assert_eq!(world.tables.half_open.len(), 2);
        world.send(&world.syn_ack()).expect(Reason::Forwarded);
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::Forwarded);
    });
}

#[test]
fn acknowledgement_after_the_reply_entry_was_forgotten_is_dropped() {
    in_both_families(|world| {
        let first = world.send(&world.syn()).packet();
        world.send(&world.syn_ack());
        world.tables.half_open.forget(&first.tuple().reversed());
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::HandshakeMismatch);
    });
}

#[test]
fn attempt_whose_reply_tuple_went_to_another_client_starts_over() {
    in_both_families(|mut world| {
        world.tables.settings.ports = 1;
        world.tables.send_all_to(world.service, world.indices[0]);
        let first = world.send(&world.syn()).packet();
        world.tables.half_open.forget(&first.tuple().reversed());
        let forgotten = world.client;
        world.client.set_port(50001);
        let second = world.send(&world.syn()).expect(Reason::Opened).packet();
        assert_eq!(second.tuple(), first.tuple());
        world.send(&world.syn_ack());
        world.client = forgotten;
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::HandshakeMismatch);
        world.send(&world.syn()).expect(Reason::PortsExhausted);
        world.client.set_port(50001);
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Established);
    });
}

#[test]
fn handshake_that_finds_the_table_full_leaves_nothing_in_it() {
    in_both_families(|mut world| {
        world.tables.flows = HostFlows::new(1, WhenFull::Refuse);
        world.send(&world.syn());
        world.send(&world.syn_ack());
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::TableFull);
        assert!(world.tables.flows.is_empty());
        assert_eq!(world.connections(), 0);
    });
}
