//! What the operator wants: services and their backends, as values.
//!
//! Every provider (configuration file, control API) produces these types and the reconciler turns them into
//! packet tables. They are also the JSON of the control API and of the state store, so field names are part
//! of the outward contract.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

mod backend;
pub mod change;
mod deployment;
pub mod event;
pub mod explanation;
pub mod flow;
mod health;
mod limits;
mod share;
pub mod sighting;
pub mod status;
mod statuses;
mod time;

pub use backend::{Backend, BackendState, Drain, NewBackend, Process, Signal, Then};
pub use deployment::{Deployment, DeploymentOptions, Phase, Wait};
pub use health::{Health, HealthKind, HealthReport, HealthStatus};
pub use limits::Limits;
pub use share::{InvalidShare, Share};
pub use statuses::{InvalidStatuses, Statuses};
pub use time::{duration, instant};

/// A service: where it listens, how a backend is picked, and what happens to flows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub name: String,
    pub listen: Vec<Listen>,
    #[serde(flatten)]
    pub policy: Policy,
    #[serde(default)]
    pub health: Health,
    #[serde(default)]
    pub limits: Limits,
    pub backends: Vec<Backend>,
}

/// The part of a service that `[defaults]` gives and a service may override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub algorithm: Algorithm,
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    #[serde(with = "duration")]
    pub drain_timeout: Duration,
    pub on_deadline: Answer,
    pub no_backend: Answer,
    pub unknown_flow: Answer,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Maglev,
            // RFC 5382 REQ-5: not less than 2 hours and 4 minutes.
            idle_timeout: Duration::from_secs(2 * 3600 + 4 * 60),
            drain_timeout: Duration::from_secs(30),
            on_deadline: Answer::Reset,
            no_backend: Answer::Reset,
            unknown_flow: Answer::Drop,
        }
    }
}

/// How a new connection gets its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Weighted consistent hashing of the client's address and port.
    Maglev,
    /// Fewer open flows per weight, of two random choices.
    LeastConnections,
    /// Weighted consistent hashing of the client's address alone: a client stays with its backend.
    Source,
}

/// What a client is told about a segment that cannot be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Reset,
    Drop,
}

/// Who may change a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// The configuration file declares it; at run time its backends can only be drained and re-weighed.
    File,
    /// It came through the control API and is kept in the state store.
    Control,
}

/// Where a service listens: `203.0.113.10:443`, `[2001:db8::10]:443`, or `:443` for every public address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listen {
    Address(SocketAddr),
    EveryAddress(u16),
}

impl Listen {
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::EveryAddress(port) => *port,
        }
    }

    /// The concrete addresses, given the front server's public ones.
    pub fn resolve<'a>(&'a self, public: &'a [IpAddr]) -> impl Iterator<Item = SocketAddr> + 'a {
        let (own, every): (Option<SocketAddr>, &[IpAddr]) = match self {
            Self::Address(address) => (Some(*address), &[]),
            Self::EveryAddress(_) => (None, public),
        };
        own.into_iter().chain(every.iter().map(|ip| SocketAddr::new(*ip, self.port())))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::EveryAddress(port) => write!(f, ":{port}"),
        }
    }
}

/// The text is not an address and port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not ADDRESS:PORT, [V6]:PORT or :PORT with a port of 1 to 65535")]
pub struct InvalidListen(String);

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let listen = match text.strip_prefix(':') {
            Some(port) => port.parse().ok().map(Self::EveryAddress),
            None => text.parse().ok().map(Self::Address),
        };
        listen.filter(|listen| listen.port() != 0).ok_or_else(|| InvalidListen(text.to_owned()))
    }
}

impl Serialize for Listen {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
