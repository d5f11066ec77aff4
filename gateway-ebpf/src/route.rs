//! The kernel's routing decision, by `bpf_fib_lookup`.

use core::{ffi::c_void, mem};

use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS,
        BPF_FIB_LKUP_RET_UNSUPP_LWT, bpf_fib_lookup as FibLookup, bpf_fib_lookup__bindgen_ty_1,
        bpf_fib_lookup__bindgen_ty_2, bpf_fib_lookup__bindgen_ty_3, bpf_fib_lookup__bindgen_ty_4,
        bpf_fib_lookup__bindgen_ty_5,
    },
    helpers::bpf_fib_lookup,
};
use gateway_common::{
    abi::{Address, Egress, Family, Hop, Ifindex, Tuple},
    nat::{Reason, headers::Mac},
};

use crate::maps::{FIB_LOOKUP, LINKS};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// Looks up the route of a packet with `tuple` that has come in by `ingress`, and leaves it in `hop`, all but its
/// generation. `ctx` is the hook's context.
///
/// Returns whether the next hop's link-layer address is known. If it is not, the hop has neither MAC addresses nor
/// an MTU, and is not to be cached.
#[inline(never)]
pub fn lookup(ctx: *mut c_void, ingress: u32, tuple: &Tuple, hop: &mut Hop) -> Result<bool, Reason> {
    let (family, src, dst) = match tuple.dst.family() {
        Family::V4 => (AF_INET, v4_words(&tuple.src), v4_words(&tuple.dst)),
        Family::V6 => (AF_INET6, tuple.src.words(), tuple.dst.words()),
    };
    // SAFETY: a per-CPU value, and a program does not interrupt another on its CPU.
    let params = unsafe { &mut *FIB_LOOKUP.get_ptr_mut(0).ok_or(Reason::RewriteFailed)? };
    params.family = family;
    params.l4_protocol = IPPROTO_TCP;
    params.sport = u16::from_ne_bytes(tuple.src_port);
    params.dport = u16::from_ne_bytes(tuple.dst_port);
    // Not 0: a length makes the helper report the route's MTU (kernel 5.13 and later).
    params.__bindgen_anon_1 = bpf_fib_lookup__bindgen_ty_1 { tot_len: 1 };
    params.ifindex = ingress;
    params.__bindgen_anon_2 = bpf_fib_lookup__bindgen_ty_2 { flowinfo: 0 };
    params.__bindgen_anon_3 = bpf_fib_lookup__bindgen_ty_3 { ipv6_src: src };
    params.__bindgen_anon_4 = bpf_fib_lookup__bindgen_ty_4 { ipv6_dst: dst };
    params.__bindgen_anon_5 = bpf_fib_lookup__bindgen_ty_5 { tbid: 0 };
    // SAFETY: `ctx` is the context this program was called with, `params` a live structure of the given size.
    let result = unsafe { bpf_fib_lookup(ctx, params, mem::size_of::<FibLookup>() as i32, 0) };
    let resolved = match u32::try_from(result) {
        Ok(BPF_FIB_LKUP_RET_SUCCESS) => true,
        Ok(BPF_FIB_LKUP_RET_NO_NEIGH) => false,
        Ok(BPF_FIB_LKUP_RET_NOT_FWDED | BPF_FIB_LKUP_RET_FWD_DISABLED) => return Err(Reason::NotForwarded),
        Ok(BPF_FIB_LKUP_RET_UNSUPP_LWT) => return Err(Reason::RouteUnsupported),
        _ => return Err(Reason::NoRoute),
    };
    hop.device = Ifindex::new(params.ifindex);
    hop.dst_mac = Mac(params.dmac);
    hop.src_mac = Mac(params.smac);
    hop.egress = Egress::LOCAL;
    // SAFETY: both members of the union are `u16`. Without a neighbour the MTU has not been looked up.
    hop.mtu = if resolved { unsafe { params.__bindgen_anon_1.mtu_result } } else { u16::MAX };
    // SAFETY: the daemon replaces whole values; a mixture of two would be repaired by the next generation.
    if let Some(link) = unsafe { LINKS.get(params.ifindex) } {
        hop.device = Ifindex::new(link.device);
        hop.egress = link.egress;
    }
    Ok(resolved)
}

/// An IPv4 address is the first of the words.
#[inline(always)]
fn v4_words(address: &Address) -> [u32; 4] {
    [address.words()[3], 0, 0, 0]
}
