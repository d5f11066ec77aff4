//! The subjects, each at work on the front server of a network of its own.

use std::{fmt::Write, net::SocketAddr, process::Command, sync::OnceLock, time::Duration};

use anyhow::{Context, Result};
use gateway_tests::{
    Gateway, Lab, Process, eventually, peers,
    traffic::{Behaviour, Server, client},
};

use super::{
    network::{Path, Service, Sources},
    rounds::Named,
};
use crate::names::live as names;

/// Who forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Gateway,
    Routing,
    Nftables,
    Haproxy,
    Nginx,
}

impl Subject {
    pub const ALL: [Self; 5] = [Self::Routing, Self::Gateway, Self::Nftables, Self::Haproxy, Self::Nginx];

    pub fn name(self, path: Path) -> &'static str {
        match (self, path) {
            (Self::Gateway, Path::TwoArm) => names::GATEWAY_XDP,
            (Self::Gateway, Path::Container) => names::GATEWAY_TC,
            (Self::Routing, _) => names::ROUTING,
            (Self::Nftables, _) => names::NFTABLES,
            (Self::Haproxy, _) => names::HAPROXY,
            (Self::Nginx, _) => names::NGINX,
        }
    }
}

/// A subject that runs.
pub struct Stand<'lab> {
    pub subject: Subject,
    pub path: Path,
    pub lab: &'lab Lab,
    pub sources: Sources,
    /// Bytes of its programs before they first had many connections.
    resident: OnceLock<u64>,
    _running: Running<'lab>,
}

#[expect(dead_code, reason = "guards, which end what they hold")]
enum Running<'lab> {
    Gateway(Gateway<'lab>),
    Kernel,
    Proxy(Process),
}

impl Named for Stand<'_> {
    fn name(&self) -> &'static str {
        self.subject.name(self.path)
    }
}

impl<'lab> Stand<'lab> {
    /// Starts the subject and waits until it forwards.
    pub fn start(subject: Subject, path: Path, lab: &'lab Lab) -> Self {
        let forwardings = Service::ALL.map(|service| service.forwarding(lab));
        let running = match subject {
            Subject::Gateway => {
                // Apart from the ports of translated connections.
                lab.front.sysctl("net/ipv4/ip_local_port_range", "1024 19999");
                Running::Gateway(Gateway::start_with(lab, &gateway_config(path, lab), &[]))
            }
            Subject::Routing => Running::Kernel,
            Subject::Nftables => {
                peers::nftables(lab, &forwardings);
                Running::Kernel
            }
            Subject::Haproxy => Running::Proxy(peers::haproxy(lab, &forwardings)),
            Subject::Nginx => Running::Proxy(peers::nginx(lab, &forwardings)),
        };
        let stand =
            Self { subject, path, lab, sources: Sources::default(), resident: OnceLock::new(), _running: running };
        stand.wait();
        stand
    }

    /// Where clients connect to: the service's address, or where nothing is translated, the backends'.
    pub fn targets(&self, service: Service) -> Vec<SocketAddr> {
        let forwarding = service.forwarding(self.lab);
        if self.subject == Subject::Routing { forwarding.backends } else { vec![forwarding.listen] }
    }

    /// The processes of the front server.
    pub fn programs(&self) -> Result<Vec<u32>> {
        let output = Command::new("ip").args(["netns", "pids", self.lab.front.name()]).output();
        let output = output.context("list the programs of a namespace")?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(|id| id.trim().parse().ok()).collect())
    }

    /// The first of these numbers that it was told.
    pub fn resident(&self, bytes: u64) -> u64 {
        *self.resident.get_or_init(|| bytes)
    }

    fn wait(&self) {
        let port = Service::Digest.backend_ports().start;
        let _server = Server::start(&self.lab.backends[0], port, Behaviour::Digest);
        let to = self.targets(Service::Digest)[0];
        eventually(Duration::from_secs(10), || client::upload(&self.lab.client, to, 1, 1));
    }
}

/// The product with all it does: state, counters, sweeps. Probes are off, for there is nothing to choose from.
fn gateway_config(path: Path, lab: &Lab) -> String {
    let directory = lab.directory();
    let mode = match path {
        Path::TwoArm => "xdp-native",
        Path::Container => "tc",
    };
    let mut toml = format!(
        "[control]\nsocket = {:?}\nstate = {:?}\n\n\
         [public]\naddress = \"{}\"\n\n\
         [snat]\naddresses = \"{}\"\nports = \"21000-65535\"\n",
        directory.join("gateway.sock"),
        directory.join("state"),
        lab.front.public_v4[0],
        lab.front.snat_v4,
    );
    for device in ["eth0", path.inner_device()] {
        write!(toml, "\n[[interface]]\nname = \"{device}\"\nmode = \"{mode}\"\n").expect(IN_MEMORY);
    }
    for service in Service::ALL {
        let peers::Forwarding { listen, backends } = service.forwarding(lab);
        write!(
            toml,
            "\n[[service]]\nname = {:?}\nlisten = \"{listen}\"\nhealth = {{ kind = \"none\" }}\n",
            service.name()
        )
        .expect(IN_MEMORY);
        for backend in backends {
            write!(toml, "[[service.backend]]\naddress = \"{backend}\"\n").expect(IN_MEMORY);
        }
    }
    toml
}

const IN_MEMORY: &str = "a string takes all";
