//! Capabilities of the running daemon.

use std::{fs, os::unix::fs::chown, time::Duration};

use gateway_tests::{
    Family, Gateway, Mode, Process, Topology,
    gateway::program,
    scenario::{PORT, config, servers},
    traffic::{Behaviour, client},
};

use nix::sys::signal::Signal;

use crate::{assert_confined, documented, field, names};

/// Of nobody on this machine.
const USER: u32 = 61_003;
const PATIENCE: Duration = Duration::from_secs(30);

/// The status of every thread of a process.
fn threads(process: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let status = |thread: std::io::Result<fs::DirEntry>| fs::read_to_string(thread.ok()?.path().join("status")).ok();
    threads.filter_map(status).collect()
}

#[test]
fn every_thread_has_the_documented_capabilities_and_no_way_to_others() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let mut gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let stream = client::connect(&lab.client, lab.front.at(Family::V4, PORT)).unwrap();
    client::exchange(&stream, 1, 10_000).unwrap();
    // Makes it use its pool of blocking threads.
    gateway.json(&["flows"]);
    assert_confined(&threads(gateway.process().id()), &documented());
}

#[test]
fn next_daemon_takes_the_loaded_programs_over() {
    let lab = Topology::two_arm(1).build();
    let program = |gateway: &Gateway| {
        let report = gateway.json(&["doctor", "--interface", "eth0"]);
        let findings = report["checks"].as_array().expect("a list of findings");
        let xdp =
            findings.iter().find(|finding| finding["name"] == "XDP program").expect("an interface has such a finding");
        xdp["detail"].as_str().expect("text").to_owned()
    };
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let before = program(&gateway);
    assert!(before.starts_with("the gateway's"), "{before}");
    gateway.stop();
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    assert_eq!(program(&gateway), before, "loaded anew");
}

#[test]
fn daemon_listens_on_its_unix_socket_alone() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let listening = lab.front.output("ss", &["-H", "-l", "-n", "-t", "-u", "-w", "-S", "-0"]).success().stdout;
    assert_eq!(listening, "", "nothing on the front server listens for a network");
    let unix = lab.front.output("ss", &["-H", "-l", "-n", "-x"]).success().stdout;
    let of_gateway = unix.lines().filter(|line| line.contains(&lab.directory().display().to_string()));
    assert_eq!(of_gateway.count(), 1, "{unix}");
    drop(gateway);
}

#[test]
fn user_that_is_not_root_forwards_with_the_documented_capabilities_and_cannot_without_one() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let directory = lab.directory();
    fs::write(directory.join("gateway.toml"), config(&lab, Mode::XdpNative).to_toml()).unwrap();
    fs::copy(program(), directory.join("gateway")).unwrap();
    chown(&directory, Some(USER), Some(USER)).unwrap();
    let run = |capabilities: &str| {
        let mut command = lab.front.command("setpriv");
        command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]);
        command.args([&format!("--inh-caps={capabilities}"), &format!("--ambient-caps={capabilities}")]);
        command.arg(directory.join("gateway")).args(["run", "--config"]).arg(directory.join("gateway.toml"));
        Process::start(command.env("GATEWAY_BPFFS", lab.id().pin_directory()))
    };
    let all = "-all,+bpf,+kill,+net_admin,+net_raw,+perfmon";
    for required in ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"] {
        let name = required.trim_start_matches("CAP_").to_lowercase();
        let refused = run(&all.replace(&format!(",+{name}"), "")).wait(PATIENCE);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(&format!("the gateway lacks {required}:")), "{refused:?}");
    }
    let mut gateway = run(all);
    gateway.wait_for_line("ready", PATIENCE);
    for status in threads(gateway.id()) {
        assert_eq!(field(&status, "Uid").split_whitespace().next(), Some(&*USER.to_string()));
        for set in ["CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(names(field(&status, set)), documented(), "{set} of {status}");
        }
        assert_eq!(field(&status, "NoNewPrivs"), "1", "{status}");
    }
    for family in Family::ALL {
        let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
        client::exchange(&stream, 1, 10_000).unwrap();
    }
    gateway.signal(Signal::SIGTERM);
    assert_eq!(gateway.wait(PATIENCE).code, Some(0), "{}", gateway.stderr());
}
