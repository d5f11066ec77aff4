//! The maps' keys and values, as both sides of the kernel boundary see them.
//!
//! Every type is `repr(C)`, free of implicit padding, and its size and hot offsets are asserted here at
//! compile time. Addresses and ports are network-order bytes, everything else is in host order. A change of
//! any layout is a change of [`VERSION`].

mod bucket;
mod counters;
mod flow;
mod limits;
#[cfg(feature = "aya")]
mod pod;
mod service;
mod settings;
mod sighting;
mod syn;
mod tuple;

pub use bucket::{Bucket, Head, REACH, SLOTS, Tag, buckets_for, entries_in};
pub use counters::{BackendCounters, FIRST_HANDSHAKE_BUCKET, HANDSHAKE_BUCKETS, Traffic};
pub use flow::{Change, Client, Direction, Egress, Flow, Hop, Ifindex, Retry, Scratch, Seen, Volume};
pub use limits::{FRACTION_BITS, Limit, Limits, Source, Usage};
pub use service::{Algorithm, Answer, Backend, Link, MAX_WEIGHT, Service, ServiceKey, Slot};
pub use settings::{Cookies, MAX_SNAT, Settings, TICK_SHIFT, ticks_from_millis, ticks_from_secs};
pub use sighting::{Kind as SightingKind, SNAP, Sighting, Watch, Watched};
pub use syn::{MAX_TRIED, Syn, TCP_HEADER_WORDS};
pub use tuple::{Address, Family, Port, Tuple};

/// Version of all layouts in this module; pinned maps of another version are never adopted.
pub const VERSION: u32 = 6;

const _: () = {
    use core::mem::{offset_of, size_of};

    assert!(size_of::<Tuple>() == 36);
    assert!(size_of::<ServiceKey>() == 24);
    assert!(size_of::<Service>() == 16);
    assert!(size_of::<Backend>() == 32);
    assert!(size_of::<Slot>() == 4);
    assert!(size_of::<Link>() == 8);
    assert!(size_of::<Hop>() == 22);
    assert!(size_of::<Flow>() == 128);
    assert!(offset_of!(Flow, hop) == 104);
    assert!(size_of::<Bucket>() == 2048);
    assert!(offset_of!(Bucket, flows) == size_of::<Flow>());
    assert!(size_of::<BackendCounters>() == 152);
    assert!(size_of::<Syn>() == 128);
    assert!(size_of::<Settings>() == 100);
    assert!(size_of::<Watch>() == 32);
    assert!(size_of::<Sighting>() == 136);
    assert!(size_of::<Limits>() == 56);
    assert!(size_of::<Usage>() == 16);
    assert!(size_of::<Source>() == 24);
};
