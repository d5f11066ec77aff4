//! TCP's control bits and a flow's state, seen from the middle.
//!
//! The gateway sees both directions but owns neither end, so it keeps what it saw of each direction and
//! derives the state of the connection from the pair. States carry RFC 9293's names, from the client's side.

use crate::abi::Seen;

/// The control bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Flags(pub u8);

impl Flags {
    pub const FIN: Self = Self(0x01);
    pub const SYN: Self = Self(0x02);
    pub const RST: Self = Self(0x04);
    pub const ACK: Self = Self(0x10);

    #[inline(always)]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    #[inline(always)]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[inline(always)]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Ends its direction, if it is believed.
    #[inline(always)]
    pub const fn ends(self) -> bool {
        self.0 & (Self::RST.0 | Self::FIN.0) != 0
    }

    /// A SYN that opens a connection: neither ACK, RST nor FIN with it.
    #[inline(always)]
    pub const fn opens(self) -> bool {
        self.0 & (Self::SYN.0 | Self::ACK.0 | Self::RST.0 | Self::FIN.0) == Self::SYN.0
    }
}

/// State of a connection, derived from what both directions saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    SynSent,
    SynReceived,
    Established,
    /// The client has sent its FIN.
    FinWait,
    /// The backend has sent its FIN, the client has not.
    CloseWait,
    /// Both have.
    TimeWait,
    /// One end has reset it, or it was cut.
    Closed,
}

impl State {
    /// Neither end sends data any more; a new SYN may take the tuple over.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::TimeWait | Self::Closed)
    }
}

/// The state of an established flow.
#[inline(always)]
pub fn state(original: Seen, reply: Seen) -> State {
    if original.with(reply).intersects(Seen::RST.with(Seen::CUT)) {
        return State::Closed;
    }
    match (original.contains(Seen::FIN), reply.contains(Seen::FIN)) {
        (false, false) => State::Established,
        (true, false) => State::FinWait,
        (false, true) => State::CloseWait,
        (true, true) => State::TimeWait,
    }
}

/// What a direction has seen after a segment with `flags`.
///
/// Only a reset or FIN counts whose numbers its receiver would believe, and any other segment revives a direction that was
/// reset (RFC 7857 section 2.2: traffic after a RST is a sign that the RST was not accepted).
#[inline(always)]
pub fn next_seen(seen: Seen, flags: Flags, believed: bool) -> Seen {
    if flags.ends() && !believed {
        return seen;
    }
    if flags.contains(Flags::RST) {
        return seen.with(Seen::RST);
    }
    let seen = seen.without(Seen::RST);
    let seen = if flags.contains(Flags::SYN) { seen.with(Seen::SYN) } else { seen };
    if flags.contains(Flags::FIN) { seen.with(Seen::FIN) } else { seen }
}

/// Whether sequence number `a` comes after `b` (RFC 9293 section 3.4, modulo 2^32).
#[inline(always)]
pub const fn seq_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_follows_both_directions() {
        let (none, fin, rst) = (Seen::SYN, Seen::SYN.with(Seen::FIN), Seen::SYN.with(Seen::RST));
        assert_eq!(state(none, none), State::Established);
        assert_eq!(state(fin, none), State::FinWait);
        assert_eq!(state(none, fin), State::CloseWait);
        assert_eq!(state(fin, fin), State::TimeWait);
        assert_eq!(state(rst, fin), State::Closed);
        assert_eq!(state(fin, rst), State::Closed);
        assert_eq!(state(none.with(Seen::CUT), none.with(Seen::CUT)), State::Closed);
    }

    #[test]
    fn unbelievable_end_changes_nothing() {
        for seen in [Seen::SYN, Seen::SYN.with(Seen::RST)] {
            assert_eq!(next_seen(seen, Flags::RST, false), seen);
            assert_eq!(next_seen(seen, Flags::ACK.with(Flags::FIN), false), seen);
        }
    }

    #[test]
    fn traffic_after_a_reset_revives_the_direction() {
        let reset = next_seen(Seen::SYN, Flags::RST.with(Flags::ACK), true);
        assert!(reset.contains(Seen::RST));
        assert_eq!(next_seen(reset, Flags::ACK, false), Seen::SYN);
    }

    #[test]
    fn only_a_bare_syn_opens() {
        assert!(Flags::SYN.opens());
        // ECN setup (RFC 3168 section 6.1.1): ECE and CWR ride on the SYN.
        assert!(Flags(0xc2).opens());
        for flags in [0x12, 0x06, 0x03, 0x10, 0x00] {
            assert!(!Flags(flags).opens(), "{flags:#x}");
        }
    }

    #[test]
    fn sequence_numbers_compare_across_the_wrap() {
        assert!(seq_after(5, u32::MAX - 5));
        assert!(!seq_after(u32::MAX - 5, 5));
        assert!(!seq_after(7, 7));
    }
}
