//! The maps' keys and values, as both sides of the kernel boundary see them.
//!
//! Every type is `repr(C)`, free of implicit padding, and its size and hot offsets are asserted here at
//! compile time. Addresses and ports are network-order bytes, everything else is in host order. A change of
//! any layout is a change of [`VERSION`].

mod counters;
mod flow;
mod limits;
#[cfg(feature = "aya")]
mod pod;
mod service;
mod settings;
mod syn;
mod tuple;

pub use counters::{BackendCounters, Traffic};
pub use flow::{Direction, Egress, Flow, Hop, Scratch, Seen};
pub use limits::{FRACTION_BITS, Limit, Limits, Source, Usage};
pub use service::{Algorithm, Answer, Backend, Link, MAX_WEIGHT, Service, ServiceKey, Slot};
pub use settings::{MAX_SNAT, Settings, TICK_SHIFT, ticks_from_millis, ticks_from_secs};
pub use syn::{MAX_TRIED, Syn, TCP_HEADER_WORDS};
pub use tuple::{Address, Family, Port, Tuple};

/// Version of all layouts in this module; pinned maps of another version are never adopted.
pub const VERSION: u32 = 2;

const _: () = {
    use core::mem::{offset_of, size_of};

    assert!(size_of::<Tuple>() == 40);
    assert!(size_of::<ServiceKey>() == 24);
    assert!(size_of::<Service>() == 16);
    assert!(size_of::<Backend>() == 32);
    assert!(size_of::<Slot>() == 4);
    assert!(size_of::<Link>() == 8);
    assert!(size_of::<Hop>() == 24);
    // The kernel's hash table element is 48 bytes of header, then the key, then the value: 192. The allocator's list
    // node makes it 200, which takes an object of 256.
    assert!(size_of::<Flow>() == 104);
    assert!(48 + size_of::<Tuple>() + size_of::<Flow>() == 3 * 64);
    assert!(offset_of!(Flow, hop) == 40);
    assert!(offset_of!(Flow, bytes) == 64);
    assert!(size_of::<BackendCounters>() == 64);
    assert!(size_of::<Syn>() == 128);
    assert!(size_of::<Settings>() == 32);
    assert!(size_of::<Limits>() == 56);
    assert!(size_of::<Usage>() == 16);
    assert!(size_of::<Source>() == 24);
};
