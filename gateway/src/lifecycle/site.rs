//! What the front server gives to its services.

use std::net::IpAddr;

use crate::{
    config::{Config, PortRange, default_snat_ports},
    model::Policy,
};

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

/// What the host gives where the configuration leaves it open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAddresses {
    /// Of the interfaces that clients come in on.
    pub public: Vec<IpAddr>,
    /// Of the interfaces towards the backends.
    pub internal: Vec<IpAddr>,
    /// As in `/proc/sys/net/ipv4/ip_local_port_range`, both included.
    pub local_ports: (u16, u16),
}

/// No port is left for source translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the services, [public] ports and the kernel's ip_local_port_range leave no source ports; set [snat] ports")]
pub struct NoSnatPorts;

impl Site {
    /// What the configuration says, and the host's own where it says nothing.
    pub fn new(config: &Config, host: HostAddresses) -> Result<Self, NoSnatPorts> {
        let or = |configured: &Vec<IpAddr>, found| if configured.is_empty() { found } else { configured.clone() };
        let service_ports = config.services.iter().flat_map(|service| &service.listen).map(|listen| listen.port());
        let snat_ports = config
            .snat
            .ports
            .or_else(|| default_snat_ports(host.local_ports, service_ports, config.public.ports))
            .ok_or(NoSnatPorts)?;
        Ok(Self {
            hostname: config.public.hostname.clone(),
            public: or(&config.public.address, host.public),
            public_ports: config.public.ports,
            snat: or(&config.snat.addresses, host.internal),
            snat_ports,
            defaults: config.defaults.clone(),
        })
    }

    /// Whether a service that asks for a port can be given this one, if it is free.
    pub(super) fn gives_out(&self, port: u16) -> bool {
        self.public_ports.is_some_and(|ports| ports.contains(port)) && !self.snat_ports.contains(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_wins_over_what_the_host_has() {
        let host = HostAddresses {
            public: vec!["203.0.113.10".parse().unwrap()],
            internal: vec!["10.0.0.1".parse().unwrap()],
            local_ports: (32768, 60999),
        };
        let found = Site::new(&Config::default(), host.clone()).unwrap();
        assert_eq!((&found.public, &found.snat), (&host.public, &host.internal));
        assert_eq!(found.snat_ports.to_string(), "61000-65535");

        let mut config = Config::default();
        config.public.address = vec!["203.0.113.99".parse().unwrap()];
        config.snat.ports = "40000-50000".parse().ok();
        let site = Site::new(&config, host).unwrap();
        assert_eq!((site.public, site.snat_ports.to_string()), (config.public.address, "40000-50000".into()));
    }
}
