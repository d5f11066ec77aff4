//! The packet side as the control plane sees it.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use crate::model::{
    Answer, Service,
    explanation::Explanation,
    flow::{Flow, FlowFilter, FlowOrder, FlowPage},
    sighting::{Sighting, Wanted},
    status::{BackendCounters, DatapathStatus, ReasonCount},
};

/// A service with the concrete addresses it listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedService {
    pub service: Service,
    pub listen: Vec<SocketAddr>,
    /// Backends that get no new connections for now because they do not answer.
    pub down: BTreeSet<SocketAddr>,
}

/// The tables that the datapath reads.
pub trait PacketTables: Send + Sync + 'static {
    /// Makes the packet tables so: all services, sorted by name, each name and each listen address once.
    ///
    /// Atomic per service for packets; a service that is as before is not touched, and one that is the very same
    /// `Arc` as before need not be compared. After an error any part may be in force: the engine applies the state
    /// before once more.
    fn apply(&mut self, services: &[Arc<ResolvedService>]) -> anyhow::Result<()>;

    /// Visits the flow table and keeps the first `limit` flows that match, by `order` or any.
    fn flows(&self, filter: &FlowFilter, order: Option<FlowOrder>, limit: usize) -> anyhow::Result<FlowPage>;

    /// The flow that a backend sees as a connection from `snat`, at once.
    fn who(&self, snat: SocketAddr, backend: SocketAddr) -> anyhow::Result<Option<Flow>>;

    /// Ends all flows of a backend, which is to get no new ones, and returns how many were open. `Answer::Reset` tells
    /// both ends of each at once; `Answer::Drop` only stops what they send.
    fn cut(&mut self, service: &str, backend: SocketAddr, answer: Answer) -> anyhow::Result<u64>;

    /// Flows of a backend that are not finished. Cheap enough to be asked for often.
    fn open_flows(&self, service: &str, backend: SocketAddr) -> u64;

    /// Totals of every backend that the tables know.
    fn backend_counters(&self) -> anyhow::Result<Vec<BackendCounters>>;

    /// What would become of a SYN between these addresses, which are of one family. Changes nothing.
    fn explain(&self, from: SocketAddr, to: SocketAddr) -> anyhow::Result<Explanation>;

    /// Packets by reason, which [`status`](Self::status) has too. Cheap enough to be asked for every second.
    fn reasons(&self) -> anyhow::Result<Vec<ReasonCount>>;

    /// Has the datapath show this, and nothing else; `None`: nothing.
    fn watch(&mut self, wanted: Option<&Wanted>) -> anyhow::Result<()>;

    /// What it has shown since the last call, or the first of it.
    fn take_sightings(&mut self) -> anyhow::Result<Vec<Sighting>>;

    /// Interfaces with the mode in force, table fill, packets by reason, warnings.
    fn status(&self) -> anyhow::Result<DatapathStatus>;
}
