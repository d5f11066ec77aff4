//! The maps as the core's `Tables`.

#[cfg_attr(not(feature = "hash-flows"), path = "tables/buckets.rs")]
#[cfg_attr(feature = "hash-flows", path = "tables/hash.rs")]
mod flows;

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
};
use gateway_common::{
    abi::{
        Address, Backend, BackendCounters, Limits, Scratch, Service, ServiceKey, Settings, Slot, Source, Syn,
        TICK_SHIFT, Tuple, Usage,
    },
    nat::{self, Network, Reason, Tables},
};

use crate::maps::{
    BACKENDS, COUNTERS, HEADERS, LIMITS, OPEN_FLOWS, PRESSURE, SCRATCH, SERVICES, SETTINGS, SLOTS, SNAT, SOURCE_USAGE,
    SYNS, SYNS_LEN, TOTAL_USAGE,
};

/// The maps of this program, with the settings looked up once for a packet.
pub struct KernelTables {
    settings: &'static Settings,
}

impl KernelTables {
    /// The maps, and work space for a packet's headers. None only on a kernel that has lost an array's first element.
    #[inline(always)]
    pub fn new() -> Option<(Self, &'static mut Network)> {
        let settings = SETTINGS.get(0)?;
        // SAFETY: a per-CPU value, and a program does not interrupt another on its CPU.
        let headers = unsafe { &mut *HEADERS.get_ptr_mut(0)? };
        Some((Self { settings }, headers))
    }
}

impl Tables for KernelTables {
    type Flows = flows::Flows;
    type HalfOpen = flows::HalfOpen;

    #[inline(always)]
    fn flows(&self) -> &Self::Flows {
        &flows::Flows
    }

    #[inline(always)]
    fn half_open(&self) -> &Self::HalfOpen {
        &flows::HalfOpen
    }

    #[inline(always)]
    fn settings(&self) -> &Settings {
        self.settings
    }

    #[inline(always)]
    fn now(&self) -> u32 {
        // SAFETY: no preconditions.
        (unsafe { bpf_ktime_get_coarse_ns() } >> TICK_SHIFT) as u32
    }

    #[inline(always)]
    fn micros(&self) -> u32 {
        // SAFETY: no preconditions.
        (unsafe { bpf_ktime_get_ns() } / 1_000) as u32
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        // SAFETY: no preconditions.
        unsafe { bpf_get_prandom_u32() }
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<&Service> {
        // SAFETY: not preallocated, so an element is never reused while a program reads it.
        unsafe { SERVICES.get(key) }
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<Slot> {
        SLOTS.get(index).copied()
    }

    #[inline(always)]
    fn backend(&self, index: u32) -> Option<&Backend> {
        BACKENDS.get(index)
    }

    #[inline(always)]
    fn scratch(&self) -> Option<&mut Scratch> {
        let scratch = SCRATCH.get_ptr_mut(0)?;
        // SAFETY: a per-CPU value, and a program does not interrupt another on its CPU.
        Some(unsafe { &mut *scratch })
    }

    #[inline(always)]
    fn snat(&self, index: u32) -> Option<&Address> {
        SNAT.get(index)
    }

    #[inline(always)]
    fn open_flows(&self, backend: u32) -> i64 {
        OPEN_FLOWS.get(backend).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn add_open_flows(&self, backend: u32, change: i64) {
        if let Some(open) = OPEN_FLOWS.get_ptr_mut(backend) {
            // SAFETY: map memory, only ever changed atomically.
            self.add(unsafe { &mut *open }, change);
        }
    }

    #[inline(always)]
    fn limits(&self, service: u32) -> Option<&Limits> {
        // SAFETY: not preallocated, so an element is never reused while a program reads it.
        unsafe { LIMITS.get(service) }
    }

    #[inline(always)]
    fn total_usage(&self, service: u32) -> Option<&mut Usage> {
        let usage = TOTAL_USAGE.get_ptr_mut(service)?;
        // SAFETY: map memory that RCU keeps alive while the program runs; changed atomically where it matters.
        Some(unsafe { &mut *usage })
    }

    #[inline(always)]
    fn source_usage(&self, source: &Source) -> Option<&mut Usage> {
        let usage = SOURCE_USAGE.get_ptr_mut(source)?;
        // SAFETY: as above.
        Some(unsafe { &mut *usage })
    }

    #[inline(always)]
    fn open_account(&self, source: &Source) {
        // It exists already, or another CPU makes it.
        let _ = SOURCE_USAGE.insert(source, Usage::default(), u64::from(BPF_NOEXIST));
    }

    #[inline(always)]
    fn add(&self, number: &mut i64, change: i64) {
        // `core::sync::atomic` has no arithmetic for this target, which lacks compare-and-swap before instruction
        // set v3; addition it has always had.
        // SAFETY: aligned, and behind a unique reference as far as this program is concerned.
        unsafe { atomic_xadd::<i64, i64, { AtomicOrdering::Relaxed }>(number, change) };
    }

    #[inline(always)]
    fn counters(&self, backend: u32) -> Option<&mut BackendCounters> {
        let counters = COUNTERS.get_ptr_mut(backend)?;
        // SAFETY: a per-CPU value, and a program does not interrupt another on its CPU.
        Some(unsafe { &mut *counters })
    }

    #[inline(always)]
    fn syn(&self, hash: u32) -> Option<&mut Syn> {
        let syn = SYNS.get_ptr_mut(hash & (SYNS_LEN - 1))?;
        // SAFETY: map memory. Where CPUs race for a place, its tuple or its checksum shows it.
        Some(unsafe { &mut *syn })
    }

    #[inline(always)]
    fn pressure(&self, backend: u32) -> Option<&mut i64> {
        let due = PRESSURE.get_ptr_mut(backend)?;
        // SAFETY: map memory, changed atomically but where it starts anew.
        Some(unsafe { &mut *due })
    }

    #[inline(always)]
    fn hash_cookie(&self, tuple: &Tuple, isn: u32, salt: u32) -> u32 {
        hash_syn_cookie(tuple, isn, salt)
    }

    #[inline(always)]
    fn open(&self, tuple: &Tuple) -> Result<(), Reason> {
        match open_flow(tuple) {
            OPENED => Ok(()),
            PORTS_EXHAUSTED => Err(Reason::PortsExhausted),
            PORT_SHARE_USED => Err(Reason::PortShareUsed),
            _ => Err(Reason::OpenRace),
        }
    }

    #[inline(always)]
    fn another(&self, service: &Service, present: u32, repeats: bool) -> u32 {
        another_backend(service, present, repeats.into())
    }
}

const OPENED: u32 = 0;
const PORTS_EXHAUSTED: u32 = 1;
const PORT_SHARE_USED: u32 = 2;
const RACED: u32 = 3;

// Global functions, which the verifier looks at once.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn open_flow(tuple: *const Tuple) -> u32 {
    // SAFETY: null, or what the verifier has made sure of.
    let (Some((tables, _)), Some(tuple)) = (KernelTables::new(), unsafe { tuple.as_ref() }) else { return RACED };
    match nat::open(&tables, tuple) {
        Ok(()) => OPENED,
        Err(Reason::PortsExhausted) => PORTS_EXHAUSTED,
        Err(Reason::PortShareUsed) => PORT_SHARE_USED,
        Err(_) => RACED,
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn another_backend(service: *const Service, present: u32, repeats: u32) -> u32 {
    // SAFETY: null, or what the verifier has made sure of.
    let (Some((tables, _)), Some(service)) = (KernelTables::new(), unsafe { service.as_ref() }) else { return 0 };
    nat::another(&tables, service, present, repeats != 0)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn hash_syn_cookie(tuple: *const Tuple, isn: u32, salt: u32) -> u32 {
    // SAFETY: null, or what the verifier has made sure of.
    let (Some(settings), Some(tuple)) = (SETTINGS.get(0), unsafe { tuple.as_ref() }) else { return 0 };
    nat::hash_cookie(tuple, isn, salt, &settings.cookie_key)
}
