//! Programs that people run behind a gateway, each with a client of its own kind.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use gateway_tests::{
    Family, Gateway, Host, Lab, Process, eventually,
    scenario::{BACKEND_PORT, PORT},
    traffic::{Instance, client},
};

mod database;
mod grpc;
mod hairpin;
mod mqtt;
mod pipeline;
mod web;

/// For a program to start, to end, or to see what it waits for.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Starts a server program on `host` and waits until it listens on `port`.
#[track_caller]
fn serve(host: &Host, port: u16, program: &str, arguments: &[&str]) -> Process {
    let mut server = host.start(program, arguments);
    eventually(TIMEOUT, || {
        assert!(server.exit_status().is_none(), "{program} has ended: {}{}", server.stdout(), server.stderr());
        host.run(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(drop))
    });
    server
}

/// The service `name` of the first public address, with one backend.
#[track_caller]
fn add_service(gateway: &Gateway, name: &str, listen: SocketAddr, backend: &str) {
    gateway.cli(&["service", "add", name, "--listen", &listen.to_string(), "--backend", backend]).success();
}

/// Replaces the backends of a service and waits until the old ones are gone.
#[track_caller]
fn deploy(gateway: &Gateway, name: &str, backend: &str) {
    gateway.cli(&["deploy", name, "--backend", backend, "--rollback-on-errors", "off"]).success();
}

/// The backend with its process, as `gateway` takes it.
fn backend(address: SocketAddr, process: &Process) -> String {
    format!("{address},pid={}", process.id())
}

/// A deployment of a service of its own, on the same gateway and hosts.
#[track_caller]
fn deploy_another_service(lab: &Lab, gateway: &Gateway) {
    const OTHER: u16 = 500;
    let listen = lab.front.at(Family::V4, PORT + OTHER);
    let [old, new] = ["old", "new"].map(|name| {
        let host = &lab.backends[usize::from(name == "new")];
        Instance::start(host, host.at(Family::V4, BACKEND_PORT + OTHER), name)
    });
    add_service(gateway, "other", listen, &old.backend());
    assert_eq!(client::identity_of(&lab.client, listen).as_deref(), Ok("old"));
    deploy(gateway, "other", &new.backend());
    assert_eq!(old.ledger(TIMEOUT).failed, 0);
    assert_eq!(client::identity_of(&lab.client, listen).as_deref(), Ok("new"));
}

/// A path as programs take it among their arguments.
fn text(path: &Path) -> &str {
    path.to_str().expect("the lab's paths are plain")
}
