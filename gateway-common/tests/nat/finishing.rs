//! How flows end, and what may follow on their tuple.

use gateway_common::{
    abi::Seen,
    host::Packet,
    nat::{Flags, Reason, State, Tables, timeout},
};

use crate::world::{ISN, ISS, World, in_both_families};

const FIN: Flags = Flags::FIN;
const RST: Flags = Flags::RST;

#[test]
fn fins_of_both_ends_finish_the_flow() {
    in_both_families(|world| {
        world.establish();
        world.send(&world.client_data(FIN, 0, "")).expect(Reason::Forwarded);
        assert_eq!((world.state(), world.open_flows()), (State::FinWait, 1));
        world.send(&world.backend_data(Flags::ACK, 0, "more")).expect(Reason::Forwarded);
        world.send(&world.backend_data(FIN, 4, "")).expect(Reason::Forwarded);
        assert_eq!((world.state(), world.open_flows()), (State::TimeWait, 0));
        assert_eq!(world.tables.open_flows(0), 1);
        world.send(&world.client_data(Flags::ACK, 1, "")).expect(Reason::Forwarded);
        world.send(&world.backend_data(FIN, 4, "")).expect(Reason::Forwarded);
        assert_eq!((world.state(), world.open_flows()), (State::TimeWait, 0));
    });
}

#[test]
fn backend_may_close_first() {
    in_both_families(|world| {
        world.establish();
        world.send(&world.backend_data(FIN, 0, "")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::CloseWait);
        world.send(&world.client_data(FIN, 0, "")).expect(Reason::Forwarded);
        assert_eq!((world.state(), world.open_flows()), (State::TimeWait, 0));
    });
}

#[test]
fn acceptable_reset_of_either_end_closes_the_flow() {
    type End = fn(&World) -> Packet;
    let ends: [End; 3] = [
        |world| world.client_data(RST, 0, ""),
        |world| world.backend_data(RST, 0, ""),
        // What the client has acknowledged last is what it expects, whatever the backend has sent since.
        |world| {
            world.send(&world.backend_data(Flags::ACK, 0, "in flight")).expect(Reason::Forwarded);
            world.backend_data(RST, 0, "")
        },
    ];
    for reset in ends {
        in_both_families(|world| {
            world.establish();
            let reset = reset(&world);
            world.send(&reset).expect(Reason::Forwarded);
            assert_eq!((world.state(), world.open_flows()), (State::Closed, 0));
            world.send(&reset).expect(Reason::Forwarded);
            assert_eq!((world.state(), world.open_flows()), (State::Closed, 0));
        });
    }
}

#[test]
fn reset_out_of_sequence_closes_nothing() {
    in_both_families(|world| {
        world.establish();
        for offset in [1, 1000, u32::MAX, 0x8000_0000] {
            world
                .send(&world.client_segment(RST).seq(ISN.wrapping_add(1).wrapping_add(offset)))
                .expect(Reason::Forwarded);
            world
                .send(&world.backend_segment(RST).seq(ISS.wrapping_add(1).wrapping_add(offset)))
                .expect(Reason::Forwarded);
            assert_eq!((world.state(), world.open_flows()), (State::Established, 1));
        }
    });
}

#[test]
fn traffic_after_a_reset_revives_the_flow() {
    in_both_families(|world| {
        world.establish();
        world.send(&world.client_data(RST, 0, ""));
        assert_eq!(world.open_flows(), 0);
        world.send(&world.client_data(Flags::ACK, 0, "not at all")).expect(Reason::Forwarded);
        assert_eq!((world.state(), world.open_flows()), (State::Established, 1));
    });
}

#[test]
fn syn_on_a_finished_flow_opens_anew_with_a_fresh_choice() {
    in_both_families(|mut world| {
        let old = world.establish();
        world.finish();
        let other = world.indices.iter().copied().find(|&index| index != old.backend).unwrap();
        world.tables.send_all_to(world.service, other);
        let sent = world.send(&world.syn()).expect(Reason::Opened).packet();
        assert_ne!(sent.destination(), old.to.destination());
        assert_eq!(world.flow().backend, other);
        assert_eq!((world.tables.flows.len(), world.tables.half_open.len()), (1, 2));
        assert_eq!(world.tables.open_flows(0), 0);
        world.send(&world.syn_ack());
        world.send(&world.client_data(Flags::ACK, 0, "")).expect(Reason::Forwarded);
        assert_eq!((world.state(), world.connections(), world.open_flows()), (State::Established, 2, 1));
    });
}

#[test]
fn syn_on_a_reset_flow_opens_anew() {
    in_both_families(|world| {
        world.establish();
        world.send(&world.backend_data(RST, 0, ""));
        world.send(&world.syn()).expect(Reason::Opened);
    });
}

#[test]
fn old_reply_tuple_rests_after_a_reopening() {
    in_both_families(|world| {
        let old = world.establish();
        world.finish();
        let late = world.backend_data(Flags::ACK, 0, "late");
        world.send(&world.syn()).expect(Reason::Opened);
        let resting = world.tables.flows.find(&old.to.reversed()).expect("the reply direction stays");
        assert!(resting.seen.contains(Seen::RESTING));
        let answer = world.send(&late).expect(Reason::FlowGoneReset).packet();
        assert_eq!((answer.destination(), answer.tcp.rst), (late.source(), true));
        assert_eq!(answer.tcp.sequence_number, late.tcp.acknowledgment_number);
        world.send(&late.flags(Flags::RST)).expect(Reason::FlowGone);
        assert_ne!(world.flow().to, old.to);
    });
}

#[test]
fn finished_flow_stays_where_no_new_one_can_begin() {
    in_both_families(|mut world| {
        world.establish();
        world.finish();
        world.service_mut().slots = 0;
        world.send(&world.syn()).expect(Reason::NoBackendReset);
        assert_eq!(world.state(), State::TimeWait);
    });
}

#[test]
fn flow_is_over_when_its_state_has_been_quiet_for_long() {
    in_both_families(|world| {
        let established_ticks = 1_000_000;
        let flow = world.establish();
        let is_over_after = |ticks: u32| {
            let original = world.tables.flows.find(&world.original()).unwrap();
            let reply = world.tables.flows.find(&flow.to.reversed()).unwrap();
            let now = world.tables.now().wrapping_add(ticks);
            let over = timeout::is_over(&original, &reply, established_ticks, now);
            let suspected = [original, reply].iter().any(|flow| timeout::may_be_over(flow, established_ticks, now));
            assert!(!over || suspected, "what is over must look so from one direction");
            over
        };
        let limit = |ticks: u32| (is_over_after(ticks - 1), is_over_after(ticks));
        assert_eq!(limit(established_ticks), (false, true));
        world.send(&world.client_data(FIN, 0, ""));
        assert_eq!((is_over_after(timeout::TRANSITORY - 1), is_over_after(timeout::TRANSITORY)), (false, true));
        world.send(&world.backend_data(FIN, 0, ""));
        assert_eq!(limit(timeout::TIME_WAIT), (false, true));
    });
}

#[test]
fn finished_flow_makes_room_soon_and_no_other_does() {
    in_both_families(|world| {
        let flow = world.establish();
        let makes_room_after = |ticks: u32| {
            let original = world.tables.flows.find(&world.original()).unwrap();
            let reply = world.tables.flows.find(&flow.to.reversed()).unwrap();
            let now = world.tables.now().wrapping_add(ticks);
            let suspected = [original, reply].iter().any(|flow| timeout::may_make_room(flow, now));
            let makes_room = timeout::makes_room(&original, &reply, now);
            assert!(!makes_room || suspected, "what makes room must look so from one direction");
            makes_room
        };
        assert!(!makes_room_after(timeout::TIME_WAIT));
        world.send(&world.client_data(FIN, 0, ""));
        assert!(!makes_room_after(timeout::TIME_WAIT));
        world.send(&world.backend_data(FIN, 0, ""));
        assert!(!makes_room_after(timeout::SCARCE - 1) && makes_room_after(timeout::SCARCE));
    });
}
