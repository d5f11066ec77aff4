//! The networks of the suite: client, front server and backend on plain veth wires, one such network for each subject,
//! all tuned alike.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};
use gateway_tests::{BackendSide, ClientSide, Family, Lab, Namespace, Topology, peers::Forwarding};
use nix::sys::resource::{Resource, setrlimit};

use crate::names::live::{CONTAINER, Cases, TWO_ARM};

/// The way from client to backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    TwoArm,
    Container,
}

impl Path {
    pub fn name(self) -> &'static str {
        match self {
            Self::TwoArm => "two network cards",
            Self::Container => "local container",
        }
    }

    pub fn cases(self) -> &'static Cases {
        match self {
            Self::TwoArm => &TWO_ARM,
            Self::Container => &CONTAINER,
        }
    }

    /// The front server's device that faces the backend.
    pub fn inner_device(self) -> &'static str {
        match self {
            Self::TwoArm => "eth1",
            Self::Container => "veth0",
        }
    }
}

/// What the backend offers, each behind a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Answers with what it gets, on [`ECHO_PORTS`] ports, as that many backends.
    Echo,
    /// One connection whose both ends the measuring thread holds.
    Pair,
    /// Takes all that comes.
    Sink,
    /// Tells the digest of what came.
    Digest,
    /// Frames made by hand, to as many backends as a million flows through one source address need.
    Packets,
}

impl Service {
    pub const ALL: [Self; 5] = [Self::Echo, Self::Pair, Self::Sink, Self::Digest, Self::Packets];

    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Pair => "pair",
            Self::Sink => "sink",
            Self::Digest => "digest",
            Self::Packets => "packets",
        }
    }

    fn listen_port(self) -> u16 {
        20_000 + self as u16
    }

    pub fn backend_ports(self) -> std::ops::Range<u16> {
        let first = 8_000 + 100 * self as u16;
        let count = match self {
            Self::Echo => ECHO_PORTS,
            Self::Packets => PACKET_PORTS,
            _ => 1,
        };
        first..first + count
    }

    pub fn forwarding(self, lab: &Lab) -> Forwarding {
        let backend = &lab.backends[0];
        Forwarding {
            listen: lab.front.at(Family::V4, self.listen_port()),
            backends: self.backend_ports().map(|port| backend.at(Family::V4, port)).collect(),
        }
    }
}

/// Enough that no source port of a translation is used again within a run.
const ECHO_PORTS: u16 = 16;
const PACKET_PORTS: u16 = 64;

/// Open files, enough for both ends of 10,000 connections, here and in a proxy.
const DESCRIPTORS: u64 = 100_000;

/// Clients have this many addresses, enough that none uses a port twice within a run.
const SOURCES: u8 = 32;
const FIRST_SOURCE_PORT: u32 = 1_100;
const PORTS_PER_SOURCE: u32 = 64_000;

/// Local addresses for the client's connections, each other than the last.
#[derive(Debug, Default)]
pub struct Sources(AtomicU32);

impl Sources {
    pub fn next(&self) -> SocketAddr {
        let number = self.0.fetch_add(1, Ordering::Relaxed) % (u32::from(SOURCES) * PORTS_PER_SOURCE);
        let host = 1 + (number / PORTS_PER_SOURCE) as u8;
        let port = (FIRST_SOURCE_PORT + number % PORTS_PER_SOURCE) as u16;
        SocketAddr::from((source(host), port))
    }
}

fn source(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, host)
}

/// Builds one network.
pub fn build(path: Path) -> Lab {
    let side = match path {
        Path::TwoArm => BackendSide::Wire,
        Path::Container => BackendSide::Veth,
    };
    let lab = Topology::new(side, 1).clients(ClientSide::Wire).build();
    for namespace in [&lab.client.namespace, &lab.front.namespace, &lab.backends[0].namespace] {
        tune(namespace);
    }
    let addresses: Vec<String> = (1..=SOURCES).map(|host| format!("addr add {}/32 dev lo", source(host))).collect();
    lab.client.ip(&addresses);
    lab.front.ip(&[format!("route add {}/24 via {}", source(0), lab.client.v4)]);
    // Proxies connect from these; the gateway's source ports are above.
    lab.front.sysctl("net/ipv4/ip_local_port_range", "1024 65535");
    if path == Path::Container {
        for (namespace, device) in ends(&lab, path) {
            offload(namespace, device, &["tx", "on", "tso", "on"]);
        }
    }
    lab
}

/// Both ends of both wires.
pub fn ends(lab: &Lab, path: Path) -> [(&Namespace, &'static str); 4] {
    [(&*lab.client, "eth0"), (&*lab.front, "eth0"), (&*lab.front, path.inner_device()), (&*lab.backends[0], "eth0")]
}

/// Changes offloads of a device, as `ethtool -K` names them.
pub fn offload(namespace: &Namespace, device: &str, settings: &[&str]) {
    namespace.output("ethtool", &[&["-K", device], settings].concat()).success();
}

fn tune(namespace: &Namespace) {
    for (name, value) in [
        // BBR, some kernels' default, paces, and so hides what the path costs.
        ("net/ipv4/tcp_congestion_control", "cubic"),
        ("net/core/somaxconn", "65535"),
        ("net/ipv4/tcp_max_syn_backlog", "65535"),
        ("net/ipv4/tcp_tw_reuse", "1"),
        ("net/ipv4/tcp_rmem", "4096 131072 16777216"),
        ("net/ipv4/tcp_wmem", "4096 131072 16777216"),
    ] {
        namespace.sysctl(name, value);
    }
}

/// Settings of the machine that the networks depend on.
pub fn prepare_machine() -> Result<()> {
    const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";
    gateway_tests::leftovers::prepare_machine();
    let allowed = fs::read_to_string(ALLOWED).with_context(|| format!("read {ALLOWED}"))?;
    if !allowed.split_whitespace().any(|name| name == "cubic") {
        fs::write(ALLOWED, format!("{} cubic", allowed.trim())).with_context(|| format!("write {ALLOWED}"))?;
    }
    // Root may raise the hard limit where it is not confined; `crowd` takes what there is.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS);
    Ok(())
}
