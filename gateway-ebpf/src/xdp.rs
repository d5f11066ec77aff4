//! The XDP program: frames before the kernel sees them, straight from NIC to NIC.

use aya_ebpf::{
    EbpfContext,
    bindings::xdp_action,
    helpers::{bpf_redirect, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    macros::xdp,
    programs::XdpContext,
};
use gateway_common::{
    abi::{Hop, Tuple},
    nat::{
        Action, Delta, Frame, Reason, Tables,
        headers::{Bytes2, Ethernet, Header, VlanTag},
        process,
    },
};

use crate::{
    maps::{Hook, count},
    packet, route,
    tables::KernelTables,
    watch::{self, Copied},
};

#[xdp(frags)]
pub fn gateway_xdp(ctx: XdpContext) -> u32 {
    let Some((tables, headers)) = KernelTables::new() else { return xdp_action::XDP_PASS };
    let settings = tables.settings();
    let mut frame = XdpFrame { ctx: &ctx, generation: settings.generation };
    if watch::is_on(settings) {
        watch::came(&frame, headers);
    }
    let verdict = process(&mut frame, &tables, headers);
    count(Hook::Xdp, verdict.reason);
    let ingress = ctx.ingress_ifindex() as u32;
    if watch::is_on(settings) {
        watch::decided(&frame, verdict);
    }
    let egress = match verdict.reason.action() {
        Action::Pass => return xdp_action::XDP_PASS,
        Action::Drop => return xdp_action::XDP_DROP,
        Action::Answer => ingress,
        Action::Forward => verdict.ifindex,
    };
    if egress == ingress && settings.redirect_back == 0 {
        return xdp_action::XDP_TX;
    }
    // SAFETY: no preconditions; an unknown device makes the kernel drop the frame.
    unsafe { bpf_redirect(egress, 0) as u32 }
}

struct XdpFrame<'a> {
    ctx: &'a XdpContext,
    generation: u16,
}

impl XdpFrame<'_> {
    /// Address of the packet's first byte.
    ///
    /// Volatile, as is [`Self::data_end`]: otherwise the compiler may load it before a call and pass it on as the 32-bit
    /// number that the context's type makes of it, and the verifier no longer knows a pointer.
    #[inline(always)]
    fn data(&self) -> usize {
        // SAFETY: this program's context.
        unsafe { (&raw const (*self.ctx.ctx).data).read_volatile() as usize }
    }

    /// Address of the byte after the last one that can be accessed directly.
    #[inline(always)]
    fn data_end(&self) -> usize {
        // SAFETY: this program's context.
        unsafe { (&raw const (*self.ctx.ctx).data_end).read_volatile() as usize }
    }
}

impl Copied for XdpFrame<'_> {
    const HOOK: Hook = Hook::Xdp;

    #[inline(always)]
    fn ingress(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn frame_len(&self) -> u32 {
        // SAFETY: `ctx` is this program's context.
        unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) as u32 }
    }

    #[inline(always)]
    unsafe fn copy(&self, to: *mut u8, len: u32) -> bool {
        // SAFETY: `ctx` is this program's context; `to` is as the caller says.
        unsafe { bpf_xdp_load_bytes(self.ctx.ctx, 0, to.cast(), len) == 0 }
    }
}

impl Frame for XdpFrame<'_> {
    const REACHES_LOCAL: bool = false;

    #[inline(always)]
    fn header<T: Header>(&mut self, offset: usize) -> Result<&mut T, Reason> {
        // SAFETY: the bounds of this program's packet; the borrow of `self` keeps a second reference, and any helper that
        // moves the packet, away.
        unsafe { packet::header(self.data(), self.data_end(), offset) }
    }

    #[inline(always)]
    fn holds(&self, len: usize) -> bool {
        self.ctx.data_end() - self.ctx.data() >= len
            // SAFETY: `ctx` is this program's context. Called only for frames in several buffers.
            || unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) } as usize >= len
    }

    #[inline(always)]
    fn wire_len(&self, packet_len: u32, _headers: u32) -> u32 {
        packet_len
    }

    #[inline(always)]
    fn route(&mut self, tuple: &Tuple, hop: &mut Hop) -> Result<(), Reason> {
        if !route::lookup(self.ctx.as_ptr(), self.ctx.ingress_ifindex() as u32, tuple, hop)? {
            // Only the kernel's stack can ask for a link-layer address.
            return Err(Reason::HandedToTc);
        }
        hop.generation = self.generation;
        Ok(())
    }

    #[inline(always)]
    fn update_ip_checksum(&mut self, offset: usize, delta: Delta) -> Result<(), Reason> {
        let checksum = self.header::<Bytes2>(offset)?;
        checksum.0 = delta.apply(checksum.0);
        Ok(())
    }

    #[inline(always)]
    fn update_l4_checksum(&mut self, offset: usize, pseudo: Delta, data: Delta) -> Result<(), Reason> {
        self.update_ip_checksum(offset, pseudo.and(data))
    }

    #[inline(always)]
    fn set_link_layer(&mut self, l2_len: usize, hop: &Hop, ether_type: Bytes2) -> Result<(), Reason> {
        let tag_len = if hop.egress.vlan() == 0 { 0 } else { VlanTag::LEN };
        let new_len = Ethernet::LEN + tag_len;
        if new_len != l2_len {
            // SAFETY: `ctx` is this program's context; no reference into the packet is alive.
            let moved = unsafe { bpf_xdp_adjust_head(self.ctx.ctx, l2_len as i32 - new_len as i32) };
            if moved != 0 {
                return Err(Reason::RewriteFailed);
            }
        }
        let ether_type = if tag_len == 0 {
            ether_type
        } else {
            *self.header(Ethernet::LEN)? = VlanTag { tci: Bytes2(hop.egress.vlan().to_be_bytes()), ether_type };
            Ethernet::VLAN
        };
        *self.header(0)? = Ethernet { dst: hop.dst_mac, src: hop.src_mac, ether_type };
        Ok(())
    }

    #[inline(always)]
    fn renew(&mut self, len: usize) -> Result<(), Reason> {
        // SAFETY: `ctx` is this program's context; no reference into the packet is alive.
        let result = unsafe {
            let present = bpf_xdp_get_buff_len(self.ctx.ctx) as i32;
            bpf_xdp_adjust_tail(self.ctx.ctx, len as i32 - present)
        };
        // A driver may leave no room to grow; the kernel's stack makes some.
        if result == 0 { Ok(()) } else { Err(Reason::HandedToTc) }
    }
}
