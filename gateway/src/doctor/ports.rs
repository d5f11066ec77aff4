//! The host's own sockets and ports against those of the gateway.

use std::net::{IpAddr, SocketAddr};

use procfs::net::{TcpNetEntry, TcpState};

use super::{Check, Finding};
use crate::{
    config::{Config, PortRange, default_snat_ports},
    host::sysctl,
    model::Listen,
};

const SNAT: Check = Check {
    name: "source ports",
    why: "a connection of this host with an address and port that the gateway gave to a client is mistaken for the client's",
};
const LISTENERS: Check = Check {
    name: "listeners",
    why: "packets to a service's address never reach a server of this host that listens there",
};

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let local = match sysctl::ip_local_port_range() {
        Ok(range) => range,
        Err(error) => return vec![SNAT.unseen(format!("{error:#}"))],
    };
    let service_ports = config.services.iter().flat_map(|service| &service.listen).map(Listen::port);
    let ports = config.snat.ports.or_else(|| default_snat_ports(local, service_ports, config.public.ports));
    let Some(ports) = ports else {
        return vec![SNAT.error("none are left", "give a range: [snat] ports = \"FIRST-LAST\"")];
    };
    let sockets = sockets();
    let mut findings = vec![range(ports, local, &sysctl::ip_local_reserved_ports())];
    findings.extend(in_range(ports, config, &sockets));
    findings.extend(listeners(config, &sockets));
    findings
}

/// The kernel's range for its own sockets, less what is reserved.
fn range(ports: PortRange, local: (u16, u16), reserved: &[(u16, u16)]) -> Finding {
    let given_out = |port: &u16| {
        (local.0..=local.1).contains(port) && !reserved.iter().any(|(first, last)| (first..=last).contains(&port))
    };
    let shared = (ports.first()..=ports.last()).filter(given_out).count();
    if shared == 0 {
        return SNAT.ok(format!("{ports}, apart from those that the kernel gives out"));
    }
    let mut all: Vec<String> = reserved.iter().map(|(first, last)| format!("{first}-{last}")).collect();
    all.push(ports.to_string());
    let detail = format!("{shared} of {ports} are given out by the kernel as well ({}-{})", local.0, local.1);
    SNAT.warning(detail, format!("sysctl -w net.ipv4.ip_local_reserved_ports={}", all.join(",")))
}

/// Sockets of this host in the gateway's range, at addresses that it translates to.
fn in_range(ports: PortRange, config: &Config, sockets: &[TcpNetEntry]) -> Vec<Finding> {
    let is_source = |ip: IpAddr| config.snat.addresses.is_empty() || config.snat.addresses.contains(&ip);
    let inside = sockets.iter().filter(|socket| {
        let at = socket.local_address;
        let waits = socket.state == TcpState::TimeWait;
        ports.contains(at.port())
            && !waits
            && !at.ip().is_loopback()
            && (at.ip().is_unspecified() || is_source(at.ip()))
    });
    let finding = |socket: &TcpNetEntry| {
        let what = if socket.state == TcpState::Listen { "a server listens" } else { "a connection is open" };
        let fix = format!("let it use a port outside of {ports}, or change [snat] ports");
        SNAT.warning(format!("{what} on {}", socket.local_address), fix)
    };
    inside.map(finding).collect()
}

/// Servers of this host at the address of a service.
fn listeners(config: &Config, sockets: &[TcpNetEntry]) -> Vec<Finding> {
    let is_hidden = |at: SocketAddr, listen: &Listen| match listen {
        Listen::Address(service) => {
            at.port() == service.port() && (at.ip().is_unspecified() || at.ip() == service.ip())
        }
        Listen::EveryAddress(port) => {
            let public = &config.public.address;
            let reached = at.ip().is_unspecified() || public.is_empty() || public.contains(&at.ip());
            at.port() == *port && reached && !at.ip().is_loopback()
        }
    };
    let mut findings = Vec::new();
    for service in &config.services {
        let hidden = sockets.iter().filter(|socket| socket.state == TcpState::Listen);
        let hidden =
            hidden.filter(|socket| service.listen.iter().any(|listen| is_hidden(socket.local_address, listen)));
        findings.extend(hidden.map(|socket| {
            let detail = format!("a server of this host listens on {}, as {} does", socket.local_address, service.name);
            LISTENERS.warning(detail, "stop it, let it listen elsewhere, or give the service another port")
        }));
    }
    if findings.is_empty() && !config.services.is_empty() {
        findings.push(LISTENERS.ok("none at the services' addresses"));
    }
    findings
}

/// Of either family; none where the kernel does not show them.
fn sockets() -> Vec<TcpNetEntry> {
    let both = [procfs::net::tcp(), procfs::net::tcp6()];
    both.into_iter().flat_map(Result::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_nobody_elses() {
        let ports: PortRange = "50000-65535".parse().unwrap();
        let fix = range(ports, (32768, 60999), &[(40000, 40010)]).fix;
        assert_eq!(fix.as_deref(), Some("sysctl -w net.ipv4.ip_local_reserved_ports=40000-40010,50000-65535"));
        assert_eq!(range(ports, (32768, 60999), &[(40000, 40010), (50000, 65535)]).fix, None);
        assert_eq!(range("61000-65535".parse().unwrap(), (32768, 60999), &[]).fix, None);
    }
}
