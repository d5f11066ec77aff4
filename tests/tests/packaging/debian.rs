//! The Debian package under a real systemd: installed, started, upgraded under traffic, removed, purged.

use std::path::Path;

use gateway_tests::{
    Family, Lab, Mode, Output, Systemd, Topology,
    gateway::{another_build, program},
    scenario::{PORT, config, servers},
    traffic::{Behaviour, Heartbeat, client},
};

use crate::packages;

const CONFIGURATION: &str = "/etc/gateway/gateway.toml";
const BEATS: usize = 20;

/// The scenarios' configuration, with the socket and the state where they are by default.
fn configuration(lab: &Lab) -> String {
    let text = config(lab, Mode::XdpNative).to_toml();
    let (_, rest) = text.split_once("[public]").expect("[control] comes before [public]");
    format!("[public]{rest}")
}

#[track_caller]
fn dpkg(systemd: &Systemd<'_>, arguments: &[&str]) -> Output {
    // Without the triggers of the machine's other packages.
    let output = systemd.run("dpkg", &[&["--no-triggers"], arguments].concat());
    assert_eq!(output.code, Some(0), "{output:?}\n{}", systemd.log());
    output
}

fn file(folder: &Path, version: &str) -> String {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    folder.join(format!("gateway_{version}_{architecture}.deb")).display().to_string()
}

fn exists(systemd: &Systemd<'_>, path: &str) -> bool {
    systemd.run("test", &["-e", path]).code == Some(0)
}

#[test]
fn package_is_installed_started_upgraded_removed_and_purged() {
    let lab = Topology::two_arm(2).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let first = file(&packages(&lab, &program(), "1.0.0"), "1.0.0");
    let second = file(&packages(&lab, &another_build(&lab), "1.0.1"), "1.0.1");
    let systemd = Systemd::start_without_gateway(&lab);
    // Machines that are built forbid packages to start services; this one is in use.
    systemd.run("rm", &["-f", "/usr/sbin/policy-rc.d"]).success();

    dpkg(&systemd, &["--install", &first]);
    let active = || systemd.run("systemctl", &["is-active", "gateway.service"]).stdout;
    assert_eq!(active().trim(), "inactive", "nothing is configured yet");
    let listed = systemd.run("dpkg", &["--listfiles", "gateway"]).success().stdout;
    for place in ["man1/gateway-deploy.1.gz", "completions/gateway", "examples/gateway.toml", "docs/packaging.md"] {
        assert!(listed.lines().any(|line| line.ends_with(place)), "no {place} in {listed}");
    }
    systemd.run("gateway", &["check", "/usr/share/doc/gateway/examples/gateway.toml"]).success();
    let unpacked = systemd.run("dpkg", &["--verify", "gateway"]).success().stdout;
    assert_eq!(unpacked, "");

    systemd.write(CONFIGURATION, &configuration(&lab));
    let started = systemd.run("systemctl", &["start", "gateway.service"]);
    assert_eq!(started.code, Some(0), "{started:?}\n{}", systemd.log());
    let connections = Family::ALL.map(|family| Heartbeat::start(&lab.client, lab.front.at(family, PORT)));
    connections.iter().for_each(|connection| connection.expect_beats(BEATS));
    systemd.run("gateway", &["service", "add", "kept", "--listen", ":20999"]).success();

    let before = systemd.main_process("gateway.service");
    dpkg(&systemd, &["--install", &second]);
    assert_ne!(systemd.main_process("gateway.service"), before, "the new daemon runs");
    connections.iter().for_each(|connection| connection.expect_beats(BEATS));
    client::connect(&lab.client, lab.front.at(Family::V4, PORT)).unwrap();
    systemd.run("gateway", &["service", "show", "kept"]).success();
    for connection in connections {
        connection.stop().unwrap_or_else(|e| panic!("{e}\n{}", systemd.log()));
    }

    dpkg(&systemd, &["--remove", "gateway"]);
    assert!(client::connect(&lab.client, lab.front.at(Family::V4, PORT)).is_err(), "the datapath is off");
    let links = lab.front.output("ip", &["link", "show"]).success().stdout;
    assert!(!links.contains("xdp"), "{links}");
    assert!(!exists(&systemd, "/sys/fs/bpf/gateway"));
    assert!(exists(&systemd, "/var/lib/gateway") && exists(&systemd, CONFIGURATION), "kept for a new installation");

    dpkg(&systemd, &["--purge", "gateway"]);
    let left =
        systemd.run("sh", &["-c", "ls -d /var/lib/gateway /etc/gateway /etc/systemd/system/*gateway* 2>/dev/null"]);
    assert_eq!(left.stdout, "");
    let own = |line: &&str| line.contains("gateway") && exists(&systemd, line);
    assert_eq!(listed.lines().filter(own).collect::<Vec<_>>(), [""; 0]);
}
