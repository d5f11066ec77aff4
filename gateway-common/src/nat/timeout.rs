//! When a quiet flow is over (RFC 5382 section 5, RFC 7857 section 2).

use super::tcp::{self, State};
use crate::abi::{Flow, Seen, ticks_from_secs};

/// Half-open, half-closed, reset and cut flows (RFC 5382 REQ-5: not less than 4 minutes).
pub const TRANSITORY: u32 = ticks_from_secs(4 * 60);

/// Both ends have closed: as long as Linux keeps its TIME-WAIT, after which the port may be used again.
pub const TIME_WAIT: u32 = ticks_from_secs(60);

/// How long a finished flow stays where room is scarce: what was still under way in either direction has arrived.
pub const SCARCE: u32 = ticks_from_secs(5);

/// Whether a flow may be over judging by one direction alone, so that its twin is worth a look.
pub fn may_be_over(flow: &Flow, established: u32, now: u32) -> bool {
    let closing = flow.seen.intersects(Seen::FIN.with(Seen::RST).with(Seen::RESTING).with(Seen::CUT));
    idle(flow, now) >= if closing { TIME_WAIT } else { established }
}

/// Whether the flow whose directions are `original` and `reply` has outlived its state; `established` is the
/// service's idle timeout in ticks.
pub fn is_over(original: &Flow, reply: &Flow, established: u32, now: u32) -> bool {
    let limit = match tcp::state(original.seen, reply.seen) {
        State::TimeWait => TIME_WAIT,
        State::Established => established,
        _ => TRANSITORY,
    };
    idle(original, now).min(idle(reply, now)) >= limit
}

/// Whether a flow may make room judging by one direction alone, so that its twin is worth a look. A resting tuple is no
/// flow.
pub fn may_make_room(flow: &Flow, now: u32) -> bool {
    let closing = flow.seen.intersects(Seen::FIN.with(Seen::RST).with(Seen::CUT));
    closing && !flow.seen.contains(Seen::RESTING) && idle(flow, now) >= SCARCE
}

/// Whether the flow whose directions are `original` and `reply` is finished and makes room for others where that is
/// scarce.
pub fn makes_room(original: &Flow, reply: &Flow, now: u32) -> bool {
    tcp::state(original.seen, reply.seen).is_finished() && idle(original, now).min(idle(reply, now)) >= SCARCE
}

/// Ticks since the last packet. A packet that came after `now` was read counts as idle for 0.
fn idle(flow: &Flow, now: u32) -> u32 {
    let idle = now.wrapping_sub(flow.last_seen);
    if idle > u32::MAX / 2 { 0 } else { idle }
}
