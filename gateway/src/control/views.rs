//! The JSON that the control API answers with; the requests are in [`model::change`](crate::model::change).
//!
//! Field names are part of the outward contract (`docs/api.md`).

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    lifecycle::{Entry, Site},
    model::{
        Backend, BackendState, Deployment, Drain, Health, HealthReport, HealthStatus, Limits, Listen, Owner, Policy,
        Process, Service,
        flow::{FlowFilter, FlowOrder, FlowSort, FlowState, Traffic},
        status::{BackendCounters, DatapathStatus, Handshakes},
    },
};

/// A service as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    pub name: String,
    pub owner: Owner,
    /// `tcp://HOST:PORT` for clients.
    pub url: String,
    pub listen: Vec<Listen>,
    /// The addresses that `listen` stands for on this front server.
    pub addresses: Vec<SocketAddr>,
    #[serde(flatten)]
    pub policy: Policy,
    pub health: Health,
    pub limits: Limits,
    /// The latest deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    pub backends: Vec<BackendView>,
}

/// A backend as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendView {
    pub service: String,
    pub address: SocketAddr,
    pub weight: u16,
    pub state: BackendState,
    /// What probes say; absent where they say nothing: of a service without them, or of a backend that has drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// What it has carried for the service; absent in the answer to a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
}

/// Totals of a backend since the packet tables were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections whose handshake completed.
    pub connections: u64,
    /// SYNs given to it, those that clients repeat included.
    pub attempts: u64,
    /// Attempts that it answered by a reset.
    pub refused: u64,
    /// Attempts that it had not answered when the client sent its SYN again.
    pub unanswered: u64,
    /// How long it took to answer SYNs.
    #[serde(default)]
    pub handshakes: Handshakes,
    /// Source ports looked at until one was free, for all its flows together.
    #[serde(default)]
    pub port_probes: u64,
    pub open_flows: u64,
    /// Handshakes under way when the flow tables were last swept.
    #[serde(default)]
    pub half_open: u64,
    /// From clients to the backend.
    pub original: Traffic,
    /// From the backend to clients.
    pub reply: Traffic,
}

/// The gateway at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    pub version: String,
    pub uptime_seconds: u64,
    pub services: ServiceCount,
    pub backends: BackendCount,
    #[serde(flatten)]
    pub datapath: DatapathStatus,
}

/// Services by owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceCount {
    pub file: usize,
    pub control: usize,
}

/// Backends by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendCount {
    pub starting: usize,
    /// Those that are down among them.
    pub active: usize,
    /// Active, but without connections because they do not answer.
    pub down: usize,
    pub draining: usize,
}

/// The arguments of a listing of backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendQuery {
    /// Absent: every service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// The arguments of a stream of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// Only those after the event with this number; absent: all that are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Go on with those to come.
    pub follow: bool,
}

/// Whose connection is asked for: where it comes from, and goes to, as the backend sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhoQuery {
    pub snat: SocketAddr,
    pub backend: SocketAddr,
}

/// The arguments of a stream of sightings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SightingQuery {
    /// Packets, as they come and as they leave.
    pub packets: bool,
    /// Only those of this client; absent: of all, but for what is none of the gateway's business.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Bytes of each frame.
    pub snap: u32,
    /// Flows that open and close.
    pub flows: bool,
}

/// The arguments of a listing of flows; an absent field matches every flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowQuery {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<FlowState>,
    /// Absent: the first that are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<FlowSort>,
    /// Sorts the other way round.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reverse: bool,
    /// Most flows to list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl FlowQuery {
    pub fn into_filter(self) -> FlowFilter {
        let Self { service, backend, client, state, sort: _, reverse: _, limit: _ } = self;
        FlowFilter { service, backend, client, state }
    }

    pub fn order(&self) -> Option<FlowOrder> {
        self.sort.map(|by| FlowOrder { by, reversed: self.reverse })
    }
}

/// The arguments of an explanation: the two ends of the SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// The client.
    pub from: SocketAddr,
    /// The service.
    pub to: SocketAddr,
}

impl ExplainQuery {
    /// Both ends, IPv4 as IPv4 however it was written. An error says why no SYN can be between them.
    pub fn ends(&self) -> Result<(SocketAddr, SocketAddr), String> {
        let [from, to] = [self.from, self.to].map(|end| SocketAddr::new(end.ip().to_canonical(), end.port()));
        match (from, to) {
            _ if from.is_ipv4() != to.is_ipv4() => {
                Err(format!("{from} and {to} are of two versions of the Internet Protocol"))
            }
            _ if from.port() == 0 || to.port() == 0 => Err("no SYN has port 0".to_owned()),
            ends => Ok(ends),
        }
    }
}

impl ServiceView {
    /// A service with its backends' health and counters.
    pub(super) fn new(
        site: &Site,
        entry: &Entry,
        health: impl Fn(SocketAddr) -> Option<HealthReport>,
        counters: impl Fn(SocketAddr) -> Option<Counters>,
    ) -> Self {
        let Service { name, listen, policy, health: probes, limits, backends } = entry.service();
        let backends = backends.iter().map(|backend| {
            let health = health(backend.address);
            BackendView {
                service: name.clone(),
                address: backend.address,
                weight: backend.weight,
                state: state(backend, health.as_ref()),
                health,
                process: backend.process.clone(),
                deployment: backend.deployment.clone(),
                drain: backend.drain.clone(),
                counters: counters(backend.address),
            }
        });
        Self {
            name: name.clone(),
            owner: entry.owner(),
            url: url(site, &entry.resolved.listen),
            listen: listen.clone(),
            addresses: entry.resolved.listen.clone(),
            policy: policy.clone(),
            health: probes.clone(),
            limits: limits.clone(),
            deployment: entry.deployment().cloned(),
            backends: backends.collect(),
        }
    }

    /// Its backends that get new connections.
    pub fn in_use(&self) -> usize {
        self.backends.iter().filter(|backend| backend.is_in_use()).count()
    }

    /// Connections that are open through it.
    pub fn open_flows(&self) -> u64 {
        self.backends.iter().filter_map(|backend| backend.counters).map(|counters| counters.open_flows).sum()
    }

    /// Connections it has accepted.
    pub fn connections(&self) -> u64 {
        self.backends.iter().filter_map(|backend| backend.counters).map(|counters| counters.connections).sum()
    }
}

impl BackendView {
    /// Whether it gets new connections.
    fn is_in_use(&self) -> bool {
        self.state == BackendState::Active && self.health.as_ref().is_none_or(|health| health.status.is_usable())
    }
}

/// The state for people: one that has yet to answer for the first time is starting.
pub(super) fn state(backend: &Backend, health: Option<&HealthReport>) -> BackendState {
    match (backend.state, health) {
        (BackendState::Active, Some(HealthReport { status: HealthStatus::Starting, .. })) => BackendState::Starting,
        (state, _) => state,
    }
}

/// Where clients reach a service: its first address, by the front server's name if it has one.
fn url(site: &Site, listen: &[SocketAddr]) -> String {
    match (listen, &site.hostname) {
        ([], _) => String::new(),
        ([first, ..], Some(hostname)) => format!("tcp://{hostname}:{}", first.port()),
        ([first, ..], None) => format!("tcp://{first}"),
    }
}

impl From<&BackendCounters> for Counters {
    fn from(counters: &BackendCounters) -> Self {
        let BackendCounters { connections, attempts, refused, unanswered, open_flows, half_open, .. } = *counters;
        let BackendCounters { handshakes, port_probes, original, reply, .. } = *counters;
        Self {
            connections,
            attempts,
            refused,
            unanswered,
            handshakes,
            port_probes,
            open_flows,
            half_open,
            original,
            reply,
        }
    }
}
