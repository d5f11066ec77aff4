//! Configuration files for the gateway under test.

use std::{
    env,
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

use crate::{Family, Lab};

/// How the datapath attaches to network cards; interfaces that face local containers always use TC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    XdpNative,
    /// The kernel's stand-in for drivers without XDP, over the packets of its stack.
    XdpGeneric,
    Tc,
}

impl Mode {
    /// The two that a front server is meant to have; generic XDP runs the same program as native XDP.
    pub const ALL: [Self; 2] = [Self::XdpNative, Self::Tc];

    /// The name in the configuration file.
    pub fn name(self) -> &'static str {
        match self {
            Self::XdpNative => "xdp-native",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        }
    }
}

/// A `[[service]]` section.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    name: String,
    listen: Vec<String>,
    backends: Vec<(SocketAddr, u16)>,
    /// An inline table.
    health: String,
    keys: Vec<String>,
}

impl ServiceConfig {
    pub fn new(name: &str, listen: SocketAddr, backends: &[SocketAddr]) -> Self {
        Self {
            name: name.to_owned(),
            listen: vec![listen.to_string()],
            backends: backends.iter().map(|address| (*address, 1)).collect(),
            // Backends take part at once: no test of the packet path waits for a probe.
            health: "{ kind = \"none\" }".to_owned(),
            keys: Vec::new(),
        }
    }

    /// Gives the backends these weights, in order.
    #[must_use]
    pub fn weights(mut self, weights: &[u16]) -> Self {
        assert_eq!(weights.len(), self.backends.len(), "one weight a backend");
        for (backend, weight) in self.backends.iter_mut().zip(weights) {
            backend.1 = *weight;
        }
        self
    }

    /// Probes the backends, as this inline table says.
    #[must_use]
    pub fn health(mut self, table: &str) -> Self {
        self.health = table.to_owned();
        self
    }

    /// Listens on one address more.
    #[must_use]
    pub fn also_listen(mut self, listen: SocketAddr) -> Self {
        self.listen.push(listen.to_string());
        self
    }

    /// Adds a key, written as in the file: `algorithm = "source"`.
    #[must_use]
    pub fn with(mut self, key: &str) -> Self {
        self.keys.push(key.to_owned());
        self
    }

    fn write(&self, toml: &mut String) {
        let Self { name, listen, backends, health, keys } = self;
        writeln!(toml, "\n[[service]]\nname = {name:?}\nlisten = {listen:?}\nhealth = {health}").expect(IN_MEMORY);
        for key in keys {
            writeln!(toml, "{key}").expect(IN_MEMORY);
        }
        for (address, weight) in backends {
            writeln!(toml, "[[service.backend]]\naddress = \"{address}\"\nweight = {weight}").expect(IN_MEMORY);
        }
    }
}

/// The variable that names the kind of flow table of gateways under test that name none themselves.
const FLOW_TABLE: &str = "GATEWAY_FLOW_TABLE";

const IN_MEMORY: &str = "a string takes all";

/// A whole `gateway.toml` for a lab.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    head: String,
    /// Source addresses, and ports if not the default.
    snat: (Vec<String>, Option<String>),
    /// Established flows, half-open flows.
    capacity: (u32, u32),
    /// More keys of `[flows]`.
    flows: Vec<String>,
    services: Vec<ServiceConfig>,
}

impl GatewayConfig {
    /// The lab's interfaces in `mode`, its addresses, and no service.
    pub fn new(lab: &Lab, mode: Mode) -> Self {
        let directory = lab.directory();
        let addresses = |of: fn(&Lab, Family) -> Vec<String>| Family::ALL.map(|family| of(lab, family)).concat();
        let public = addresses(|lab, family| lab.front.public(family).map(|ip| ip.to_string()).to_vec());
        let snat = addresses(|lab, family| vec![lab.front.snat(family).to_string()]);
        let mut head = format!(
            "[control]\nsocket = {:?}\nstate = {:?}\n\n\
             [public]\nhostname = \"tcp-1.example.com\"\naddress = {public:?}\nports = \"21000-21999\"\n",
            directory.join("gateway.sock"),
            directory.join("state"),
        );
        for name in &lab.front.interfaces {
            let mode = if name.starts_with("eth") { mode } else { Mode::Tc };
            writeln!(head, "\n[[interface]]\nname = {name:?}\nmode = {:?}", mode.name()).expect(IN_MEMORY);
        }
        Self { head, snat: (snat, None), capacity: (65_536, 16_384), flows: Vec::new(), services: Vec::new() }
    }

    /// Translates to these addresses, besides those of the lab, and to ports of this range.
    #[must_use]
    pub fn sources(mut self, more: &[IpAddr], ports: &str) -> Self {
        self.snat.0.extend(more.iter().map(ToString::to_string));
        self.snat.1 = Some(ports.to_owned());
        self
    }

    /// Room for this many established and half-open flows.
    #[must_use]
    pub fn capacity(mut self, flows: u32, half_open: u32) -> Self {
        self.capacity = (flows, half_open);
        self
    }

    /// Adds a key to `[flows]`, written as in the file: `full = "reset"`.
    #[must_use]
    pub fn with_flows(mut self, key: &str) -> Self {
        self.flows.push(key.to_owned());
        self
    }

    /// Adds a service.
    #[must_use]
    pub fn service(mut self, service: ServiceConfig) -> Self {
        self.services.push(service);
        self
    }

    pub fn to_toml(&self) -> String {
        let mut toml = self.head.clone();
        let (addresses, ports) = &self.snat;
        writeln!(toml, "\n[snat]\naddresses = {addresses:?}").expect(IN_MEMORY);
        if let Some(ports) = ports {
            writeln!(toml, "ports = {ports:?}").expect(IN_MEMORY);
        }
        let (flows, half_open) = self.capacity;
        writeln!(toml, "\n[flows]\ncapacity = {flows}\nhalf_open = {half_open}").expect(IN_MEMORY);
        let has_table = self.flows.iter().any(|key| key.starts_with("table"));
        if let (false, Ok(table)) = (has_table, env::var(FLOW_TABLE)) {
            writeln!(toml, "table = {table:?}").expect(IN_MEMORY);
        }
        for key in &self.flows {
            writeln!(toml, "{key}").expect(IN_MEMORY);
        }
        self.services.iter().for_each(|service| service.write(&mut toml));
        toml
    }
}
