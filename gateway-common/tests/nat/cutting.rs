//! What remains of a flow that was cut.

use gateway_common::{
    abi::Answer,
    host::{Packet, Stack},
    nat::{Flags, Reason, State, Tables, cut, timeout},
};

use crate::world::{ISN, ISS, Outcome, World, in_both_families};

const ACK: Flags = Flags::ACK;

impl World {
    /// Cuts what the client's flow has as its backend.
    fn cut(&mut self, answer: Answer) -> u64 {
        let backend = self.flow().backend;
        self.tables.cut(backend, answer)
    }
}

#[track_caller]
fn assert_reset(outcome: &Outcome, to: &Packet, seq: u32) {
    let reset = outcome.packet();
    assert_eq!((reset.source(), reset.destination()), (to.destination(), to.source()));
    assert!(reset.tcp.rst && !reset.tcp.ack);
    assert_eq!(reset.tcp.sequence_number, seq);
}

#[test]
fn cut_flow_is_finished_and_nothing_revives_it() {
    in_both_families(|mut world| {
        world.establish();
        assert_eq!((world.cut(Answer::Reset), world.open_flows(), world.tables.open_flows(0)), (1, 0, 1));
        assert_eq!(world.state(), State::Closed);
        for flags in [ACK, ACK.with(Flags::FIN), Flags::SYN.with(ACK)] {
            world.send(&world.client_data(flags, 0, "on")).expect(Reason::FlowCutReset);
            world.send(&world.backend_data(flags, 0, "on")).expect(Reason::FlowCutReset);
        }
        assert_eq!((world.state(), world.open_flows()), (State::Closed, 0));
        assert_eq!(world.cut(Answer::Reset), 0, "there is nothing left to cut");
    });
}

#[test]
fn segment_of_a_cut_flow_is_answered_by_the_reset_its_sender_expects() {
    in_both_families(|mut world| {
        world.establish();
        world.cut(Answer::Reset);
        let question = world.client_data(ACK, 5, "in flight").ack(ISS.wrapping_add(700));
        assert_reset(&world.send(&question), &question, ISS.wrapping_add(700));
        let answer = world.backend_data(ACK, 9, "in flight").ack(ISN + 300);
        assert_reset(&world.send_by_wire(&answer), &answer, ISN + 300);
    });
}

#[test]
fn reset_of_a_cut_flow_is_not_answered() {
    in_both_families(|mut world| {
        world.establish();
        world.cut(Answer::Reset);
        world.send(&world.client_data(Flags::RST, 0, "")).expect(Reason::FlowCut);
        world.send(&world.backend_data(Flags::RST.with(ACK), 0, "")).expect(Reason::FlowCut);
    });
}

#[test]
fn silently_cut_flow_answers_nothing() {
    in_both_families(|mut world| {
        world.establish();
        assert_eq!(world.cut(Answer::Drop), 1);
        world.send(&world.client_data(ACK, 0, "on")).expect(Reason::FlowCut);
        world.send(&world.backend_data(ACK, 0, "on")).expect(Reason::FlowCut);
        assert_eq!(world.state(), State::Closed);
    });
}

#[test]
fn errors_about_a_cut_flow_reach_nobody() {
    in_both_families(|mut world| {
        world.establish();
        let sent = world.send(&world.client_data(ACK, 0, "question")).packet();
        world.cut(Answer::Reset);
        let router = sent.envelope.destination;
        let error = gateway_common::host::Message::too_big(router, sent.envelope.source, 1280, sent.quote());
        world.arrive::<Stack>(&error.build()).expect(Reason::FlowCut);
    });
}

#[test]
fn new_syn_on_a_cut_tuple_opens_a_flow_elsewhere_and_the_old_backend_is_still_turned_away() {
    in_both_families(|mut world| {
        let old = world.establish();
        let late = world.backend_data(ACK, 0, "late");
        world.cut(Answer::Reset);
        let other = world.indices.iter().copied().find(|&index| index != old.backend).unwrap();
        world.tables.send_all_to(world.service, other);
        world.send(&world.syn()).expect(Reason::Opened);
        assert_eq!(world.flow().backend, other);
        assert_reset(&world.send(&late).expect(Reason::FlowCutReset), &late, ISN + 1);
        world.send(&world.syn_ack()).expect(Reason::Forwarded);
        world.send(&world.client_data(ACK, 0, "")).expect(Reason::Forwarded);
        assert_eq!((world.state(), world.open_flows()), (State::Established, 1));
    });
}

#[test]
fn half_open_flows_of_a_cut_backend_go_and_the_next_syn_opens_anew() {
    in_both_families(|mut world| {
        world.send(&world.syn()).expect(Reason::Opened);
        world.send(&world.syn_ack()).expect(Reason::Forwarded);
        assert_eq!((world.cut(Answer::Reset), world.tables.half_open.len()), (0, 0));
        world.send(&world.syn()).expect(Reason::Opened);
    });
}

#[test]
fn closing_flow_is_cut_but_one_that_both_ends_closed_is_left_to_end() {
    in_both_families(|mut world| {
        world.establish();
        world.send(&world.client_data(Flags::FIN, 0, "")).expect(Reason::Forwarded);
        assert_eq!(world.cut(Answer::Reset), 1);
    });
    in_both_families(|mut world| {
        world.establish();
        world.finish();
        assert_eq!(world.cut(Answer::Reset), 0);
        world.send(&world.backend_data(Flags::FIN, 0, "")).expect(Reason::Forwarded);
    });
}

#[test]
fn flow_that_one_end_reset_cannot_be_revived_after_a_cut() {
    in_both_families(|mut world| {
        world.establish();
        world.send(&world.client_data(Flags::RST, 0, "")).expect(Reason::Forwarded);
        assert_eq!(world.cut(Answer::Reset), 0);
        world.send(&world.client_data(ACK, 0, "not at all")).expect(Reason::FlowCutReset);
        assert_eq!((world.state(), world.open_flows()), (State::Closed, 0));
    });
}

#[test]
fn receiver_expects_what_it_acknowledged_or_all_that_was_sent() {
    in_both_families(|world| {
        let flow = world.establish();
        let numbers = |world: &World| {
            let original = world.tables.flows.find(&world.original()).unwrap();
            let reply = world.tables.flows.find(&flow.to.reversed()).unwrap();
            (cut::expected(&reply, &original), cut::expected(&original, &reply))
        };
        let (client, backend) = (ISS.wrapping_add(1), ISN + 1);
        assert_eq!(numbers(&world), ([client; 2], [backend; 2]));
        world.send(&world.backend_data(ACK, 0, "answer")).expect(Reason::Forwarded);
        assert_eq!(numbers(&world), ([client, client.wrapping_add(6)], [backend; 2]));
        world.send(&world.client_data(ACK, 0, "question")).expect(Reason::Forwarded);
        assert_eq!(numbers(&world).1, [backend, backend + 8]);
    });
}

#[test]
fn cut_flow_keeps_its_tuple_while_its_ends_go_on_sending() {
    in_both_families(|mut world| {
        let flow = world.establish();
        world.tables.advance(1_000_000);
        world.cut(Answer::Drop);
        let is_over = || {
            let original = world.tables.flows.find(&world.original()).unwrap();
            let reply = world.tables.flows.find(&flow.to.reversed()).unwrap();
            timeout::is_over(&original, &reply, u32::MAX, world.tables.now())
        };
        world.tables.advance(timeout::TRANSITORY - 1);
        assert!(!is_over());
        world.send(&world.client_data(ACK, 0, "on")).expect(Reason::FlowCut);
        world.tables.advance(timeout::TRANSITORY - 1);
        assert!(!is_over());
        world.tables.advance(1);
        assert!(is_over());
    });
}
