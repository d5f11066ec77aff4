//! The one bounds check that guards every access to a packet.

use gateway_common::nat::{Reason, headers::Header};

/// The bits of all offsets that the core asks for: two VLAN tags, IPv4 options and a quoted packet included.
const OFFSETS: usize = 255;

/// The header at `offset` of the packet that lies from `data` to `data_end`; `Malformed` beyond its end.
///
/// # Safety
///
/// `data` and `data_end` have just been read from the program's context, and no other reference to the packet lives,
/// nor is the packet moved, while the result does.
#[inline(always)]
pub unsafe fn header<'a, T: Header>(data: usize, data_end: usize, offset: usize) -> Result<&'a mut T, Reason> {
    // The mask bounds the offset for the verifier, and the test the packet. A test of the offset would not do: on
    // Linux 6.1 the verifier forgets it where the compiler reads the offset from the stack once more.
    let start = data + (offset & OFFSETS);
    if start + size_of::<T>() > data_end {
        return Err(Reason::Malformed);
    }
    // SAFETY: within the packet by the test above; a `Header` has no invalid value. Its alignment is the kernel's care
    // (NET_IP_ALIGN) on processors that need it, and moot on those that do not.
    Ok(unsafe { &mut *(start as *mut T) })
}
