//! The maps and the host, as the core sees them.

use super::{Reason, cookie, open, select};
use crate::abi::{
    Address, Backend, BackendCounters, Change, Flow, Limits, Scratch, Service, ServiceKey, Settings, Slot, Source, Syn,
    Tuple, Usage, Watched,
};

/// Why a flow table did not take an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    Exists,
    Full,
}

/// A table of flow directions. Insertion never replaces: it is how a tuple is allocated.
pub trait FlowTable {
    /// The entry in place. A caller uses one reference to an entry at a time.
    #[expect(clippy::mut_from_ref, reason = "map memory, which the kernel shares between CPUs as well")]
    fn get(&self, tuple: &Tuple) -> Option<&mut Flow>;
    /// Inserts a copy of `flow` by its `from`.
    fn insert(&self, flow: &Flow) -> Result<(), InsertError>;
    fn remove(&self, tuple: &Tuple);
}

/// Everything a decision depends on beside the packet.
pub trait Tables: Sized {
    type Flows: FlowTable;
    type HalfOpen: FlowTable;

    /// Flows whose handshake is complete.
    fn flows(&self) -> &Self::Flows;
    /// Flows whose handshake is not; bounded, and may forget the least recently used.
    fn half_open(&self) -> &Self::HalfOpen;

    fn settings(&self) -> &Settings;
    /// Time in ticks, see [`crate::abi::TICK_SHIFT`].
    fn now(&self) -> u32;
    /// Microseconds of a clock that is exact and never goes back; read for a handshake's packets alone.
    fn micros(&self) -> u32;
    fn random(&self) -> u32;

    fn service(&self, key: &ServiceKey) -> Option<&Service>;
    fn slot(&self, index: u32) -> Option<Slot>;
    fn backend(&self, index: u32) -> Option<&Backend>;
    /// Room for the entries of a flow that is being opened, for which a BPF stack is too small. A caller uses one
    /// reference to it at a time.
    #[expect(clippy::mut_from_ref, reason = "map memory of this CPU")]
    fn scratch(&self) -> Option<&mut Scratch>;
    fn snat(&self, index: u32) -> Option<&Address>;

    /// Flows that are not finished, per backend; index 0 counts all flows in the table, finished ones included, but
    /// not tuples that rest. Closes that race can take a count below zero until a sweep sets it right.
    fn open_flows(&self, backend: u32) -> i64;
    fn add_open_flows(&self, backend: u32, change: i64);
    fn limits(&self, service: u32) -> Option<&Limits>;
    /// What a service with limits has used, in place. A caller uses one reference to it at a time.
    #[expect(clippy::mut_from_ref, reason = "map memory, which the kernel shares between CPUs as well")]
    fn total_usage(&self, service: u32) -> Option<&mut Usage>;
    /// What a source has used, in place, as far as it is not forgotten. A caller uses one reference to it at a time.
    #[expect(clippy::mut_from_ref, reason = "map memory, which the kernel shares between CPUs as well")]
    fn source_usage(&self, source: &Source) -> Option<&mut Usage>;
    /// Sees to it that a source has an account.
    fn open_account(&self, source: &Source);
    /// Adds to a number of [`Usage`], atomically.
    fn add(&self, number: &mut i64, change: i64);

    /// This CPU's totals of a backend, in place. A caller uses one reference to them at a time.
    #[expect(clippy::mut_from_ref, reason = "map memory of this CPU")]
    fn counters(&self, backend: u32) -> Option<&mut BackendCounters>;
    /// The place where a SYN whose tuple has this hash is remembered. A caller uses one reference to it at a time.
    #[expect(clippy::mut_from_ref, reason = "map memory, which the kernel shares between CPUs as well")]
    fn syn(&self, hash: u32) -> Option<&mut Syn>;

    /// When the SYNs that wait for their clients would have drained, in units of 2^-32 tick, of a backend or (0) of all; in
    /// place. A caller uses one reference to it at a time.
    #[expect(clippy::mut_from_ref, reason = "map memory, which the kernel shares between CPUs as well")]
    fn pressure(&self, backend: u32) -> Option<&mut i64>;

    /// Leaves word of a flow's change for whoever watches.
    #[inline(always)]
    fn note(&self, change: Change) {
        if self.settings().watched != Watched::NOTHING
            && let Some(scratch) = self.scratch()
        {
            scratch.change = change;
        }
    }

    /// The hash of a SYN cookie. A method, as is [`Self::open`].
    #[inline(always)]
    fn hash_cookie(&self, tuple: &Tuple, isn: u32, salt: u32) -> u32 {
        cookie::hash(tuple, isn, salt, &self.settings().cookie_key)
    }

    /// Opens the flow that was prepared. A method, as is the next one, so that a packet program can make it a function that
    /// is verified on its own, and not once for each way that leads there.
    #[inline(always)]
    fn open(&self, tuple: &Tuple) -> Result<(), Reason> {
        open::open(self, tuple)
    }

    /// Draws another backend of a service than `present`, by its index, see [`select::another`].
    #[inline(always)]
    fn another(&self, service: &Service, present: u32, repeats: bool) -> u32 {
        select::another(self, service, present, repeats)
    }
}
