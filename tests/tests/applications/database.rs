//! Redis: small requests on many connections, one at a time and in batches.

use std::net::SocketAddr;

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Host, Lab, Mode, Process, Topology,
    scenario::{BACKEND_PORT, PORT},
};

use crate::{add_service, serve, text};

/// Starts redis-server on every address of `host`, with nothing on disk.
#[track_caller]
pub fn redis(lab: &Lab, host: &Host) -> Process {
    let (port, directory) = (BACKEND_PORT.to_string(), lab.directory());
    let options =
        ["--port", &port, "--bind", "*", "-::*", "--protected-mode", "no", "--save", "", "--dir", text(&directory)];
    serve(host, BACKEND_PORT, "redis-server", &options)
}

/// A bounded load, of which every command must be answered without an error. Its client is only made for IPv4.
#[track_caller]
pub fn benchmark(client: &Host, to: SocketAddr, load: &[&str]) -> String {
    let (address, port) = (to.ip().to_string(), to.port().to_string());
    let report = client.output("redis-benchmark", &[&["-h", &address, "-p", &port, "--csv"], load].concat()).success();
    assert_eq!(report.stderr, "");
    report.stdout
}

/// The answer to one command.
#[track_caller]
pub fn ask(client: &Host, to: SocketAddr, command: &[&str]) -> String {
    let (address, port) = (to.ip().to_string(), to.port().to_string());
    client.output("redis-cli", &[&["-h", &address, "-p", &port], command].concat()).success().stdout
}

#[test]
fn redis_benchmark_sees_no_error() {
    const COMMANDS: [&str; 5] = ["SET", "GET", "INCR", "LPUSH", "MSET (10 keys)"];
    for (mode, side) in [(Mode::XdpNative, BackendSide::Segment), (Mode::Tc, BackendSide::Bridge)] {
        let lab = Topology::new(side, 1).build();
        let _redis = redis(&lab, &lab.backends[0]);
        let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode));
        let to = lab.front.at(Family::V4, PORT);
        add_service(&gateway, "redis", to, &lab.backends[0].at(Family::V4, BACKEND_PORT).to_string());
        for batch in ["1", "16"] {
            let load = ["-n", "5000", "-c", "50", "-d", "512", "-P", batch, "-t", "set,get,incr,lpush,mset"];
            let report = benchmark(&lab.client, to, &load);
            let measured = |command: &&str| report.contains(&format!("\"{command}\""));
            assert!(COMMANDS.iter().all(measured), "{mode:?}: {report}");
        }
        assert_eq!(ask(&lab.client, to, &["info", "errorstats"]).trim(), "# Errorstats", "{mode:?}");
    }
}
