//! Networks around a front server, built from two choices: how clients reach it, and where the backends are.
//!
//! | device of the front | faces |
//! |---|---|
//! | `eth0` | clients: 203.0.113.0/24, 2001:db8:1::/64 |
//! | `eth1` | backends on other hosts: 10.0.0.0/24, fd00:0:0:0::/64 |
//! | `br0` | containers behind a bridge: 10.0.2.0/24, fd00:0:0:2::/64 |
//! | `veth0`, `veth1`, … | containers each behind a veth: 10.0.N.0/24, fd00:0:0:N::/64, N from 3 |
//!
//! With [`ClientSide::Routed`] clients are in 198.51.100.0/24 and 2001:db8:2::/64; with [`BackendSide::Routed`]
//! backends are in 10.0.1.0/24 and fd00:0:0:1::/64.

use std::{fs, path::PathBuf, time::Duration};

use crate::{Family, Front, Host, LabId, Namespace, eventually, leftovers, link};

mod backend_side;
mod client_side;

/// How clients reach the front server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientSide {
    /// On the same segment.
    Direct,
    /// At the other end of a wire, without a switch between that would cost time of its own.
    Wire,
    /// On the same segment, tagged with this VLAN.
    Vlan(u16),
    /// Behind two routers ([`Lab::client_routers`]).
    Routed,
}

/// Where the backends are, seen from the front server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendSide {
    /// Hosts on the segment of the second network card.
    Segment,
    /// One host at the other end of a wire in the second network card, without a switch between.
    Wire,
    /// Hosts on that segment, tagged with this VLAN.
    Vlan(u16),
    /// Hosts behind two routers on that segment ([`Lab::backend_routers`]).
    Routed,
    /// Hosts on the clients' segment: the front server has one network card.
    OneArm,
    /// Containers of the front server behind a bridge.
    Bridge,
    /// Containers of the front server, each behind its own veth.
    Veth,
}

impl BackendSide {
    /// Whether backends share the front server's kernel, where XDP hands over to TC.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Bridge | Self::Veth)
    }
}

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Topology {
    pub client_side: ClientSide,
    pub backend_side: BackendSide,
    pub backends: usize,
}

impl Topology {
    /// Clients on one network card, `backends` hosts on the other.
    pub fn two_arm(backends: usize) -> Self {
        Self::new(BackendSide::Segment, backends)
    }

    /// Clients directly on the first network card, backends where `backend_side` says.
    pub fn new(backend_side: BackendSide, backends: usize) -> Self {
        Self { client_side: ClientSide::Direct, backend_side, backends }
    }

    pub fn clients(self, client_side: ClientSide) -> Self {
        Self { client_side, ..self }
    }

    /// Whether this machine's kernel can build it; where not, the test says so and stops: a VLAN needs 802.1Q
    /// devices, which not every kernel has.
    pub fn is_possible(self) -> bool {
        leftovers::prepare_machine();
        let tagged =
            matches!(self.client_side, ClientSide::Vlan(_)) || matches!(self.backend_side, BackendSide::Vlan(_));
        let possible = !tagged || link::kernel_has_vlans(&Namespace::new(LabId::new(), "probe"));
        if !possible {
            println!("skipped: {self:?} needs 802.1Q devices, and this kernel is built without CONFIG_VLAN_8021Q");
        }
        possible
    }

    /// Makes the namespaces, wires them and waits until neighbours reach each other.
    #[track_caller]
    pub fn build(self) -> Lab {
        leftovers::prepare_machine();
        let lab = Lab::wire(self);
        lab.wait_for_links();
        lab
    }
}

/// A client, a front server and backends. Dropping it removes all of them.
#[derive(Debug)]
pub struct Lab {
    pub topology: Topology,
    pub client: Host,
    pub front: Front,
    pub backends: Vec<Host>,
    /// From the front server outwards, connected `eth1` to `eth0`.
    pub client_routers: Vec<Namespace>,
    /// From the front server inwards, connected `eth1` to `eth0`.
    pub backend_routers: Vec<Namespace>,
    switches: Vec<Namespace>,
    // After the namespaces, whose programs write into it.
    files: Files,
}

impl Lab {
    pub fn id(&self) -> LabId {
        self.files.0
    }

    /// A folder for files of this lab.
    pub fn directory(&self) -> PathBuf {
        self.files.0.file_directory()
    }

    /// The addresses of all backends at `port`.
    pub fn backends_at(&self, family: Family, port: u16) -> Vec<std::net::SocketAddr> {
        self.backends.iter().map(|backend| backend.at(family, port)).collect()
    }

    /// The switch a network card of the front server is plugged into, with the name of its port.
    pub fn switch(&self, role: &str) -> &Namespace {
        let name = self.id().namespace(role);
        self.switches.iter().find(|switch| switch.name() == name).unwrap_or_else(|| panic!("no switch {role}"))
    }

    /// Sets the MTU of the link between two routers, which neither end of a connection sees.
    #[track_caller]
    pub fn narrow(&self, routers: &[Namespace], mtu: u16) {
        let [near, far] = routers else { panic!("{:?} has no such routers", self.topology) };
        near.ip(&[format!("link set eth1 mtu {mtu}")]);
        far.ip(&[format!("link set eth0 mtu {mtu}")]);
    }

    fn wire(topology: Topology) -> Self {
        let id = LabId::new();
        let files = Files::new(id);
        let front = Front {
            namespace: Namespace::new(id, "front"),
            public_v4: ["203.0.113.10", "203.0.113.11"].map(|ip| ip.parse().expect("an address")),
            public_v6: ["2001:db8:1::10", "2001:db8:1::11"].map(|ip| ip.parse().expect("an address")),
            snat_v4: "10.0.0.1".parse().expect("an address"),
            snat_v6: "fd00::1".parse().expect("an address"),
            interfaces: vec!["eth0".to_owned()],
        };
        link::forward(&front);
        let client = Host {
            namespace: Namespace::new(id, "client"),
            v4: "203.0.113.2".parse().expect("an address"),
            v6: "2001:db8:1::2".parse().expect("an address"),
        };
        let mut lab = Self {
            topology,
            client,
            front,
            backends: Vec::new(),
            client_routers: Vec::new(),
            backend_routers: Vec::new(),
            switches: Vec::new(),
            files,
        };
        client_side::wire(&mut lab, topology.client_side);
        backend_side::wire(&mut lab, topology.backend_side, topology.backends);
        lab
    }

    /// Pings between neighbours until they answer, then makes the front server forget what it learnt by that.
    #[track_caller]
    fn wait_for_links(&self) {
        let pairs = self.backends.iter().chain([&self.client]);
        for (host, family) in pairs.flat_map(|host| Family::ALL.map(|family| (host, family))) {
            let address = host.address(family).to_string();
            eventually(Duration::from_secs(10), || {
                let ping = self.front.output("ping", &["-n", "-q", "-c1", "-W1", &address]);
                if ping.code == Some(0) { Ok(()) } else { Err(format!("{} does not answer: {ping:?}", host.name())) }
            });
        }
        self.front.ip(&["neigh flush all"]);
    }
}

/// The lab's folder of files and its pins.
#[derive(Debug)]
struct Files(LabId);

impl Files {
    fn new(id: LabId) -> Self {
        fs::create_dir_all(id.file_directory()).expect("the folder for temporary files is writable");
        Self(id)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        leftovers::remove_directory(&self.0.pin_directory());
        leftovers::remove_directory(&self.0.file_directory());
    }
}
