//! What the packet programs count per backend, in per-CPU maps: sum over CPUs for the value.

/// Packets and bytes of IP packets in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

/// Buckets of [`BackendCounters::handshakes`].
pub const HANDSHAKE_BUCKETS: usize = 17;

/// The first bucket is of times up to 2^5 µs, each other one of times up to twice as long; the last is of all that are
/// longer.
pub const FIRST_HANDSHAKE_BUCKET: u32 = 5;

/// Totals of one backend.
///
/// Layout: traffic 32, counts 32, times and probes 16, handshakes 68, padding 4 = 152 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct BackendCounters {
    /// Traffic by [`super::Direction`].
    pub traffic: [Traffic; 2],
    /// Connections whose handshake completed.
    pub connections: u64,
    /// SYNs given to it, repetitions included; neither what is a duplicate nor what comes after its answer.
    pub attempts: u64,
    /// Attempts that it has answered by a reset.
    pub refused: u64,
    /// Attempts that it had not answered when the client sent its SYN again.
    pub unanswered: u64,
    /// Sum in microseconds of the times that [`Self::handshakes`] counts.
    pub handshake_us: u64,
    /// Source ports looked at until one was free, for all its flows together.
    pub port_probes: u64,
    /// Attempts that it has answered, by the time from the first SYN given to it to its SYN-ACK.
    pub handshakes: [u32; HANDSHAKE_BUCKETS],
    pub reserved: u32,
}
