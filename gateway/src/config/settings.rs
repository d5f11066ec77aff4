//! The front server's own settings, as values with their defaults.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::PortRange;
use crate::model::{Answer, flow::FlowMap};

/// Most flows or backends a table may be sized for.
pub const MAX_CAPACITY: u32 = 1 << 26;

/// `[control]`: where the daemon is reached and where it keeps what was set at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Path of the unix socket.
    pub socket: PathBuf,
    /// Folder of the state store.
    pub state: PathBuf,
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: "/run/gateway/gateway.sock".into(), state: "/var/lib/gateway".into() }
    }
}

/// `[metrics]`: where Prometheus text, `/healthz` and `/readyz` are served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metrics {
    pub listen: SocketAddr,
}

/// `[dashboard]`: where the page for browsers is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dashboard {
    pub listen: SocketAddr,
}

/// `[public]`: how clients reach this front server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Public {
    /// Host of the service URLs.
    pub hostname: Option<String>,
    /// Empty: the daemon takes the interfaces' addresses.
    pub address: Vec<IpAddr>,
    /// For services that ask for a port.
    pub ports: Option<PortRange>,
}

/// `[[interface]]`: a network device that the datapath attaches to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    pub name: String,
    pub mode: Mode,
}

/// How the datapath attaches to an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The best that the driver and the kind of device allow.
    #[default]
    Auto,
    XdpNative,
    XdpGeneric,
    Tc,
}

/// `[snat]`: the source addresses and ports that backends see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snat {
    /// Empty: the daemon takes the addresses that the routes to the backends use.
    pub addresses: Vec<IpAddr>,
    /// Absent: see [`default_snat_ports`](super::default_snat_ports).
    pub ports: Option<PortRange>,
}

/// `[flows]`: sizes of the flow tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flows {
    /// Established flows, at most.
    pub capacity: u32,
    /// Flows in mid-handshake, at most.
    pub half_open: u32,
    pub table: FlowMap,
    /// What a SYN beyond the capacity is answered.
    pub full: Answer,
    pub syn_cookies: SynCookies,
}

impl Default for Flows {
    fn default() -> Self {
        Self {
            capacity: 1 << 20,
            half_open: 1 << 16,
            table: FlowMap::default(),
            full: Answer::Drop,
            syn_cookies: SynCookies::Auto,
        }
    }
}

/// When clients are answered by SYN cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SynCookies {
    /// While many SYNs wait for their clients.
    #[default]
    Auto,
    Off,
    Always,
}

/// `[backends]`: size of the backend table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backends {
    /// Backends of all services together, at most.
    pub capacity: u32,
}

impl Default for Backends {
    fn default() -> Self {
        Self { capacity: 1 << 16 }
    }
}

/// `[docker]`: the daemon whose containers become backends by their labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Docker {
    pub socket: PathBuf,
}

impl Default for Docker {
    fn default() -> Self {
        Self { socket: "/var/run/docker.sock".into() }
    }
}
