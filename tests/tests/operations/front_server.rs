//! The front server of the runbook: its addresses are those of the document, and the gateway runs as the shipped unit under
//! a real systemd, so that commands are run as they stand there.

use std::{cell::RefCell, fs, net::SocketAddr, path::Path, time::Duration};

use gateway_tests::{
    BackendSide, Lab, Output, Process, Systemd, Topology, eventually,
    topology::ClientSide,
    traffic::{Behaviour, Server, client},
};

const CONFIGURATION: &str = "/etc/gateway/gateway.toml";
const PATIENCE: Duration = Duration::from_secs(30);

/// Where `web` listens, and both of its backends.
pub const PORT: u16 = 80;

/// The file, but for what a scenario is about.
const HEAD: &str = "[public]
address = \"203.0.113.10\"

[metrics]
listen = \"127.0.0.1:9469\"

[[interface]]
name = \"eth0\"
mode = \"MODE\"

[[interface]]
name = \"eth1\"
mode = \"MODE\"

";

/// What scenarios of no particular table have.
pub const TABLES: &str = "[snat]\naddresses = [\"10.0.0.1\"]\n\n[flows]\ncapacity = 65536\nhalf_open = 16384\n";

pub fn lab() -> Lab {
    Topology::new(BackendSide::Routed, 2).clients(ClientSide::Routed).build()
}

/// A configuration with native XDP.
pub fn configuration(tables: &str) -> String {
    configuration_in_mode("xdp-native", tables)
}

pub fn configuration_in_mode(mode: &str, tables: &str) -> String {
    HEAD.replace("MODE", mode) + tables
}

pub struct FrontServer<'lab> {
    pub lab: &'lab Lab,
    systemd: Systemd<'lab>,
    servers: RefCell<Vec<Option<Server>>>,
}

impl<'lab> FrontServer<'lab> {
    /// With a server on each backend, and the service `web` added at run time.
    #[track_caller]
    pub fn start(lab: &'lab Lab, configuration: &str) -> Self {
        let server = Self::prepare(lab, configuration);
        server.sh("systemctl start gateway").success();
        server.add_web("--backend 10.0.1.11:80 --backend 10.0.1.12:80");
        server
    }

    /// The same before the gateway is started.
    #[track_caller]
    pub fn prepare(lab: &'lab Lab, configuration: &str) -> Self {
        let systemd = Systemd::start(lab);
        let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/gateway.service");
        let unit = fs::read_to_string(unit).expect("the unit is in the repository");
        systemd.add_unit("gateway.service", &unit);
        // There is no journal.
        let console = systemd.console().display().to_string();
        let log = format!("[Service]\nStandardOutput=append:{console}\nStandardError=append:{console}\n");
        systemd.add_unit("gateway.service.d/log.conf", &log);
        systemd.write(CONFIGURATION, configuration);
        let server = Self { lab, systemd, servers: RefCell::new(vec![None, None]) };
        (0..2).for_each(|index| server.start_backend(index));
        server
    }

    #[track_caller]
    pub fn add_web(&self, options: &str) {
        let health = "--health-interval 500ms --health-timeout 400ms --health-fall 2";
        self.sh(&format!("gateway service add web --listen 203.0.113.10:80 {health} {options}")).success();
    }

    #[track_caller]
    pub fn start_backend(&self, index: usize) {
        let server = Server::start(&self.lab.backends[index], PORT, Behaviour::Identify(index.to_string()));
        self.servers.borrow_mut()[index] = Some(server);
    }

    pub fn stop_backend(&self, index: usize) {
        self.servers.borrow_mut()[index] = None;
    }

    #[track_caller]
    pub fn configure(&self, configuration: &str) {
        self.systemd.write(CONFIGURATION, configuration);
    }

    /// Runs a command line to its end.
    #[track_caller]
    pub fn sh(&self, line: &str) -> Output {
        self.systemd.run("sh", &["-c", line])
    }

    #[track_caller]
    pub fn begin(&self, line: &str) -> Process {
        self.systemd.begin("sh", &["-c", line])
    }

    /// What systemd and the gateway have said.
    pub fn log(&self) -> String {
        self.systemd.log()
    }

    pub fn web(&self) -> SocketAddr {
        SocketAddr::new(self.lab.front.public_v4[0].into(), PORT)
    }

    /// The backend that a new connection of the client gets.
    pub fn connect(&self) -> Result<(std::net::TcpStream, String), client::Failure> {
        let stream = client::connect(&self.lab.client, self.web())?;
        let name = client::read_identity(&stream)?;
        Ok((stream, name))
    }

    /// Waits until new connections get a backend.
    #[track_caller]
    pub fn serves(&self) -> std::net::TcpStream {
        eventually(PATIENCE, || self.connect()).0
    }

    /// Waits until new connections get this backend.
    #[track_caller]
    pub fn serves_by(&self, index: usize) {
        eventually(PATIENCE, || match self.connect() {
            Ok((_, name)) if name == index.to_string() => Ok(()),
            other => Err(other.map(|(_, name)| name)),
        });
    }

    /// Waits until a new connection of the client fails so.
    #[track_caller]
    pub fn fails_by(&self, failure: client::Failure) {
        let (own, to) = (self.lab.client.v4.into(), self.web());
        eventually(PATIENCE, || {
            let attempt = || client::connect_from(own, to, Duration::from_secs(1));
            match self.lab.client.run(attempt) {
                Err(found) if found == failure => Ok(()),
                other => Err(other),
            }
        });
    }
}
