//! The lab's baseline: nftables on the front server does what the gateway is to do, so that a failing lab is
//! told from a failing gateway.

use std::{fmt::Write, net::SocketAddr};

use crate::{Family, Front};

/// Forwards connections to `listen` to the `backends` in random order, with the front server as source.
#[track_caller]
pub fn forward_in_kernel(front: &Front, listen: SocketAddr, backends: &[SocketAddr]) {
    let (family, table) = if listen.is_ipv4() { (Family::V4, "ip") } else { (Family::V6, "ip6") };
    let mut targets = String::new();
    for (index, backend) in backends.iter().enumerate() {
        write!(targets, "{index} : {} . {},", backend.ip(), backend.port()).expect("a string takes all");
    }
    front.nft(&format!(
        "table {table} nat {{
            chain prerouting {{
                type nat hook prerouting priority dstnat
                {table} daddr {} tcp dport {} dnat to numgen random mod {} map {{ {targets} }}
            }}
            chain postrouting {{
                type nat hook postrouting priority srcnat
                ct status dnat snat to {}
            }}
        }}",
        listen.ip(),
        listen.port(),
        backends.len(),
        front.snat(family),
    ));
}
