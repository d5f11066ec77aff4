//! The programs for TC.

use aya_ebpf::{
    bindings::{BPF_F_PSEUDO_HDR, TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::{bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_redirect, bpf_skb_vlan_push},
    macros::classifier,
    programs::TcContext,
};

use crate::{
    make::{self, Packet},
    maps::{PLAN, TC_DEVICE, TC_UNDER_TEST},
    plain::{self, IP_CHECKSUM, TCP_CHECKSUM},
};

const ETH_P_8021Q: u16 = 0x8100;

#[inline(always)]
fn packet(ctx: &TcContext) -> Packet {
    // Volatile: otherwise the compiler may make 32-bit numbers of what the verifier knows as pointers.
    // SAFETY: this program's context.
    let (data, end) = unsafe {
        ((&raw const (*ctx.skb.skb).data).read_volatile(), (&raw const (*ctx.skb.skb).data_end).read_volatile())
    };
    Packet { data: data as usize, data_end: end as usize }
}

/// Makes a packet and goes on into the program under test. Unspecified: there is none, or the packet is too short.
#[classifier]
pub fn drive_tc(ctx: TcContext) -> i32 {
    if let Some(plan) = PLAN.get_ptr_mut(0) {
        // SAFETY: map memory that no other program uses while a run lasts.
        let plan = unsafe { &mut *plan };
        // SAFETY: this program's context.
        if plan.vlan != 0 && unsafe { (*ctx.skb.skb).vlan_present } == 0 {
            // Needed once: the programs under test leave the packet with a tag.
            // SAFETY: this program's context; no reference into the packet is alive.
            unsafe { bpf_skb_vlan_push(ctx.skb.skb, ETH_P_8021Q.to_be(), plan.vlan as u16) };
        }
        if make::next(packet(&ctx), plan).is_some() {
            // SAFETY: nothing is left to be dropped.
            unsafe { TC_UNDER_TEST.tail_call(&ctx, 0) };
        }
    }
    TC_ACT_UNSPEC
}

#[classifier]
pub fn empty_tc(_ctx: TcContext) -> i32 {
    TC_ACT_SHOT
}

#[classifier]
pub fn parse_tc(ctx: TcContext) -> i32 {
    if plain::parse(packet(&ctx)).is_some() { TC_ACT_SHOT } else { TC_ACT_UNSPEC }
}

#[classifier]
pub fn redirect_tc(_ctx: TcContext) -> i32 {
    redirect()
}

#[classifier]
pub fn rewrite_tc(ctx: TcContext) -> i32 {
    let Some(change) = plain::rewrite(packet(&ctx)) else { return TC_ACT_UNSPEC };
    let skb = ctx.skb.skb;
    let delta = |delta: gateway_common::nat::Delta| u64::from(delta.folded32());
    // SAFETY: `skb` is this program's context; no reference into the packet is alive.
    let results = unsafe {
        [
            bpf_l3_csum_replace(skb, IP_CHECKSUM as u32, 0, delta(change.addresses.and(change.life)), 0),
            bpf_l4_csum_replace(skb, TCP_CHECKSUM as u32, 0, delta(change.addresses), u64::from(BPF_F_PSEUDO_HDR)),
            bpf_l4_csum_replace(skb, TCP_CHECKSUM as u32, 0, delta(change.ports), 0),
        ]
    };
    if results == [0; 3] { redirect() } else { TC_ACT_UNSPEC }
}

#[inline(always)]
fn redirect() -> i32 {
    let Some(device) = TC_DEVICE.get(0) else { return TC_ACT_UNSPEC };
    // SAFETY: no preconditions.
    unsafe { bpf_redirect(*device, 0) as i32 }
}
