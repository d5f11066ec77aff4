//! Open flows as the operator sees them: one per translated connection.
//!
//! These are the JSON of `gateway flows --json` and of the control API, so field names are part of the outward
//! contract.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// One translated connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    pub service: String,
    pub backend: SocketAddr,
    pub client: SocketAddr,
    /// The service address that the client connected to.
    pub public: SocketAddr,
    /// The front server's internal address that the backend sees as its peer.
    pub snat: SocketAddr,
    pub state: FlowState,
    /// Seconds since the flow was opened.
    pub age_seconds: u64,
    /// Seconds since its last segment.
    pub idle_seconds: u64,
    /// From the client to the backend.
    pub original: Traffic,
    /// From the backend to the client.
    pub reply: Traffic,
}

/// What went in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

/// Which flows to list; an absent field matches every flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    pub service: Option<String>,
    pub backend: Option<SocketAddr>,
    /// The client's address, any port.
    pub client: Option<IpAddr>,
    pub state: Option<FlowState>,
}

impl FlowFilter {
    pub fn matches(&self, flow: &Flow) -> bool {
        self.service.as_ref().is_none_or(|service| *service == flow.service)
            && self.backend.is_none_or(|backend| backend == flow.backend)
            && self.client.is_none_or(|client| client == flow.client.ip())
            && self.state.is_none_or(|state| state == flow.state)
    }
}

/// What flows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum FlowSort {
    Service,
    Backend,
    Client,
    /// In the order of a connection's life
    State,
    /// The oldest first
    Age,
    /// The quietest first
    Idle,
    /// The most of both directions first
    Bytes,
    /// The most of both directions first
    Packets,
}

/// In which order flows are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowOrder {
    pub by: FlowSort,
    /// The other way round.
    pub reversed: bool,
}

impl FlowOrder {
    /// Whether the largest comes first, which is so of times and sizes unless they are reversed.
    pub fn is_descending(self) -> bool {
        matches!(self.by, FlowSort::Age | FlowSort::Idle | FlowSort::Bytes | FlowSort::Packets) != self.reversed
    }

    /// Whether it takes both directions of a flow to place it.
    pub fn needs_reply(self) -> bool {
        matches!(self.by, FlowSort::State | FlowSort::Idle | FlowSort::Bytes | FlowSort::Packets)
    }
}

/// Some of the matching flows, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPage {
    pub flows: Vec<Flow>,
    /// Flows that match the filter, listed or not.
    pub total: u64,
}

/// Where a connection is in its life, seen from the middle, in the words of RFC 9293 section 3.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum FlowState {
    SynSent,
    SynReceived,
    Established,
    /// The client has sent its FIN, the backend has not.
    FinWait,
    /// The backend has sent its FIN, the client has not.
    CloseWait,
    /// Both have.
    TimeWait,
    /// One end has reset it.
    Closed,
}

impl FlowState {
    pub const ALL: [Self; 7] = [
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait,
        Self::CloseWait,
        Self::TimeWait,
        Self::Closed,
    ];

    /// The RFC's name: `TIME-WAIT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait => "FIN-WAIT",
            Self::CloseWait => "CLOSE-WAIT",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
        }
    }
}

impl fmt::Display for FlowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<FlowState> for &'static str {
    fn from(state: FlowState) -> Self {
        state.name()
    }
}

/// The text names no TCP state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a TCP state; the states are {names}", names = FlowState::ALL.map(FlowState::name).join(", "))]
pub struct InvalidFlowState(String);

impl FromStr for FlowState {
    type Err = InvalidFlowState;

    /// Upper or lower case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| InvalidFlowState(text.to_owned()))
    }
}

impl TryFrom<String> for FlowState {
    type Error = InvalidFlowState;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// What the flow table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowMap {
    /// An array of buckets: fast, all of its memory taken at once.
    #[default]
    Buckets,
    /// The kernel's hash map: slower, its memory follows use.
    Hash,
}

impl FlowMap {
    pub const ALL: [Self; 2] = [Self::Buckets, Self::Hash];
}
