//! The gateway as a stranger runs it: `ip netns exec`, a configuration file, curl; no variable, no folder and no
//! bpffs prepared for it. `ip netns exec` hides the machine's bpffs behind a new `/sys`.

use std::{fs, process::Command, sync::Arc, time::Duration};

use gateway_tests::{
    Family, Lab, Mode, Output, Process, Topology,
    gateway::program,
    scenario::{BACKEND_PORT, PORT, config},
    traffic::{http::HttpServer, payload},
};
use nix::sys::signal::Signal;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A program in the front server's namespace, by `ip netns exec`.
fn in_front(lab: &Lab) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", lab.front.name()]);
    command
}

#[track_caller]
fn curl(lab: &Lab, family: Family) -> Output {
    let url = format!("http://{}/file", lab.front.at(family, PORT));
    lab.client.output("curl", &["-sS", "--fail", "--max-time", "5", "-o", "/dev/null", "-w", "%{size_download}", &url])
}

#[test]
fn a_configuration_file_is_all_it_needs() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(2).build();
        let file: Arc<[u8]> = payload::bytes(1, 1_000_000).into();
        let serve = |host| HttpServer::start(host, BACKEND_PORT, Arc::clone(&file));
        let _servers: Vec<_> = lab.backends.iter().map(|backend| serve(backend)).collect();
        let path = lab.directory().join("gateway.toml");
        fs::write(&path, config(&lab, mode).to_toml()).unwrap();
        let mut gateway = Process::start(in_front(&lab).arg(program()).args(["run", "--config"]).arg(&path));
        gateway.wait_for_line("ready", TIMEOUT);
        for family in Family::ALL {
            assert_eq!(curl(&lab, family).success().stdout, "1000000", "{mode:?} {family:?}");
        }
        let socket = lab.directory().join("gateway.sock");
        let status = in_front(&lab).arg(program()).args(["status", "--json", "--socket"]).arg(socket).output().unwrap();
        assert!(status.status.success(), "{mode:?}: {status:?}");
        gateway.signal(Signal::SIGTERM);
        assert_eq!(gateway.wait(TIMEOUT).code, Some(0), "{mode:?}: {}", gateway.stderr());
    }
}
