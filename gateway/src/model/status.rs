//! What the packet side reports: interfaces, table fill, counters.
//!
//! These are part of the JSON of `gateway status --json` and of the control API, so field names are part of the
//! outward contract.

use std::net::SocketAddr;

use gateway_common::abi::{FIRST_HANDSHAKE_BUCKET, HANDSHAKE_BUCKETS};
use serde::{Deserialize, Serialize};

use super::flow::Traffic;

/// The datapath at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatapathStatus {
    pub interfaces: Vec<InterfaceStatus>,
    /// Flows past their handshake.
    pub flows: TableFill,
    /// Flows in their handshake.
    pub half_open: TableFill,
    pub reasons: Vec<ReasonCount>,
    /// The packet programs, one for each hook.
    #[serde(default)]
    pub programs: Vec<ProgramStatus>,
    /// What this daemon's sweeps of the flow tables came to.
    #[serde(default)]
    pub sweeps: SweepTotals,
    /// What the operator ought to know, one sentence each.
    pub warnings: Vec<String>,
}

/// An interface that the datapath is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    pub name: String,
    pub ifindex: u32,
    pub mode: AttachMode,
}

/// How the datapath sees an interface's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttachMode {
    XdpNative,
    XdpGeneric,
    Tc,
}

impl AttachMode {
    /// The name used in the configuration file and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XdpNative => "xdp-native",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        }
    }
}

/// A packet program in the kernel. It is one for all interfaces that it is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStatus {
    pub hook: Hook,
    /// The interfaces it is attached to.
    pub interfaces: Vec<String>,
    /// How often it has run while the kernel counted that, which it does while `kernel.bpf_stats_enabled` is 1.
    pub runs: u64,
    /// How long those runs took, in nanoseconds.
    pub run_time_ns: u64,
}

/// Where in the kernel a packet program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    Xdp,
    Tc,
}

impl Hook {
    /// The name used in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        }
    }
}

/// What the sweeps since the daemon's start came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepTotals {
    pub sweeps: u64,
    /// Flows that were over and have been removed.
    pub removed: u64,
    /// How long all sweeps took, in nanoseconds.
    pub time_ns: u64,
}

/// How full a table of flows is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFill {
    pub open: u64,
    pub capacity: u64,
}

/// How many packets had one outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    pub reason: String,
    pub action: Action,
    pub packets: u64,
}

/// What the datapath does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Goes to the kernel untouched.
    Pass,
    Drop,
    /// Translated and sent on.
    Forward,
    /// Answered by the datapath itself: a reset or an ICMP error.
    Answer,
}

impl Action {
    /// The name used in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Forward => "forward",
            Self::Answer => "answer",
        }
    }
}

/// Everything a backend has carried for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendCounters {
    pub service: String,
    pub backend: SocketAddr,
    /// Connections whose handshake completed.
    pub connections: u64,
    pub open_flows: u64,
    /// Handshakes under way when the flow tables were last swept.
    pub half_open: u64,
    /// Source ports taken towards its address when the flow tables were last swept, of how many there are; services that
    /// share an address share its ports.
    pub source_ports: TableFill,
    /// It is wanted no more, and is here for the connections that it still has.
    pub removed: bool,
    /// SYNs given to it, those that clients repeat included.
    pub attempts: u64,
    /// Attempts that it answered by a reset.
    pub refused: u64,
    /// Attempts that it had not answered when the client sent its SYN again.
    pub unanswered: u64,
    /// How long it took to answer SYNs.
    pub handshakes: Handshakes,
    /// Source ports looked at until one was free, for all its flows together.
    pub port_probes: u64,
    /// From clients to the backend.
    pub original: Traffic,
    /// From the backend to clients.
    pub reply: Traffic,
}

/// The times from the first SYN given to a backend to its SYN-ACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshakes {
    /// Answers by their time: up to [`Self::bound_us`] microseconds and more than the bound before.
    pub buckets: [u64; HANDSHAKE_BUCKETS],
    /// All times together, in microseconds.
    pub sum_us: u64,
}

impl Handshakes {
    /// The upper bound of a bucket; the last one has none.
    pub const fn bound_us(bucket: usize) -> Option<u64> {
        if bucket + 1 < HANDSHAKE_BUCKETS { Some(1 << (FIRST_HANDSHAKE_BUCKET as usize + bucket)) } else { None }
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_from_32_microseconds_to_a_second() {
        let bounds: Vec<_> = (0..HANDSHAKE_BUCKETS).map(Handshakes::bound_us).collect();
        assert_eq!((bounds[0], bounds[1], bounds[15], bounds[16]), (Some(32), Some(64), Some(1 << 20), None));
    }
}
