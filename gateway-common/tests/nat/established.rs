//! Segments of established flows.

use gateway_common::{
    abi::{Egress, Hop, Ifindex},
    nat::{Flags, Reason, headers::Mac},
};

use crate::world::{HOP, ISN, ISS, MTU, in_both_families};

const PUSH: Flags = Flags(0x18);

#[test]
fn data_is_translated_both_ways() {
    in_both_families(|world| {
        let to = world.establish().to;
        let there = world.send(&world.client_data(PUSH, 0, "question")).expect(Reason::Forwarded).packet();
        assert_eq!(there.tuple(), to);
        assert_eq!(there.payload, b"question");
        let back = world.send(&world.backend_data(PUSH, 0, "answer")).expect(Reason::Forwarded).packet();
        assert_eq!(back.tuple(), world.original().reversed());
        assert_eq!(back.payload, b"answer");
    });
}

#[test]
fn reply_rewrite_undoes_the_original_one() {
    in_both_families(|world| {
        world.establish();
        let mut echo = world.send(&world.client_data(PUSH, 0, "echo")).packet();
        let (source, destination) = (echo.tcp.source_port, echo.tcp.destination_port);
        (echo.tcp.source_port, echo.tcp.destination_port) = (destination, source);
        std::mem::swap(&mut echo.envelope.source, &mut echo.envelope.destination);
        let back = world.send(&echo).expect(Reason::Forwarded).packet();
        assert_eq!((back.source(), back.destination()), (world.service, world.client));
        assert_eq!(back.payload, b"echo");
    });
}

#[test]
fn packets_and_bytes_are_counted_by_direction() {
    in_both_families(|world| {
        let flow = world.establish();
        let before = world.tables.totals(flow.backend);
        let question = world.client_data(PUSH, 0, "question");
        let answer = world.backend_data(PUSH, 0, "an answer");
        world.send(&question);
        world.send(&answer);
        world.send(&answer);
        let after = world.tables.totals(flow.backend);
        let moved = |index: usize| {
            let (before, after) = (before.traffic[index], after.traffic[index]);
            (after.packets - before.packets, after.bytes - before.bytes)
        };
        assert_eq!(moved(0), (1, question.quote().len() as u64));
        assert_eq!(moved(1), (2, 2 * answer.quote().len() as u64));
        assert_eq!(world.flow().traffic.bytes(), flow.traffic.bytes() + question.quote().len() as u64);
    });
}

#[test]
fn padding_is_neither_counted_nor_acknowledged() {
    in_both_families(|world| {
        let flow = world.establish();
        let mut short = world.client_data(PUSH, 0, "x");
        short.envelope.padding = 20;
        let sent = world.send(&short).expect(Reason::Forwarded).packet();
        assert_eq!((sent.envelope.padding, sent.payload.as_slice()), (20, &b"x"[..]));
        assert_eq!(world.flow().traffic.bytes() - flow.traffic.bytes(), short.quote().len() as u64);
        assert_eq!(world.flow().next_seq, ISN + 2);
    });
}

#[test]
fn flow_remembers_the_highest_numbers() {
    in_both_families(|world| {
        world.establish();
        world.send(&world.client_data(PUSH, 0, "earlier, "));
        world.send(&world.client_data(PUSH, 9, "later"));
        world.send(&world.client_data(PUSH, 0, "earlier"));
        // A stray SYN has an acknowledgement field that means nothing.
        world.send(&world.client_segment(Flags::SYN).seq(ISN)).expect(Reason::Forwarded);
        assert_eq!((world.flow().next_seq, world.flow().acked), (ISN + 15, ISS.wrapping_add(1)));
    });
}

#[test]
fn numbers_catch_up_with_what_the_other_end_has_acknowledged() {
    in_both_families(|world| {
        world.establish();
        // A segment of 70,000 bytes was lost on its way here, and comes again another way.
        world.send(&world.client_data(PUSH, 70_000, "after the gap"));
        assert_eq!(world.flow().next_seq, ISN + 1);
        world.send(&world.backend_data(Flags::ACK, 0, "").ack(ISN + 1 + 70_013));
        world.send(&world.client_data(PUSH, 70_013, "more"));
        assert_eq!(world.flow().next_seq, ISN + 1 + 70_017);
    });
}

#[test]
fn syn_on_a_living_flow_is_the_backends_to_judge() {
    in_both_families(|world| {
        let flow = world.establish();
        let sent = world.send(&world.client_segment(Flags::SYN).seq(77)).expect(Reason::Forwarded).packet();
        assert_eq!(sent.tuple(), flow.to);
        assert_eq!(world.connections(), 1);
    });
}

#[test]
fn established_flow_survives_the_end_of_its_service() {
    in_both_families(|mut world| {
        world.establish();
        world.tables.services.clear();
        world.send(&world.client_data(PUSH, 0, "still here")).expect(Reason::Forwarded);
        world.send(&world.backend_data(PUSH, 0, "me too")).expect(Reason::Forwarded);
    });
}

#[test]
fn hop_is_looked_up_again_when_routes_have_changed() {
    in_both_families(|mut world| {
        world.establish();
        let elsewhere = Hop { dst_mac: Mac([9; 6]), device: Ifindex::new(9), ..HOP };
        world.routes.default = Ok(elsewhere);
        let cached = world.send(&world.client_data(PUSH, 0, "a"));
        assert_eq!((cached.verdict.ifindex, cached.packet().envelope.dst_mac), (HOP.device.get(), HOP.dst_mac.0));
        world.routes_changed();
        let fresh = world.send(&world.client_data(PUSH, 1, "b"));
        assert_eq!((fresh.verdict.ifindex, fresh.packet().envelope.dst_mac), (9, [9; 6]));
    });
}

#[test]
fn lost_route_drops_segments_but_keeps_the_flow() {
    in_both_families(|mut world| {
        world.establish();
        world.routes.default = Err(Reason::NoRoute);
        world.routes_changed();
        world.send(&world.client_data(PUSH, 0, "a")).expect(Reason::NoRoute);
        world.routes.default = Ok(HOP);
        world.routes_changed();
        world.send(&world.client_data(PUSH, 0, "a")).expect(Reason::Forwarded);
    });
}

#[test]
fn segments_for_a_local_backend_are_left_to_tc() {
    in_both_families(|mut world| {
        let to = world.establish().to;
        world.route_to(to.destination().ip(), Ok(Hop { egress: Egress::LOCAL, ..HOP }));
        world.routes_changed();
        world.send_by_wire(&world.client_data(PUSH, 0, "in")).expect(Reason::HandedToTc);
        world.send(&world.client_data(PUSH, 0, "in")).expect(Reason::Forwarded);
        // The way back leads to the wire.
        world.send_by_wire(&world.backend_data(PUSH, 0, "out")).expect(Reason::Forwarded);
    });
}

#[test]
fn largest_packet_that_fits_is_forwarded() {
    in_both_families(|world| {
        world.establish();
        let headers = world.client_data(PUSH, 0, "").quote().len();
        let full = "x".repeat(usize::from(MTU) - headers);
        world.send(&world.client_data(PUSH, 0, &full)).expect(Reason::Forwarded).packet();
        world.send(&world.client_data(PUSH, 0, &format!("{full}x"))).expect(Reason::PacketTooBig);
    });
}
