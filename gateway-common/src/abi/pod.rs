//! The layouts as values that aya copies in and out of maps.
#![expect(unsafe_code, reason = "the promise that map values have no padding and no invalid bytes")]

use aya::Pod;

use super::{
    Address, Backend, BackendCounters, Bucket, Flow, Limits, Link, Service, ServiceKey, Settings, Slot, Source, Syn,
    Tuple, Usage, Watch,
};

macro_rules! pod {
    ($($layout:ty),+ $(,)?) => {
        // SAFETY: `repr(C)` without implicit padding; the enumerations within are written by this crate alone, and
        // an entry that was never written is all zeros, which is a value of each.
        $(unsafe impl Pod for $layout {})+
    };
}

pod!(
    Address,
    Backend,
    BackendCounters,
    Bucket,
    Flow,
    Limits,
    Link,
    Service,
    ServiceKey,
    Settings,
    Slot,
    Source,
    Syn,
    Tuple,
    Usage,
    Watch,
);
