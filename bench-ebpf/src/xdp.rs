//! The programs for XDP. All take frames of several buffers, as the gateway's does: the kernel lets a program go on only
//! into its like.

use aya_ebpf::{
    bindings::xdp_action,
    helpers::{bpf_xdp_adjust_head, bpf_xdp_get_buff_len},
    macros::xdp,
    programs::XdpContext,
};
use gateway_common::nat::headers::Bytes2;

use crate::{
    make::{self, Packet},
    maps::{DEVICES, PLAN, XDP_UNDER_TEST},
    plain::{self, IP_CHECKSUM, TCP_CHECKSUM},
};

/// What an IPv4 header takes, with which Katran wraps a packet.
const WRAPPING: i32 = 20;

#[inline(always)]
fn packet(ctx: &XdpContext) -> Packet {
    // Volatile: otherwise the compiler may make 32-bit numbers of what the verifier knows as pointers.
    // SAFETY: this program's context.
    let (data, end) =
        unsafe { ((&raw const (*ctx.ctx).data).read_volatile(), (&raw const (*ctx.ctx).data_end).read_volatile()) };
    Packet { data: data as usize, data_end: end as usize }
}

/// Makes a packet and goes on into the program under test. Aborted: there is none, or the frame is too short.
#[xdp(frags)]
pub fn drive_xdp(ctx: XdpContext) -> u32 {
    if let Some(plan) = PLAN.get_ptr_mut(0) {
        // SAFETY: map memory that no other program uses while a run lasts.
        let plan = unsafe { &mut *plan };
        let Packet { data, data_end } = packet(&ctx);
        // The mask bounds the length for the verifier.
        if data + (plan.len & 0xff) as usize != data_end {
            // SAFETY: this program's context; no reference into the packet is alive.
            unsafe { bpf_xdp_adjust_head(ctx.ctx, bpf_xdp_get_buff_len(ctx.ctx) as i32 - plan.len as i32) };
        }
        if make::next(packet(&ctx), plan).is_some() {
            // SAFETY: nothing is left to be dropped.
            unsafe { XDP_UNDER_TEST.tail_call(&ctx, 0) };
        }
    }
    xdp_action::XDP_ABORTED
}

#[xdp(frags)]
pub fn empty_xdp(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Makes room for a header, and so has the driver take it back: half of what that costs is each one's part.
#[xdp(frags)]
pub fn grow_xdp(ctx: XdpContext) -> u32 {
    // SAFETY: this program's context; no reference into the packet is alive.
    unsafe { bpf_xdp_adjust_head(ctx.ctx, -WRAPPING) };
    xdp_action::XDP_DROP
}

#[xdp(frags)]
pub fn parse_xdp(ctx: XdpContext) -> u32 {
    if plain::parse(packet(&ctx)).is_some() { xdp_action::XDP_DROP } else { xdp_action::XDP_ABORTED }
}

#[xdp(frags)]
pub fn redirect_xdp(_ctx: XdpContext) -> u32 {
    DEVICES.redirect(0, 0).unwrap_or(xdp_action::XDP_ABORTED)
}

#[xdp(frags)]
pub fn rewrite_xdp(ctx: XdpContext) -> u32 {
    let packet = packet(&ctx);
    let Some(change) = plain::rewrite(packet) else { return xdp_action::XDP_ABORTED };
    let deltas = [(IP_CHECKSUM, change.addresses.and(change.life)), (TCP_CHECKSUM, change.addresses.and(change.ports))];
    for (offset, delta) in deltas {
        let Some(checksum) = packet.header::<Bytes2>(offset) else { return xdp_action::XDP_ABORTED };
        checksum.0 = delta.apply(checksum.0);
    }
    DEVICES.redirect(0, 0).unwrap_or(xdp_action::XDP_ABORTED)
}
