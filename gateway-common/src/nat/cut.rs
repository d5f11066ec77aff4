//! Flows that the operator ends: both ends get a reset, or silence.
//!
//! A cut flow is finished, and its entries stay until they are swept: they answer what still comes. A reset that was
//! sent unasked is believed only with the very sequence number that its receiver expects (RFC 5961 section 3.2), which
//! in the middle of a transfer nobody but the receiver knows; any other makes it send a challenge ACK, which says it.

use super::{Reason, answer, frame::Frame, parse::Segment, tables::Tables};
use crate::abi::{Answer, Flow, Seen};

/// Marks one direction as cut. It keeps its place for a while from `now` on, in ticks.
pub fn mark(flow: &mut Flow, answer: Answer, now: u32) {
    flow.seen = match answer {
        Answer::Reset => flow.seen.with(Seen::CUT),
        Answer::Drop => flow.seen.with(Seen::CUT).with(Seen::SILENT),
    };
    flow.last_seen = now;
}

/// The sequence numbers that the receiver of a direction may expect next: the one it has acknowledged, and the one
/// after all that was sent. With nothing under way they are the same.
pub fn expected(sent: &Flow, returned: &Flow) -> [u32; 2] {
    [returned.acked, sent.next_seq.wrapping_sub(sent.shift())]
}

/// What becomes of a segment whose flow was cut, or rests.
#[inline(never)]
pub(super) fn turn_away<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, flow: &mut Flow) -> Reason {
    if !flow.seen.contains(Seen::CUT) {
        // The client would say so too, if its port were not another connection's.
        return answer::refuse(frame, segment, Answer::Reset, Reason::FlowGoneReset, Reason::FlowGone);
    }
    let how = if flow.seen.contains(Seen::SILENT) { Answer::Drop } else { Answer::Reset };
    let reason = answer::refuse(frame, segment, how, Reason::FlowCutReset, Reason::FlowCut);
    if !matches!(reason, Reason::HandedToTc) {
        // As long as its ends go on sending, they are turned away.
        flow.last_seen = tables.now();
    }
    reason
}
