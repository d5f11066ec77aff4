//! What the packet programs count per backend, in per-CPU maps: sum over CPUs for the value.

/// Packets and bytes of IP packets in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

/// Totals of one backend.
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
}
