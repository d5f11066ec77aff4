//! What the daemon tells the packet programs about the host.

use super::{Answer, Watched};

/// Source addresses per family at most.
pub const MAX_SNAT: u32 = 64;

/// A tick, the unit of time in the maps, is 2^24 ns (16.8 ms) of `CLOCK_MONOTONIC_COARSE`: a shift of the
/// kernel's clock, and 32 bits of it last for 2.2 years of uptime before they wrap.
pub const TICK_SHIFT: u32 = 24;

/// The only entry of the settings array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Bumped on every change of a route, neighbour or link; cached hops of another generation are stale.
    pub generation: u16,
    /// What becomes of a SYN beyond the capacity.
    pub full: Answer,
    pub cookies: Cookies,
    /// Number of source addresses in the snat array from index 0 (IPv4) and from [`MAX_SNAT`] (IPv6).
    pub snat_v4: u32,
    pub snat_v6: u32,
    /// First source port, host order.
    pub first_port: u16,
    /// Number of source ports.
    pub ports: u16,
    /// Flows at most; a SYN beyond is refused.
    pub capacity: u32,
    /// Flows in their handshake at most.
    pub half_open: u32,
    /// Seed of the selection hash, so that a stranger cannot aim at a backend or a port.
    pub seed: u32,
    /// 1: a device among those with native XDP is a veth. Its peer is woken for redirected frames but not for
    /// reflected ones (`XDP_TX`, as of Linux 6.18), unless it has an XDP program itself.
    pub redirect_back: u32,
    /// Number of buckets of the flow table and of the half-open table, where those are arrays.
    pub buckets: u32,
    pub half_open_buckets: u32,
    /// Secret keys of the hash by which entries lie in buckets.
    pub hash_keys: [u32; 10],
    /// Secret key of SYN cookies.
    pub cookie_key: [u32; 4],
    /// What is to be shown to whoever watches.
    pub watched: Watched,
}

/// When SYNs are answered by cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Cookies {
    #[default]
    InFloods = 0,
    Never = 1,
    Always = 2,
}

/// Whole ticks in `secs` seconds, rounded up.
pub const fn ticks_from_secs(secs: u64) -> u32 {
    ticks_from_millis(secs * 1_000)
}

/// Whole ticks in `millis` milliseconds, rounded up.
pub const fn ticks_from_millis(millis: u64) -> u32 {
    let ticks = (millis * 1_000_000).div_ceil(1 << TICK_SHIFT);
    if ticks > u32::MAX as u64 { u32::MAX } else { ticks as u32 }
}
