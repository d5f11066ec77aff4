//! What the front server gives to its services.

use std::net::IpAddr;

use crate::{config::PortRange, model::Policy};

/// The parts of the configuration that decide where a service can listen and what it is by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The name used in service URLs.
    pub hostname: Option<String>,
    /// The front server's public addresses.
    pub public: Vec<IpAddr>,
    /// For services that ask for a port.
    pub public_ports: Option<PortRange>,
    /// The front server's internal addresses.
    pub snat: Vec<IpAddr>,
    /// Source ports of translated connections; no service can listen on one.
    pub snat_ports: PortRange,
    /// Of every new service.
    pub defaults: Policy,
}
