//! A server that accepts a service's connections, from its start to the end of its drain.

use std::{fmt, net::SocketAddr, time::SystemTime};

use serde::{Deserialize, Serialize};

use super::instant;

/// One server that accepts a service's connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    pub address: SocketAddr,
    /// Share of new connections relative to the other backends; 1..=65535.
    #[serde(default = "one")]
    pub weight: u16,
    #[serde(default)]
    pub state: BackendState,
    /// Who is told to end when the backend is drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The deployment that Docker's labels say it is of; only of containers that were found by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Of a draining backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
}

/// A backend to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBackend {
    pub address: SocketAddr,
    #[serde(default = "one")]
    pub weight: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// See [`Backend::deployment`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
}

fn one() -> u16 {
    1
}

/// Whether a backend gets new connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendState {
    /// Waits for its deployment: gets no connections however healthy it is.
    Starting,
    /// Gets new connections while it is healthy.
    #[default]
    Active,
    /// Keeps its open flows, gets no new ones.
    Draining,
}

/// The process behind a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// A container of Docker, by name or id; gets the stop signal of its image.
    Container(String),
    /// A process of this host.
    Pid {
        id: u32,
        /// Clock ticks from the host's boot to its start (`starttime` of proc_pid_stat(5)), which no other process
        /// with this id has. Found out when the backend is added.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start: Option<u64>,
    },
    /// A unit of systemd.
    Unit(String),
    /// A program and its arguments, run as the gateway's user.
    Command(Vec<String>),
}

/// The end of a backend: its process is signalled, and what is open at the deadline is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    #[serde(with = "instant")]
    pub since: SystemTime,
    /// When its process is signalled.
    #[serde(with = "instant")]
    pub signal_at: SystemTime,
    pub signal: Signal,
    /// When its open flows are cut.
    #[serde(with = "instant")]
    pub deadline: SystemTime,
    pub then: Then,
    /// Its flows have ended, or were cut.
    #[serde(default)]
    pub ended: bool,
}

/// What became of the signal to a draining backend's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// There is no process to signal, or it is not to be signalled.
    None,
    Pending,
    Sent,
    Failed(String),
}

/// What becomes of a backend that has drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It stays in the service, drained, until it is made active again or removed.
    Keep,
    Remove,
}

impl BackendState {
    /// The name used in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Draining => "draining",
        }
    }
}

impl Backend {
    /// An active backend of weight 1.
    pub fn new(address: SocketAddr) -> Self {
        NewBackend::new(address).into()
    }
}

impl NewBackend {
    /// A backend of weight 1 without a process.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, weight: one(), process: None, deployment: None }
    }
}

impl From<NewBackend> for Backend {
    fn from(new: NewBackend) -> Self {
        let NewBackend { address, weight, process, deployment } = new;
        Self { address, weight, state: BackendState::Active, process, deployment, drain: None }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(name) => write!(f, "container {name}"),
            Self::Pid { id, .. } => write!(f, "process {id}"),
            Self::Unit(unit) => write!(f, "unit {unit}"),
            Self::Command(argv) => write!(f, "command {}", argv.join(" ")),
        }
    }
}
