//! Clients that are answered by SYN cookies, and the flows that their acknowledgements open.

use gateway_common::{
    abi::{Answer, Cookies, Direction, Limit, Limits, Seen, ticks_from_millis, ticks_from_secs},
    host::{Packet, Wire},
    nat::{Flags, Reason, State, cut},
};

use crate::world::{ISN, ISS, World, in_both_families};

const SYN_ACK: Flags = Flags(0x12);
const RST_ACK: Flags = Flags(0x14);

impl World {
    fn in_a_flood(mut self) -> Self {
        self.tables.settings.cookies = Cookies::Always;
        self
    }

    /// The gateway's answer to the client's SYN, whose maximum segment size this is.
    #[track_caller]
    fn cookie(&self, segment_size: u16) -> Packet {
        let [high, low] = segment_size.to_be_bytes();
        let syn = self.syn().options(&[2, 4, high, low]);
        let answer = self.send_by_wire(&syn).expect(Reason::CookieSent).packet();
        assert_eq!((answer.source(), answer.destination()), (self.service, self.client));
        assert!(answer.tcp.syn && answer.tcp.ack && answer.tcp.acknowledgment_number == ISN + 1);
        answer
    }

    /// The client's acknowledgement of a cookie, with what it sends.
    fn acknowledge(&self, cookie: &Packet, payload: &str) -> Packet {
        let number = cookie.tcp.sequence_number.wrapping_add(1);
        self.client_segment(Flags::ACK).seq(ISN + 1).ack(number).payload(payload)
    }

    /// Brings a flow to ESTABLISHED by a cookie; what the client knows as the backend's initial number.
    #[track_caller]
    fn establish_by_cookie(&self) -> u32 {
        let cookie = self.cookie(1460);
        self.send(&self.acknowledge(&cookie, "")).expect(Reason::OpenedByCookie);
        self.send(&self.syn_ack()).expect(Reason::CookieCompleted);
        cookie.tcp.sequence_number
    }
}

#[test]
fn syn_is_answered_without_any_state() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let first = world.cookie(1460);
        assert_eq!(world.cookie(1460).tcp.sequence_number, first.tcp.sequence_number);
        assert!(world.tables.half_open.is_empty() && world.tables.flows.is_empty());
        assert_eq!(first.payload, b"");
    });
}

#[test]
fn acknowledgement_becomes_the_syn_of_a_backend() {
    in_both_families(|world| {
        let mut world = world.in_a_flood();
        for (told, kept) in [(100, 536), (1219, 536), (1220, 1220), (1459, 1440), (1460, 1460), (8960, 1460)] {
            let ack = world.acknowledge(&world.cookie(told), "question");
            let syn = world.send_by_wire(&ack).expect(Reason::OpenedByCookie).packet();
            assert!(world.backends.contains(&syn.destination()) && syn.source().ip() == world.snat);
            assert!(syn.tcp.syn && !syn.tcp.ack && syn.payload.is_empty());
            assert_eq!((syn.tcp.sequence_number, syn.tcp.acknowledgment_number), (ISN, 0));
            assert_eq!(syn.tcp.window_size, ack.tcp.window_size);
            let [high, low] = u16::to_be_bytes(kept);
            assert_eq!(syn.tcp.options.as_slice(), [2, 4, high, low], "{told}");
            world.client.set_port(world.client.port() + 1);
        }
    });
}

#[test]
fn syn_ack_of_the_backend_establishes_the_flow_and_shifts_the_numbers() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let cookie = world.cookie(1460);
        world.send(&world.acknowledge(&cookie, "")).expect(Reason::OpenedByCookie);
        let again = world.send_by_wire(&world.syn_ack()).expect(Reason::CookieCompleted).packet();
        assert_eq!((again.source(), again.destination()), (world.service, world.client));
        assert!(again.tcp.syn && again.tcp.ack);
        assert_eq!(again.tcp.sequence_number, cookie.tcp.sequence_number);
        assert_eq!(again.tcp.acknowledgment_number, ISN + 1);
        assert_eq!((world.state(), world.open_flows(), world.connections()), (State::Established, 1, 1));
        assert!(world.tables.half_open.is_empty());

        let asked = world.send(&world.acknowledge(&cookie, "question")).expect(Reason::Forwarded).packet();
        assert_eq!((asked.tcp.sequence_number, asked.tcp.acknowledgment_number), (ISN + 1, ISS.wrapping_add(1)));
        let answer = world.backend_data(Flags::ACK, 0, "answer");
        let answered = world.send_by_wire(&answer).expect(Reason::Forwarded).packet();
        assert_eq!(answered.tcp.sequence_number, cookie.tcp.sequence_number.wrapping_add(1));
        assert_eq!((answered.tcp.acknowledgment_number, answered.payload), (ISN + 1, b"answer".to_vec()));
    });
}

#[test]
fn client_that_sends_before_the_backend_answers_is_heard_when_it_sends_again() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let cookie = world.cookie(1460);
        let question = world.acknowledge(&cookie, "question");
        world.send(&question).expect(Reason::OpenedByCookie);
        world.send(&question).expect(Reason::CookieWaiting);
        world.send(&world.syn_ack()).expect(Reason::CookieCompleted);
        assert_eq!(world.send(&question).expect(Reason::Forwarded).packet().payload, b"question");
    });
}

#[test]
fn silent_backend_is_left_when_the_client_sends_again() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let question = world.acknowledge(&world.cookie(1460), "question");
        let first = world.send(&question).expect(Reason::OpenedByCookie).packet();
        world.tables.advance(ticks_from_millis(300));
        let second = world.send(&question).expect(Reason::OpenedByCookie).packet();
        assert_ne!(first.source(), second.source());
        assert_eq!(world.tables.half_open.entries().len(), 2);
    });
}

#[test]
fn silent_backend_is_not_asked_again() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let question = world.acknowledge(&world.cookie(1460), "question");
        world.send(&question).expect(Reason::OpenedByCookie);
        let silent = world.flow().backend;
        world.tables.advance(ticks_from_millis(300));
        world.send(&question).expect(Reason::OpenedByCookie);
        assert_ne!(world.flow().backend, silent);
        assert_eq!((world.tables.totals(silent).attempts, world.tables.totals(silent).unanswered), (1, 1));
    });
}

#[test]
fn port_that_is_occupied_at_the_backend_is_given_up_for_another() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let cookie = world.cookie(1460);
        let first = world.send(&world.acknowledge(&cookie, "")).expect(Reason::OpenedByCookie).packet();
        let second = world.send_by_wire(&world.answer_of_time_wait()).expect(Reason::PortChanged).packet();
        assert_eq!((second.destination(), second.tcp.sequence_number), (first.destination(), ISN));
        assert_ne!(second.source(), first.source());
        let answer = world.send(&world.syn_ack()).expect(Reason::CookieCompleted).packet();
        assert_eq!(answer.tcp.sequence_number, cookie.tcp.sequence_number);
        assert_eq!(world.state(), State::Established);
    });
}

#[test]
fn refused_client_goes_to_another_backend_and_learns_nothing_of_it() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let cookie = world.cookie(1220);
        let first = world.send(&world.acknowledge(&cookie, "")).expect(Reason::OpenedByCookie).packet();
        let refused = world.flow().backend;
        let second = world.send_by_wire(&world.refusal()).expect(Reason::FailedOver).packet();
        assert_ne!(second.destination(), first.destination());
        assert_eq!((second.tcp.syn, second.tcp.sequence_number), (true, ISN));
        assert_eq!(second.tcp.options.as_slice(), first.tcp.options.as_slice());
        assert_eq!(world.tables.half_open.len(), 2);
        let counted = world.tables.totals(refused);
        assert_eq!((counted.attempts, counted.refused, counted.unanswered), (1, 1, 0));

        let again = world.send(&world.syn_ack()).expect(Reason::CookieCompleted).packet();
        assert_eq!(again.tcp.sequence_number, cookie.tcp.sequence_number);
        let asked = world.send(&world.acknowledge(&cookie, "question")).expect(Reason::Forwarded).packet();
        assert_eq!((asked.destination(), asked.payload), (second.destination(), b"question".to_vec()));
        assert_eq!((world.state(), world.open_flows(), world.connections()), (State::Established, 1, 1));
    });
}

#[test]
fn refusal_by_all_is_a_reset_that_the_client_believes() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let cookie = world.cookie(1460);
        world.send(&world.acknowledge(&cookie, "")).expect(Reason::OpenedByCookie);
        world.send(&world.refusal()).expect(Reason::FailedOver);
        world.send(&world.refusal()).expect(Reason::FailedOver);
        let reset = world.send(&world.refusal()).expect(Reason::Forwarded).packet();
        assert!(reset.tcp.rst);
        assert_eq!(reset.tcp.sequence_number, cookie.tcp.sequence_number.wrapping_add(1));
        assert_eq!(reset.destination(), world.client);
    });
}

#[test]
fn client_that_is_gone_resets_the_backend() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let cookie = world.cookie(1460);
        world.send(&world.acknowledge(&cookie, "question")).expect(Reason::OpenedByCookie);
        let again = world.send(&world.syn_ack()).expect(Reason::CookieCompleted).packet();
        // Of a socket that is closed: RFC 9293 section 3.10.7.1.
        let reset = world.client_segment(Flags::RST).seq(again.tcp.acknowledgment_number);
        world.send(&reset).expect(Reason::Forwarded);
        assert_eq!((world.state(), world.open_flows()), (State::Closed, 0));
    });
}

#[test]
fn forged_refusal_moves_nobody() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        world.send(&world.acknowledge(&world.cookie(1460), "")).expect(Reason::OpenedByCookie);
        let (backend, forged) = (world.flow().backend, world.refusal().ack(ISN + 2));
        world.send(&forged).expect(Reason::HandshakeMismatch);
        assert_eq!(world.flow().backend, backend);
    });
}

#[test]
fn nothing_but_the_cookie_is_believed() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let ack = world.acknowledge(&world.cookie(1460), "");
        let number = ack.tcp.acknowledgment_number;
        for wrong in [number.wrapping_add(1), number ^ 1 << 28, number ^ 1 << 30, number ^ 1 << 31, 0] {
            world.send(&ack.clone().ack(wrong)).expect(Reason::UnknownFlow);
        }
        world.send(&ack.clone().seq(ISN + 2)).expect(Reason::UnknownFlow);
        world.send(&ack.clone().flags(SYN_ACK)).expect(Reason::UnknownFlow);
        world.send(&ack.clone().flags(RST_ACK)).expect(Reason::UnknownFlow);
        let mut other = ack.clone();
        other.tcp.source_port += 1;
        world.send(&other).expect(Reason::UnknownFlow);
        assert!(world.tables.half_open.is_empty() && world.tables.flows.is_empty());
        world.send(&ack).expect(Reason::OpenedByCookie);
    });
}

#[test]
fn cookie_is_believed_for_a_minute_and_not_for_long() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let ack = world.acknowledge(&world.cookie(1460), "");
        world.tables.advance(ticks_from_secs(60));
        world.send(&ack).expect(Reason::OpenedByCookie);
        world.tables.half_open.entries().keys().for_each(|tuple| world.tables.half_open.forget(tuple));
        world.tables.advance(ticks_from_secs(80));
        world.send(&ack).expect(Reason::UnknownFlow);
        // Four periods later their number is the same.
        world.tables.advance(ticks_from_secs(200));
        world.send(&ack).expect(Reason::UnknownFlow);
    });
}

#[test]
fn reset_of_the_backend_ends_a_shifted_flow() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let cookie = world.establish_by_cookie();
        world.send(&world.backend_data(Flags::ACK, 0, "answer")).expect(Reason::Forwarded);
        // The client has acknowledged less than was sent, in numbers of its own.
        let ack = world.client_segment(Flags::ACK).seq(ISN + 1).ack(cookie.wrapping_add(4));
        world.send(&ack).expect(Reason::Forwarded);
        world.send(&world.backend_segment(Flags::RST).seq(ISS.wrapping_add(9))).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Established);
        world.send(&world.backend_segment(Flags::RST).seq(ISS.wrapping_add(4))).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Closed);
    });
}

#[test]
fn cut_knows_the_numbers_that_the_client_expects() {
    in_both_families(|world| {
        let world = world.in_a_flood();
        let cookie = world.establish_by_cookie();
        let question = world.client_segment(Flags::ACK).seq(ISN + 1).ack(cookie.wrapping_add(1)).payload("question");
        world.send(&question).expect(Reason::Forwarded);
        world.send(&world.backend_data(Flags::ACK, 0, "answer")).expect(Reason::Forwarded);
        let original = world.flow();
        let reply = world.tables.flows.find(&original.to.reversed()).unwrap();
        assert_eq!((original.direction, reply.direction), (Direction::Original, Direction::Reply));
        assert_eq!(cut::expected(&reply, &original), [1, 7].map(|offset| cookie.wrapping_add(offset)));
        assert_eq!(cut::expected(&original, &reply), [ISN + 1, ISN + 9]);
    });
}

#[test]
fn limits_count_who_is_there() {
    in_both_families(|world| {
        let mut world = world.in_a_flood();
        let limits = Limits::new(Limit::new(Some(1), None), Limit::NONE, Answer::Reset);
        world.tables.set_limits(world.service, Some(limits));
        let (first, second) = (world.cookie(1460), world.cookie(536));
        assert_ne!(first.tcp.sequence_number, second.tcp.sequence_number);
        world.send(&world.acknowledge(&first, "")).expect(Reason::OpenedByCookie);
        world.send(&world.syn_ack()).expect(Reason::CookieCompleted);
        world.client.set_port(world.client.port() + 1);
        let third = world.acknowledge(&world.cookie(1460), "");
        let reset = world.send(&third).expect(Reason::LimitConnectionsReset).packet();
        assert_eq!(reset.tcp.sequence_number, third.tcp.acknowledgment_number);
    });
}

#[test]
fn finished_flow_makes_room_for_a_cookie() {
    in_both_families(|mut world| {
        let before = world.establish();
        world.finish();
        world.tables.settings.cookies = Cookies::Always;
        world.establish_by_cookie();
        assert_eq!(world.state(), State::Established);
        assert!(world.is_resting(&before.to.reversed()));
        assert!(world.flow().seen.contains(Seen::COOKIE));
    });
}

#[test]
fn cookies_begin_when_many_wait_and_end_when_they_have_drained() {
    in_both_families(|mut world| {
        world.tables.settings.half_open = 400;
        world.tables.send_all_to(world.service, world.indices[0]);
        let mut opened = 0;
        loop {
            world.client.set_port(world.client.port() + 1);
            match world.send(&world.syn()).verdict.reason {
                Reason::Opened => opened += 1,
                reason => break assert_eq!(reason, Reason::CookieSent),
            }
        }
        assert_eq!(opened, 100, "a quarter of the table for a backend");
        // Clients of other backends go on as ever.
        world.tables.send_all_to(world.service, world.indices[1]);
        world.send(&world.syn()).expect(Reason::Opened);
        world.tables.send_all_to(world.service, world.indices[0]);
        world.tables.advance(ticks_from_secs(1));
        world.client.set_port(world.client.port() + 1);
        world.send(&world.syn()).expect(Reason::Opened);
    });
}

#[test]
fn clients_that_are_there_bring_no_cookies_about() {
    in_both_families(|mut world| {
        world.tables.settings.half_open = 400;
        world.tables.send_all_to(world.service, world.indices[0]);
        for _ in 0..150 {
            world.client.set_port(world.client.port() + 1);
            world.establish();
        }
    });
}

#[test]
fn no_cookies_where_they_are_off() {
    in_both_families(|mut world| {
        (world.tables.settings.half_open, world.tables.settings.cookies) = (4, Cookies::Never);
        for _ in 0..100 {
            world.client.set_port(world.client.port() + 1);
            world.send(&world.syn()).expect(Reason::Opened);
        }
        let bytes = world.client_segment(Flags::ACK).build();
        world.client.set_port(world.client.port() + 1);
        world.arrive::<Wire>(&bytes).expect(Reason::HandshakeMismatch);
    });
}
