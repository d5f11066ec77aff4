//! The TC program: packets that XDP leaves to the kernel, and interfaces that face local containers.
//!
//! A packet here is an skb: it may be a super-frame, carry an unfinished checksum, and have its VLAN tag
//! beside it. So checksums and tags go through the kernel's helpers.

use core::ptr;

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_F_PSEUDO_HDR, TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_adj_room_mode, bpf_hdr_start_off},
    helpers::{
        bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_redirect, bpf_redirect_neigh, bpf_skb_adjust_room,
        bpf_skb_change_head, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_load_bytes_relative, bpf_skb_pull_data,
        bpf_skb_store_bytes, bpf_skb_vlan_pop, bpf_skb_vlan_push,
    },
    macros::classifier,
    programs::TcContext,
};
use gateway_common::{
    abi::{Hop, Tuple},
    nat::{
        Action, Delta, Frame, Reason, Tables, Verdict,
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

/// All headers that the core reads lie within this many bytes.
const HEADERS: u32 = 192;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// The first byte of an IPv4 header without options.
const IPV4_START: u8 = 0x45;

#[classifier]
pub fn gateway_tc(ctx: TcContext) -> i32 {
    let mut frame = TcFrame { ctx: &ctx, generation: 0, resolved: true };
    let verdict = run(&mut frame);
    count(Hook::Tc, verdict.reason);
    match verdict.reason.action() {
        // Undecided: programs after this one have their say.
        Action::Pass => TC_ACT_UNSPEC,
        Action::Drop => TC_ACT_SHOT,
        // SAFETY: no preconditions; `ctx.skb.skb` is this program's context.
        Action::Answer => unsafe { bpf_redirect((*ctx.skb.skb).ifindex, 0) as i32 },
        // SAFETY: no preconditions.
        Action::Forward if frame.resolved => unsafe { bpf_redirect(verdict.ifindex, 0) as i32 },
        // The kernel finds the next hop's link-layer address and writes the Ethernet header.
        // SAFETY: no preconditions; without parameters the next hop is that of the packet's destination.
        Action::Forward => unsafe { bpf_redirect_neigh(verdict.ifindex, ptr::null_mut(), 0, 0) as i32 },
    }
}

#[inline(always)]
fn run(frame: &mut TcFrame<'_>) -> Verdict {
    let len = frame.ctx.len();
    let wanted = if len < HEADERS { len } else { HEADERS };
    let linear = frame.ctx.data_end() - frame.ctx.data();
    // SAFETY: `skb` is this program's context; no reference into the packet is alive.
    if linear < wanted as usize && unsafe { bpf_skb_pull_data(frame.ctx.skb.skb, wanted) } != 0 {
        return Reason::Malformed.into();
    }
    frame.uncover_link_layer();
    match KernelTables::new() {
        Some((tables, headers)) => {
            let settings = tables.settings();
            frame.generation = settings.generation;
            if watch::is_on(settings) {
                watch::came(frame, headers);
            }
            let verdict = process(frame, &tables, headers);
            if watch::is_on(settings) {
                watch::decided(frame, verdict);
            }
            verdict
        }
        None => Reason::RewriteFailed.into(),
    }
}

struct TcFrame<'a> {
    ctx: &'a TcContext,
    generation: u16,
    /// Whether the next hop's link-layer address is known.
    resolved: bool,
}

impl TcFrame<'_> {
    /// Address of the packet's first byte.
    ///
    /// Volatile, as is [`Self::data_end`]: otherwise the compiler may load it before a call and pass it on as the 32-bit
    /// number that the context's type makes of it, and the verifier no longer knows a pointer.
    #[inline(always)]
    fn data(&self) -> usize {
        // SAFETY: this program's context.
        unsafe { (&raw const (*self.ctx.skb.skb).data).read_volatile() as usize }
    }

    /// Address of the byte after the last one that can be accessed directly.
    #[inline(always)]
    fn data_end(&self) -> usize {
        // SAFETY: this program's context.
        unsafe { (&raw const (*self.ctx.skb.skb).data_end).read_volatile() as usize }
    }

    /// Makes the packet begin with its Ethernet header where the kernel shows it from the IP header on: since Linux 6.9
    /// generic XDP copies packets without the length of their link-layer header, and TC sees the copies.
    #[inline(always)]
    fn uncover_link_layer(&mut self) {
        let skb = self.ctx.skb.skb;
        // SAFETY: `skb` is this program's context.
        let protocol = unsafe { (*skb).protocol } as u16;
        if protocol != ETH_P_IP.to_be() && protocol != ETH_P_IPV6.to_be() {
            return;
        }
        let Ok(first) = self.header::<Ethernet>(0) else { return };
        // A source in 8.0.0.0/16 looks like the type of IPv4. A unicast frame does not begin with such a byte.
        if u16::from_ne_bytes(first.ether_type.0) == protocol && first.dst.0[0] != IPV4_START {
            return;
        }
        let mut header = [0u8; Ethernet::LEN];
        let len = Ethernet::LEN as u32;
        // SAFETY: `skb` is this program's context, `header` is `len` bytes long, and no reference into the packet is
        // alive.
        unsafe {
            let start = bpf_hdr_start_off::BPF_HDR_START_MAC;
            // Where there is no such header, the packet goes on as it is, and so to the kernel.
            if bpf_skb_load_bytes_relative(skb.cast(), 0, header.as_mut_ptr().cast(), len, start) == 0
                && bpf_skb_change_head(skb, len, 0) == 0
            {
                bpf_skb_store_bytes(skb, 0, header.as_ptr().cast(), len, 0);
            }
        }
    }

    #[inline(always)]
    fn checked(result: i64) -> Result<(), Reason> {
        if result == 0 { Ok(()) } else { Err(Reason::RewriteFailed) }
    }
}

impl Copied for TcFrame<'_> {
    const HOOK: Hook = Hook::Tc;

    #[inline(always)]
    fn ingress(&self) -> u32 {
        // SAFETY: this program's context.
        unsafe { (*self.ctx.skb.skb).ifindex }
    }

    #[inline(always)]
    fn frame_len(&self) -> u32 {
        self.ctx.len()
    }

    #[inline(always)]
    unsafe fn copy(&self, to: *mut u8, len: u32) -> bool {
        // SAFETY: this program's context; `to` is as the caller says.
        unsafe { bpf_skb_load_bytes(self.ctx.skb.skb.cast(), 0, to.cast(), len) == 0 }
    }
}

impl Frame for TcFrame<'_> {
    const REACHES_LOCAL: bool = true;

    #[inline(always)]
    fn header<T: Header>(&mut self, offset: usize) -> Result<&mut T, Reason> {
        // SAFETY: the bounds of this program's packet; the borrow of `self` keeps a second reference, and any helper that
        // moves the packet, away.
        unsafe { packet::header(self.data(), self.data_end(), offset) }
    }

    #[inline(always)]
    fn holds(&self, len: usize) -> bool {
        self.ctx.len() as usize >= len
    }

    #[inline(always)]
    fn wire_len(&self, packet_len: u32, headers: u32) -> u32 {
        // SAFETY: `skb` is this program's context.
        let gso_size = unsafe { (*self.ctx.skb.skb).gso_size };
        if gso_size == 0 { packet_len } else { headers + gso_size }
    }

    #[inline(always)]
    fn route(&mut self, tuple: &Tuple, hop: &mut Hop) -> Result<(), Reason> {
        // SAFETY: `skb` is this program's context.
        let ingress = unsafe { (*self.ctx.skb.skb).ifindex };
        self.resolved = route::lookup(self.ctx.as_ptr(), ingress, tuple, hop)?;
        // An unresolved hop is good for this packet alone: generation 0 is never current.
        hop.generation = if self.resolved { self.generation } else { 0 };
        Ok(())
    }

    #[inline(always)]
    fn update_ip_checksum(&mut self, offset: usize, delta: Delta) -> Result<(), Reason> {
        // SAFETY: `skb` is this program's context; no reference into the packet is alive.
        Self::checked(unsafe {
            bpf_l3_csum_replace(self.ctx.skb.skb, offset as u32, 0, u64::from(delta.folded32()), 0)
        })
    }

    #[inline(always)]
    fn update_l4_checksum(&mut self, offset: usize, pseudo: Delta, data: Delta) -> Result<(), Reason> {
        let skb = self.ctx.skb.skb;
        // SAFETY: `skb` is this program's context; no reference into the packet is alive.
        unsafe {
            let flags = u64::from(BPF_F_PSEUDO_HDR);
            Self::checked(bpf_l4_csum_replace(skb, offset as u32, 0, u64::from(pseudo.folded32()), flags))?;
            Self::checked(bpf_l4_csum_replace(skb, offset as u32, 0, u64::from(data.folded32()), 0))
        }
    }

    #[inline(always)]
    fn set_link_layer(&mut self, l2_len: usize, hop: &Hop, _ether_type: Bytes2) -> Result<(), Reason> {
        let skb = self.ctx.skb.skb;
        // SAFETY: `skb` is this program's context; no reference into the packet is alive.
        unsafe {
            // A tag beside the packet is popped first, then those within.
            if (*skb).vlan_present != 0 {
                Self::checked(bpf_skb_vlan_pop(skb))?;
            }
            if l2_len > Ethernet::LEN {
                Self::checked(bpf_skb_vlan_pop(skb))?;
            }
            if l2_len > Ethernet::LEN + VlanTag::LEN {
                Self::checked(bpf_skb_vlan_pop(skb))?;
            }
            if hop.egress.vlan() != 0 {
                Self::checked(bpf_skb_vlan_push(skb, ETH_P_8021Q.to_be(), hop.egress.vlan()))?;
            }
        }
        let ethernet = self.header::<Ethernet>(0)?;
        (ethernet.dst, ethernet.src) = (hop.dst_mac, hop.src_mac);
        Ok(())
    }

    #[inline(always)]
    fn renew(&mut self, len: usize) -> Result<(), Reason> {
        /// More than any TCP header's distance from the start of the packet, so that cutting it off ends the
        /// work that was left to do there: the kernel forgets an unfinished checksum that starts before the data.
        const CUT: i32 = 96;
        const ROOM: u32 = 256;
        let skb = self.ctx.skb.skb;
        // SAFETY: `skb` is this program's context; no reference into the packet is alive.
        unsafe {
            Self::checked(bpf_skb_change_tail(skb, ROOM, 0))?;
            Self::checked(bpf_skb_adjust_room(skb, -CUT, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, 0))?;
            Self::checked(bpf_skb_change_tail(skb, len as u32, 0))?;
            Self::checked(bpf_skb_pull_data(skb, len as u32))
        }
    }
}
