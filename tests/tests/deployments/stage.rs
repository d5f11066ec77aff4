//! A service with two old backends and two addresses for new ones; processes that are told to end leave a line.

use std::{fs, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Lab, Mode, Process, Topology, eventually, gateway,
    scenario::{BACKEND_PORT, PORT},
    traffic::{Behaviour, Server, client},
};
use serde_json::Value;

pub const OLD: [usize; 2] = [0, 1];
pub const NEW: [usize; 2] = [2, 3];
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A lab with four backends.
pub struct Stage {
    pub lab: Lab,
    pub family: Family,
    mode: Mode,
}

impl Stage {
    pub fn new(side: BackendSide, mode: Mode, family: Family) -> Self {
        Self { lab: Topology::new(side, 4).build(), family, mode }
    }

    /// Backends on other hosts, IPv4.
    pub fn remote() -> Self {
        Self::new(BackendSide::Segment, Mode::XdpNative, Family::V4)
    }

    /// Starts a gateway, for the first time or again.
    pub fn start(&self) -> Gateway<'_> {
        Gateway::start(&self.lab, &GatewayConfig::new(&self.lab, self.mode))
    }

    /// Adds the service with its old backends, which have to answer already.
    #[track_caller]
    pub fn add_service(&self, gateway: &Gateway, options: &[&str]) {
        let listen = self.public().to_string();
        let backends = OLD.map(|index| format!("--backend={}", self.backend(index)));
        let mut arguments = vec!["service", "add", "web", "--listen", &listen];
        arguments.extend(backends.iter().map(String::as_str));
        arguments.extend(options);
        gateway.cli(&arguments).success();
    }

    pub fn public(&self) -> SocketAddr {
        self.lab.front.at(self.family, PORT)
    }

    pub fn address(&self, index: usize) -> SocketAddr {
        self.lab.backends[index].at(self.family, BACKEND_PORT)
    }

    /// A backend and the process behind it, as the command line has it.
    pub fn backend(&self, index: usize) -> String {
        let file = self.signals_file();
        format!("{},command=sh -c 'echo $GATEWAY_BACKEND >> {}'", self.address(index), file.display())
    }

    /// A server that says its number.
    #[track_caller]
    pub fn serve(&self, index: usize) -> Server {
        Server::start(&self.lab.backends[index], BACKEND_PORT, Behaviour::Identify(index.to_string()))
    }

    /// The command line of a deployment of the new backends.
    pub fn deploy(&self, options: &[&str]) -> Command {
        let mut command = gateway::command(&self.lab);
        command
            .args(["deploy", "web"])
            .args(NEW.map(|index| format!("--backend={}", self.backend(index))))
            .args(options);
        command
    }

    /// A deployment that runs.
    pub fn begin(&self, options: &[&str]) -> Process {
        Process::start(&mut self.deploy(options))
    }

    /// Who answers a new connection.
    #[track_caller]
    pub fn answers(&self) -> usize {
        let who = client::identity_of(&self.lab.client, self.public());
        who.unwrap_or_else(|failure| panic!("a new connection fails: {failure}")).parse().expect("a number")
    }

    /// Asserts that the backends of new connections are among these.
    #[track_caller]
    pub fn assert_served_by(&self, backends: [usize; 2]) {
        for _ in 0..20 {
            let who = self.answers();
            assert!(backends.contains(&who), "{who} answers, not one of {backends:?}");
        }
    }

    /// How often each backend's process was told to end.
    pub fn signals(&self) -> [usize; 4] {
        let lines = fs::read_to_string(self.signals_file()).unwrap_or_default();
        [0, 1, 2, 3].map(|index| lines.lines().filter(|line| *line == self.address(index).to_string()).count())
    }

    /// The name of the phase that the deployment is in; empty before any.
    #[track_caller]
    pub fn phase(&self, gateway: &Gateway) -> String {
        gateway.json(&["service", "show", "web"])["deployment"]["phase"]["name"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn wait_for_phase(&self, gateway: &Gateway, phase: &str) {
        eventually(PATIENCE, || {
            let present = self.phase(gateway);
            if present == phase { Ok(()) } else { Err(format!("{present}, not {phase}")) }
        });
    }

    /// Waits until the service has exactly these backends, all active.
    #[track_caller]
    pub fn wait_for_backends(&self, gateway: &Gateway, wanted: [usize; 2]) {
        let wanted = wanted.map(|index| (self.address(index).to_string(), "active".to_owned()));
        eventually(PATIENCE, || {
            let listed = gateway.json(&["backend", "list", "web"]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let backends = listed.as_array().expect("a list");
            let present: Vec<_> = backends.iter().map(|it| (text(&it["address"]), text(&it["state"]))).collect();
            if present == wanted { Ok(()) } else { Err(format!("{present:?}")) }
        });
    }

    fn signals_file(&self) -> PathBuf {
        self.lab.directory().join("signals")
    }
}
