//! Segments of somebody who knows a flow's addresses and ports, but does not see its numbers (RFC 5961).

use gateway_common::nat::{Flags, Reason, State};

use crate::world::{ISN, World, in_both_families};

const PUSH: Flags = Flags(0x18);

/// A segment in the client's name, whose numbers are guessed.
fn guess(world: &World, flags: Flags, seq: u32) {
    let segment = world.client_segment(flags).seq(seq).payload("");
    world.send(&segment).expect(Reason::Forwarded);
}

/// Numbers all over the space, none of them the next one of the client.
fn numbers() -> impl Iterator<Item = u32> {
    (1..64).map(|step| (ISN + 1).wrapping_add(step << 26))
}

#[test]
fn reset_after_data_of_ones_own_closes_nothing() {
    in_both_families(|world| {
        world.establish();
        for seq in numbers() {
            let data = world.client_segment(PUSH).seq(seq).ack(seq).payload("forged");
            world.send(&data).expect(Reason::Forwarded);
            guess(&world, Flags::RST, seq.wrapping_add(6));
            guess(&world, Flags::RST, seq);
            assert_eq!((world.state(), world.open_flows()), (State::Established, 1), "{seq}");
        }
    });
}

#[test]
fn fin_out_of_the_window_closes_nothing() {
    in_both_families(|world| {
        world.establish();
        numbers().for_each(|seq| guess(&world, Flags::FIN.with(Flags::ACK), seq));
        assert_eq!(world.state(), State::Established);
    });
}

#[test]
fn fin_that_has_overtaken_data_counts() {
    in_both_families(|world| {
        world.establish();
        world.send(&world.client_data(Flags::FIN, 200_000, "")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::FinWait);
    });
}

#[test]
fn guesses_do_not_open_the_tuple_for_another_flow() {
    in_both_families(|world| {
        let flow = world.establish();
        for seq in numbers() {
            guess(&world, PUSH, seq);
            guess(&world, Flags::RST, seq);
            guess(&world, Flags::FIN.with(Flags::ACK), seq);
            guess(&world, Flags::SYN, seq);
        }
        assert_eq!((world.flow().to, world.connections()), (flow.to, 1));
        world.send(&world.client_data(PUSH, 0, "still here")).expect(Reason::Forwarded);
        world.send(&world.backend_data(PUSH, 0, "me too")).expect(Reason::Forwarded);
    });
}

#[test]
fn reset_of_the_client_itself_is_believed_after_guesses() {
    in_both_families(|world| {
        world.establish();
        numbers().for_each(|seq| guess(&world, PUSH, seq));
        world.send(&world.client_data(PUSH, 0, "the end")).expect(Reason::Forwarded);
        world.send(&world.client_data(Flags::RST, 7, "")).expect(Reason::Forwarded);
        assert_eq!(world.state(), State::Closed);
    });
}
