//! Sources that nobody can have (RFC 1812 section 5.3.7, RFC 4291 section 2): what claims to come from them opens no
//! flow, and gets no answer.
//!
//! Tested where a flow would be opened or a reset sent, so that packets of flows pay nothing for it. What claims to come
//! from other addresses of the front server than these opens a flow that hears no answer, because the kernel's routes
//! forward none to the host itself.

use super::{frame::Frame, headers::Ethernet, parse::Segment, tables::Tables};
use crate::abi::{Address, Family, MAX_SNAT};

/// Source addresses of the gateway that are tested, of each family: more are rare, and each costs the verifier.
const TESTED_SNAT: u32 = 16;

/// Whether a SYN comes from an impossible source, or from an address that backends know the gateway by.
#[inline(never)]
pub fn cannot_open<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment) -> bool {
    gets_no_answer(frame, segment) || is_snat(tables, &segment.tuple().src)
}

/// Whether a segment comes from an impossible source, or was sent to more stations than this.
#[inline(never)]
pub fn gets_no_answer<F: Frame>(frame: &mut F, segment: &Segment) -> bool {
    let tuple = segment.tuple();
    let is_impossible = match tuple.src.family() {
        Family::V4 => is_impossible_v4(tuple.src.v4()),
        Family::V6 => is_impossible_v6(tuple.src.words()),
    };
    // The group bit: nothing is answered that everybody gets (RFC 1122 section 3.2.2, RFC 9293 section 3.10.7.2).
    let is_for_all = |ethernet: &mut Ethernet| ethernet.dst.0[0] & 1 != 0;
    is_impossible || tuple.src.equals(&tuple.dst) || frame.header::<Ethernet>(0).is_ok_and(is_for_all)
}

/// This network, loopback, multicast, reserved, broadcast.
#[inline(always)]
fn is_impossible_v4([first, ..]: [u8; 4]) -> bool {
    matches!(first, 0 | 127 | 224..)
}

/// Unspecified, loopback, multicast, and link-local, which no router forwards.
#[inline(always)]
fn is_impossible_v6([a, b, c, d]: [u32; 4]) -> bool {
    let first = u32::from_be(a);
    let is_lowest = a | b | c == 0 && u32::from_be(d) <= 1;
    is_lowest || first >> 24 == 0xff || first >> 22 == 0xfe80 >> 6
}

/// Whether it is one of the addresses that backends know the gateway by, as far as they are tested.
#[inline(always)]
fn is_snat<T: Tables>(tables: &T, address: &Address) -> bool {
    let settings = tables.settings();
    let (base, count) = match address.family() {
        Family::V4 => (0, settings.snat_v4),
        Family::V6 => (MAX_SNAT, settings.snat_v6),
    };
    for index in 0..TESTED_SNAT {
        if index >= count {
            break;
        }
        if tables.snat(base + index).is_some_and(|snat| snat.equals(address)) {
            return true;
        }
    }
    false
}
