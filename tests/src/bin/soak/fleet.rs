//! The servers of the service `web`: programs of their own, one on each backend.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use gateway_tests::{Family, Gateway, Host, Lab, scenario::BACKEND_PORT, traffic::Instance};
use nix::sys::signal::Signal;

use crate::site::WEB;

/// Servers have ports from here on, none of them twice.
const FIRST_PORT: u16 = BACKEND_PORT + 100;
/// A server that was told to end has this long; its clients end within a second.
const END_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Fleet<'a> {
    lab: &'a Lab,
    family: Family,
    servers: Vec<Member<'a>>,
    started: u16,
}

struct Member<'a> {
    host: &'a Host,
    address: SocketAddr,
    name: String,
    process: Instance,
}

impl<'a> Fleet<'a> {
    #[track_caller]
    pub fn start(lab: &'a Lab, family: Family) -> Self {
        let mut fleet = Self { lab, family, servers: Vec::new(), started: 0 };
        fleet.servers = lab.backends.iter().map(|host| fleet.launch(host)).collect();
        fleet
    }

    pub fn len(&self) -> usize {
        self.servers.len()
    }

    pub fn name(&self, index: usize) -> String {
        self.servers[index].name.clone()
    }

    pub fn address(&self, index: usize) -> SocketAddr {
        self.servers[index].address
    }

    /// Runs a command of the gateway with all servers as backends.
    #[track_caller]
    pub fn run(&self, gateway: &Gateway, command: &[&str]) {
        let backends: Vec<_> =
            self.servers.iter().flat_map(|server| ["--backend".to_owned(), self.spec(server)]).collect();
        let backends: Vec<_> = backends.iter().map(String::as_str).collect();
        gateway.cli(&[command, &backends].concat()).success();
    }

    /// Replaces some of the servers, or all, and waits until the old ones have ended by themselves.
    #[track_caller]
    pub fn deploy(&mut self, gateway: &Gateway, random: &mut fastrand::Rng) {
        let count = random.usize(1..=self.servers.len());
        let mut old = Vec::new();
        for index in 0..count {
            let new = self.launch(self.servers[index].host);
            old.push(std::mem::replace(&mut self.servers[index], new));
        }
        self.run(gateway, &["deploy", WEB, "--wait", "all", "--rollback-on-errors", "300ms"]);
        for mut server in old {
            if !server.process.ends_within(END_TIMEOUT) {
                let port = format!("sport = :{}", server.address.port());
                let sockets = server.host.output("ss", &["-tnoei", &port]).stdout;
                let flows = gateway.json(&["flows", WEB, "--backend", &server.address.to_string()]);
                panic!(
                    "{} does not end: its connections are\n{sockets}and those that the gateway knows\n{flows}",
                    server.name
                );
            }
            server.process.ledger(END_TIMEOUT);
        }
    }

    /// Ends a server as a crash does.
    pub fn kill(&mut self, index: usize) {
        let process = &mut self.servers[index].process;
        process.signal(Signal::SIGKILL);
        process.wait(END_TIMEOUT);
    }

    /// Starts another in the place of one that was killed, with its address.
    #[track_caller]
    pub fn return_to_life(&mut self, index: usize) {
        let Member { host, address, .. } = self.servers[index];
        self.servers[index] = self.launch_at(host, address);
    }

    #[track_caller]
    fn launch(&mut self, host: &'a Host) -> Member<'a> {
        let address = host.at(self.family, FIRST_PORT + self.started);
        self.launch_at(host, address)
    }

    #[track_caller]
    fn launch_at(&mut self, host: &'a Host, address: SocketAddr) -> Member<'a> {
        self.started += 1;
        let name = format!("web-{}", self.started);
        let process = Instance::start(host, address, &name);
        fs::write(self.id_file(address), process.id().to_string()).expect("the lab's folder is writable");
        Member { host, address, name, process }
    }

    /// The backend with how it is told to end. Not by its process, which is another one after a crash.
    fn spec(&self, server: &Member) -> String {
        let file = self.id_file(server.address);
        format!("{},command=sh -c 'kill -TERM $(cat {})'", server.address, file.display())
    }

    fn id_file(&self, address: SocketAddr) -> PathBuf {
        self.lab.directory().join(format!("process-{}", address.port()))
    }
}
