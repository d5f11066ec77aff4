//! A gateway with a dashboard, services on programs of their own, and a browser beside it.

use std::{net::SocketAddr, time::Duration};

use gateway_tests::{
    Browser, Family, Gateway, GatewayConfig, Lab, Mode, Topology,
    scenario::{BACKEND_PORT, PORT},
    traffic::Instance,
};

pub const URL: &str = "http://127.0.0.1:9470/";
pub const PATIENCE: Duration = Duration::from_secs(30);

const DASHBOARD: &str = "\n[dashboard]\nlisten = \"127.0.0.1:9470\"\n";

/// A lab whose backends are hosts of their own.
pub struct Stage {
    pub lab: Lab,
}

impl Stage {
    pub fn new(backends: usize) -> Self {
        Self { lab: Topology::two_arm(backends).build() }
    }

    /// Starts a gateway with a dashboard, without services.
    pub fn start(&self) -> Gateway<'_> {
        Gateway::start_with(&self.lab, &self.config(), &[])
    }

    /// The configuration that it starts with.
    pub fn config(&self) -> String {
        GatewayConfig::new(&self.lab, Mode::XdpNative).to_toml() + DASHBOARD
    }

    /// A browser on the front server.
    pub fn browser(&self) -> Browser {
        Browser::start(&self.lab.front, &self.lab.directory())
    }

    /// Where the service with this number listens.
    pub fn public(&self, service: u16) -> SocketAddr {
        self.lab.front.at(Family::V4, PORT + service)
    }

    /// Starts a server of this service on each of these hosts.
    pub fn serve(&self, service: u16, hosts: &[usize]) -> Vec<Instance> {
        let start = |host: &usize| {
            let host = &self.lab.backends[*host];
            Instance::start(host, host.at(Family::V4, BACKEND_PORT + service), &format!("{service} on {}", host.v4))
        };
        hosts.iter().map(start).collect()
    }

    /// Adds a service with these backends.
    #[track_caller]
    pub fn add(&self, gateway: &Gateway, service: u16, name: &str, backends: &[String]) {
        let listen = self.public(service).to_string();
        let backends: Vec<_> = backends.iter().map(|backend| format!("--backend={backend}")).collect();
        let mut arguments = vec!["service", "add", name, "--listen", &listen, "--health-interval", "500ms"];
        arguments.extend(["--health-timeout", "500ms"]);
        arguments.extend(backends.iter().map(String::as_str));
        gateway.cli(&arguments).success();
    }
}

/// The backends as `gateway` takes them.
pub fn backends(servers: &[Instance]) -> Vec<String> {
    servers.iter().map(Instance::backend).collect()
}
