//! What the datapath would do with a client's SYN, and why.
//!
//! This is the JSON of `gateway explain --json` and of the control API, so field names are part of the outward contract.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{
    Algorithm, Answer, BackendState,
    flow::Flow,
    status::{Action, AttachMode, Hook, TableFill},
};

/// The way of one SYN, as far as it would go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub verdict: Verdict,
    /// What comes of it when the client acknowledges the cookie that is its answer; absent where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Verdict>,
    /// Where it comes in; absent where no route leads to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// The flow that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Target>,
    /// How full the flow table is.
    pub flows: TableFill,
    pub cookies: Cookies,
    /// Limits of the service that apply to this client.
    pub limits: Vec<LimitUse>,
    /// All backends of the service.
    pub candidates: Vec<Candidate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<NextHop>,
}

impl Explanation {
    /// Of a SYN for no service and of no flow.
    pub const fn new(from: SocketAddr, to: SocketAddr, verdict: Verdict, flows: TableFill, cookies: Cookies) -> Self {
        Self {
            from,
            to,
            verdict,
            acknowledged: None,
            ingress: None,
            flow: None,
            service: None,
            flows,
            cookies,
            limits: Vec::new(),
            candidates: Vec::new(),
            choice: None,
            source: None,
            next_hop: None,
        }
    }
}

/// What becomes of the SYN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The counter that would rise.
    pub reason: String,
    pub action: Action,
    /// The reason as a sentence.
    pub meaning: String,
    /// The program that decides.
    pub hook: Hook,
}

/// The interface that packets of the client come in by: the one that the route to it leaves by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingress {
    pub interface: String,
    /// Absent where the datapath is not attached: it would not see the SYN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AttachMode>,
}

/// The service that the SYN is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub name: String,
    pub algorithm: Algorithm,
    /// What a SYN gets where no backend can be used.
    pub no_backend: Answer,
    /// Size of its Maglev table.
    pub places: u32,
}

/// SYN cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cookies {
    /// `auto`, `off` or `always`, as configured.
    pub when: CookieRule,
    /// This SYN is answered by one.
    pub sent: bool,
}

/// When SYNs are answered by cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CookieRule {
    Auto,
    Off,
    Always,
}

/// What is used of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitUse {
    pub limit: LimitName,
    pub used: u64,
    pub allowed: u64,
}

/// The limits of a service, by their names in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitName {
    Connections,
    ConnectionsPerSource,
    NewPerSecond,
    NewPerSecondPerSource,
}

impl LimitName {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerSource => "connections_per_source",
            Self::NewPerSecond => "new_per_second",
            Self::NewPerSecondPerSource => "new_per_second_per_source",
        }
    }
}

/// A backend of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub backend: SocketAddr,
    pub weight: u16,
    pub state: BackendState,
    /// Places of the Maglev table that are its.
    pub places: u32,
    pub open_flows: u64,
    /// Why it gets no new connections; absent where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<Unused>,
}

/// Why a backend gets no new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unused {
    /// It has not answered yet, or its deployment has not switched.
    Starting,
    Draining,
    /// It does not answer.
    Down,
    /// It is of the other version of the Internet Protocol than the client.
    OtherFamily,
}

/// The backend that the SYN would go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub backend: SocketAddr,
    pub by: Rule,
    /// Places of the Maglev table that were looked at, in their order.
    pub places: Vec<u32>,
    /// What is in those places.
    pub drawn: Vec<SocketAddr>,
    /// Chance had a part in it: the next SYN may go elsewhere.
    pub random: bool,
}

/// What decided for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// It is the backend of the flow there is.
    Flow,
    /// The hash of both addresses and ports.
    Tuple,
    /// The hash of the client's address.
    Address,
    /// The fewer open flows for its weight, of two that are drawn by weight.
    FewerFlows,
    /// The backend before has refused or not answered the SYN, or no source port was left towards it: drawn by weight.
    Elsewhere,
}

/// The source that the backend would see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The address and port of the flow there is, or the one that this trial came to. Absent where none is to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// It is drawn anew for each SYN.
    pub random: bool,
    /// What it is drawn from.
    pub addresses: Vec<IpAddr>,
    /// First and last, as in `40000-65535`.
    pub ports: String,
    /// Addresses and ports that are taken towards the backend, of how many, by the latest sweep.
    pub taken: TableFill,
}

/// Where the packet would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    pub interface: String,
    /// The router, or the backend itself.
    pub address: IpAddr,
    /// Absent while it is not known: the kernel asks for it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// State of the kernel's neighbour entry: `reachable`, `stale`, `permanent` and so on; `none` where there is none.
    pub neighbour: String,
    /// In bytes.
    pub mtu: u32,
    /// The program that sends it.
    pub by: Hook,
}
