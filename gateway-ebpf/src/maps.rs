//! The maps, with their sizes for a host that configures none: the loader resizes them before creation.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, bpf_fib_lookup as FibLookup},
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
#[cfg(not(feature = "hash-flows"))]
use gateway_common::abi::Bucket;
#[cfg(feature = "hash-flows")]
use gateway_common::abi::{Flow, Tuple};
use gateway_common::{
    abi::{
        Address, Backend, BackendCounters, Limits, Link, MAX_SNAT, Scratch, Service, ServiceKey, Settings, Slot,
        Source, Syn, Usage, Watch,
    },
    nat::{Network, Reason},
};

use crate::watch::Shown;

/// Number of reason counters: one block for each [`Hook`].
const REASONS_LEN: u32 = 2 * Reason::COUNT as u32;

/// Which program counted.
#[derive(Clone, Copy)]
pub enum Hook {
    Xdp = 0,
    Tc = 1,
}

/// Established flows, an entry for each direction, in buckets.
#[cfg(not(feature = "hash-flows"))]
#[map]
pub static FLOWS: Array<Bucket> = Array::with_max_entries(1 << 18, BPF_F_MMAPABLE);

/// Established flows, an entry for each direction. Not preallocated: memory follows use.
#[cfg(feature = "hash-flows")]
#[map]
pub static FLOWS: HashMap<Tuple, Flow> = HashMap::with_max_entries(1 << 21, BPF_F_NO_PREALLOC);

/// Half-open flows, an entry for each direction. A SYN flood pushes out only others of its kind.
#[cfg(not(feature = "hash-flows"))]
#[map]
pub static HALF_OPEN: Array<Bucket> = Array::with_max_entries(1 << 14, BPF_F_MMAPABLE);

/// Half-open flows, an entry for each direction. A SYN flood pushes out only others of its kind.
#[cfg(feature = "hash-flows")]
#[map]
pub static HALF_OPEN: LruHashMap<Tuple, Flow> = LruHashMap::with_max_entries(1 << 17, 0);

/// Number of places in [`SYNS`], a power of two: a place holds for 0.1 s in a flood of 100,000 SYNs a second.
pub const SYNS_LEN: u32 = 1 << 14;

/// SYNs by the hash of their tuples.
#[map]
pub static SYNS: Array<Syn> = Array::with_max_entries(SYNS_LEN, 0);

/// Listen addresses. Not preallocated, so that an update swaps the whole value under RCU.
#[map]
pub static SERVICES: HashMap<ServiceKey, Service> = HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

/// The Maglev tables of all services, each a region that its [`Service`] names.
#[map]
pub static SLOTS: Array<Slot> = Array::with_max_entries(1 << 22, BPF_F_MMAPABLE);

/// Backends by index; index 0 is none.
#[map]
pub static BACKENDS: Array<Backend> = Array::with_max_entries(1 << 16, BPF_F_MMAPABLE);

/// Open flows by backend; index 0 counts all flows in the table.
#[map]
pub static OPEN_FLOWS: Array<i64> = Array::with_max_entries(1 << 16, BPF_F_MMAPABLE);

/// SYNs that wait for their clients, by backend; index 0 is of all.
#[map]
pub static PRESSURE: Array<i64> = Array::with_max_entries(1 << 16, 0);

/// Totals by backend.
#[map]
pub static COUNTERS: PerCpuArray<BackendCounters> = PerCpuArray::with_max_entries(1 << 16, 0);

/// Limits by the identifier of their service. Not preallocated, so that an update swaps the whole value under RCU.
#[map]
pub static LIMITS: HashMap<u32, Limits> = HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

/// What services with limits have used.
#[map]
pub static TOTAL_USAGE: HashMap<u32, Usage> = HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

/// What their sources have used. Who has not connected for long may be forgotten.
#[map]
pub static SOURCE_USAGE: LruHashMap<Source, Usage> = LruHashMap::with_max_entries(1 << 16, 0);

/// Packets by [`Hook`] and [`Reason`].
#[map]
pub static REASONS: PerCpuArray<u64> = PerCpuArray::with_max_entries(REASONS_LEN, 0);

/// Source addresses: IPv4 from 0, IPv6 from [`MAX_SNAT`].
#[map]
pub static SNAT: Array<Address> = Array::with_max_entries(2 * MAX_SNAT, 0);

/// Interfaces by ifindex.
#[map]
pub static LINKS: HashMap<u32, Link> = HashMap::with_max_entries(4096, 0);

#[map]
pub static SETTINGS: Array<Settings> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Who watches.
#[map]
pub static WATCH: Array<Watch> = Array::with_max_entries(1, 0);

/// What is shown to them: for a second or so of a fast transfer.
#[map]
pub static SIGHTINGS: RingBuf = RingBuf::with_byte_size(1 << 22, 0);

/// Work space for what is shown.
#[map]
pub static SHOWN: PerCpuArray<Shown> = PerCpuArray::with_max_entries(1, 0);

/// Work space of the program that runs on a CPU.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Work space for a packet's headers.
#[map]
pub static HEADERS: PerCpuArray<Network> = PerCpuArray::with_max_entries(1, 0);

/// Parameters and result of a route lookup, for want of room on the stack: on Linux 6.1 a function's frame counts as a
/// multiple of 32 bytes.
#[map]
pub static FIB_LOOKUP: PerCpuArray<FibLookup> = PerCpuArray::with_max_entries(1, 0);

/// Counts one packet.
#[inline(always)]
pub fn count(hook: Hook, reason: Reason) {
    if let Some(packets) = REASONS.get_ptr_mut(hook as u32 * Reason::COUNT as u32 + reason as u32) {
        // SAFETY: a per-CPU value, and a program does not interrupt another on its CPU.
        unsafe { *packets += 1 };
    }
}
