//! The kernel's routing decision, by `bpf_fib_lookup`.

use core::{ffi::c_void, mem};

use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS,
        BPF_FIB_LKUP_RET_UNSUPP_LWT, bpf_fib_lookup as FibLookup,
    },
    helpers::bpf_fib_lookup,
};
use gateway_common::{
    abi::{Address, Family, Hop, Tuple},
    nat::Reason,
};

use crate::maps::LINKS;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// A route to a next hop.
pub struct Route {
    pub hop: Hop,
    /// The next hop's address, where its link-layer address is not known yet. The hop is not to be cached then.
    pub unresolved: Option<Address>,
}

/// Looks up the route of a packet with `tuple` that has come in by `ingress`. `ctx` is the hook's context.
#[inline(never)]
pub fn lookup(ctx: *mut c_void, ingress: u32, tuple: &Tuple, generation: u32) -> Result<Route, Reason> {
    // SAFETY: a structure of integers, for which zero is a value.
    let mut params: FibLookup = unsafe { mem::zeroed() };
    let family = tuple.dst.family();
    params.l4_protocol = IPPROTO_TCP;
    params.sport = u16::from_ne_bytes(tuple.src_port);
    params.dport = u16::from_ne_bytes(tuple.dst_port);
    params.ifindex = ingress;
    // Not 0: a length makes the helper report the route's MTU (kernel 5.13 and later).
    params.__bindgen_anon_1.tot_len = 1;
    match family {
        Family::V4 => {
            params.family = AF_INET;
            params.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(tuple.src.v4());
            params.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(tuple.dst.v4());
        }
        Family::V6 => {
            params.family = AF_INET6;
            params.__bindgen_anon_3.ipv6_src = words(&tuple.src);
            params.__bindgen_anon_4.ipv6_dst = words(&tuple.dst);
        }
    }
    // SAFETY: `ctx` is the context this program was called with, `params` a live structure of the given size.
    let result = unsafe { bpf_fib_lookup(ctx, &mut params, mem::size_of::<FibLookup>() as i32, 0) };
    let unresolved = match u32::try_from(result) {
        Ok(BPF_FIB_LKUP_RET_SUCCESS) => None,
        Ok(BPF_FIB_LKUP_RET_NO_NEIGH) => Some(next_hop(family, &params)),
        Ok(BPF_FIB_LKUP_RET_NOT_FWDED | BPF_FIB_LKUP_RET_FWD_DISABLED) => return Err(Reason::NotForwarded),
        Ok(BPF_FIB_LKUP_RET_UNSUPP_LWT) => return Err(Reason::RouteUnsupported),
        _ => return Err(Reason::NoRoute),
    };
    let mut hop = Hop {
        generation,
        ifindex: params.ifindex,
        dst_mac: params.dmac,
        src_mac: params.smac,
        vlan: 0,
        // SAFETY: both members of the union are `u16`.
        mtu: unsafe { params.__bindgen_anon_1.mtu_result },
        local: 1,
        reserved: [0; 3],
    };
    // SAFETY: the daemon replaces whole values; a mixture of two would be repaired by the next generation.
    if let Some(link) = unsafe { LINKS.get(hop.ifindex) } {
        hop.ifindex = link.device;
        hop.vlan = link.vlan;
        hop.local = u8::from(link.native == 0);
    }
    if unresolved.is_some() {
        // Generation 0 is never current, and the MTU has not been looked up.
        (hop.generation, hop.mtu) = (0, u16::MAX);
    }
    Ok(Route { hop, unresolved })
}

/// The next hop's address: the gateway's, or the destination's own on a connected network.
#[inline(always)]
fn next_hop(family: Family, params: &FibLookup) -> Address {
    match family {
        // SAFETY: an IPv4 lookup leaves the IPv4 member.
        Family::V4 => Address::from_v4(unsafe { params.__bindgen_anon_4.ipv4_dst }.to_ne_bytes()),
        // SAFETY: four words are sixteen bytes.
        Family::V6 => Address(unsafe { mem::transmute::<[u32; 4], [u8; 16]>(params.__bindgen_anon_4.ipv6_dst) }),
    }
}

#[inline(always)]
fn words(address: &Address) -> [u32; 4] {
    // SAFETY: sixteen bytes are four words.
    unsafe { mem::transmute(address.0) }
}
