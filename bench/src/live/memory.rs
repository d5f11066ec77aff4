//! What a subject's front server holds in memory for connections.
//!
//! Counted, not seen as a machine's free memory shrinks: others allocate meanwhile.

use std::fs;

use anyhow::{Context, Result};
use aya::maps::MapData;

use super::stand::Stand;
use crate::scale::memory::accounted;

/// The kernel's objects of an open socket.
const OF_SOCKET: [&str; 4] = ["TCP", "sock_inode_cache", "filp", "dentry"];
const OF_CONNTRACK: [&str; 1] = ["nf_conntrack"];
/// What conntrack allocates with an entry that is translated (`NF_CT_EXT_PREALLOC`).
const CONNTRACK_EXTENSIONS: u64 = 128;

/// Bytes.
#[derive(Clone, Copy)]
pub struct Used {
    /// What the front server's programs have resident. They keep it when connections end.
    pub programs: u64,
    /// Its TCP sockets without their buffers, its conntrack entries, and what the kernel accounts the gateway's maps for.
    pub kernel: u64,
}

pub fn used(stand: &Stand) -> Result<Used> {
    let sockets = in_front(stand, "/proc/net/sockstat")?;
    let sockets = number_after(&sockets, "TCP: inuse").context("sockstat has no TCP")?;
    // Absent without conntrack.
    let tracked = in_front(stand, "/proc/sys/net/netfilter/nf_conntrack_count")?;
    let tracked: u64 = tracked.trim().parse().unwrap_or(0);
    let of_tracked = if tracked == 0 { 0 } else { sizes(&OF_CONNTRACK)? + CONNTRACK_EXTENSIONS };
    let kernel = sockets * sizes(&OF_SOCKET)? + tracked * of_tracked + maps(stand)?;
    let programs = stand.programs()?.into_iter().map(resident).sum::<Result<u64>>()?;
    Ok(Used { programs, kernel })
}

fn in_front(stand: &Stand, path: &str) -> Result<String> {
    // Both files are those of the reader's namespace.
    Ok(stand.lab.front.output("cat", &[path]).stdout)
}

fn resident(program: u32) -> Result<u64> {
    let path = format!("/proc/{program}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(number_after(&text, "VmRSS:").with_context(|| format!("{path} has no VmRSS"))? * 1024)
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The sizes of one object of each cache.
fn sizes(caches: &[&str]) -> Result<u64> {
    let text = fs::read_to_string("/proc/slabinfo").context("read /proc/slabinfo")?;
    let size = |cache: &&str| -> Option<u64> {
        let mut columns = text.lines().map(str::split_whitespace).find(|line| line.clone().next() == Some(cache))?;
        // Name, active objects, objects, size.
        columns.nth(3)?.parse().ok()
    };
    // A cache that is merged with another of the same size has no line.
    Ok(caches.iter().filter_map(size).sum())
}

/// The maps that the gateway has pinned; a peer has none.
fn maps(stand: &Stand) -> Result<u64> {
    let mut bytes = 0;
    for version in fs::read_dir(stand.lab.id().pin_directory()).into_iter().flatten().flatten() {
        for pin in fs::read_dir(version.path().join("maps")).into_iter().flatten().flatten() {
            let map = MapData::from_pin(pin.path()).with_context(|| format!("open {}", pin.path().display()))?;
            bytes += accounted(&map)?;
        }
    }
    Ok(bytes)
}
