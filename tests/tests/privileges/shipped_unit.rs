//! `packaging/gateway.service`, as it is, under a real systemd: its sandbox lets everything through that the gateway does.

use std::{fs, time::Duration};

use gateway_tests::{
    BackendSide, Family, Lab, Mode, Systemd, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, config, servers, service_name},
    traffic::{Behaviour, Failure, Heartbeat, client},
};

use crate::{assert_confined, documented, field, workspace};

const CONFIGURATION: &str = "/etc/gateway/gateway.toml";
const PATIENCE: Duration = Duration::from_secs(20);
const BEATS: usize = 20;

fn unit() -> String {
    fs::read_to_string(workspace().join("packaging/gateway.service")).expect("the unit is in the repository")
}

/// A systemd with the unit, started.
#[track_caller]
fn start<'lab>(lab: &'lab Lab, configuration: &str) -> Systemd<'lab> {
    let systemd = Systemd::start(lab);
    systemd.add_unit("gateway.service", &unit());
    let console = systemd.console().display().to_string();
    // There is no journal.
    let log = format!("[Service]\nStandardOutput=append:{console}\nStandardError=append:{console}\n");
    systemd.add_unit("gateway.service.d/log.conf", &log);
    systemd.write(CONFIGURATION, configuration);
    let started = systemd.run("systemctl", &["start", "gateway.service"]);
    assert_eq!(started.code, Some(0), "{started:?}\n{}", systemd.log());
    systemd
}

/// The scenarios' configuration, with the socket and the state where they are by default.
fn configuration(lab: &Lab, mode: Mode) -> String {
    let text = config(lab, mode).to_toml();
    let (_, rest) = text.split_once("[public]").expect("[control] comes before [public]");
    format!("[public]{rest}")
}

#[test]
fn unit_forwards_reloads_restarts_and_cuts_within_its_sandbox() {
    for (mode, side) in [(Mode::XdpNative, BackendSide::Segment), (Mode::Tc, BackendSide::Bridge)] {
        let lab = Topology::new(side, 2).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let systemd = start(&lab, &configuration(&lab, mode));
        let connections = Family::ALL.map(|family| Heartbeat::start(&lab.client, lab.front.at(family, PORT)));
        connections.iter().for_each(|connection| connection.expect_beats(BEATS));

        let process = systemd.main_process("gateway.service");
        let status = systemd.run("sh", &["-c", &format!("cat /proc/{process}/task/*/status")]).success().stdout;
        let threads: Vec<_> = status.split_inclusive("nonvoluntary").map(str::to_owned).collect();
        let threads = &threads[..threads.len() - 1];
        assert_confined(threads, &documented());
        assert!(threads.iter().all(|status| field(status, "Seccomp") == "2"), "{status}");

        systemd.write(CONFIGURATION, &configuration(&lab, mode).replace(&format!(":{PORT}\""), ":20777\""));
        systemd.run("systemctl", &["reload", "gateway.service"]).success();
        let moved = lab.front.at(Family::V4, 20_777);
        eventually(PATIENCE, || client::connect(&lab.client, moved).map(drop).map_err(|e| (e, systemd.log())));
        connections.iter().for_each(|connection| connection.expect_beats(BEATS));

        systemd.run("systemctl", &["restart", "gateway.service"]).success();
        connections.iter().for_each(|connection| connection.expect_beats(BEATS));
        client::connect(&lab.client, moved).unwrap();

        // The raw socket: resets to both ends of what is open when a drain ends.
        for (family, connection) in Family::ALL.into_iter().zip(connections) {
            connection.stop().unwrap_or_else(|e| panic!("{mode:?} {family:?}: {e}\n{}", systemd.log()));
            let to = if family == Family::V4 { moved } else { lab.front.at(family, 20_777) };
            let stream = client::connect(&lab.client, to).unwrap();
            client::exchange(&stream, 1, 1000).unwrap();
            for backend in lab.backends_at(family, BACKEND_PORT) {
                let drain = ["backend", "drain", service_name(family), &backend.to_string(), "--now", "--wait"];
                systemd.run("gateway", &drain).success();
            }
            assert_eq!(client::exchange(&stream, 2, 1000), Err(Failure::Reset), "{mode:?}\n{}", systemd.log());
        }
        assert!(!systemd.log().contains("not permitted"), "{}", systemd.log());
    }
}

#[test]
fn unit_stops_old_backends_by_pid_unit_and_command_within_its_sandbox() {
    let lab = Topology::two_arm(3).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let systemd = start(&lab, &configuration(&lab, Mode::XdpNative));
    // Processes of another user, which only CAP_KILL reaches.
    for name in ["by-pid", "by-unit", "by-command"] {
        let service = "[Service]\nUser=nobody\nExecStart=/bin/sleep infinity\n";
        systemd.add_unit(&format!("{name}.service"), service);
        systemd.run("systemctl", &["start", name]).success();
    }
    let process = |name: &str| systemd.main_process(&format!("{name}.service")).to_string();
    let command = format!("command=kill {}", process("by-command"));
    let stops = [format!("pid={}", process("by-pid")), "unit=by-unit.service".to_owned(), command];
    let listen = lab.front.at(Family::V4, 20_778).to_string();
    let backends = lab.backends_at(Family::V4, BACKEND_PORT).into_iter();
    let specs: Vec<_> = backends.zip(stops).map(|(at, stop)| format!("--backend={at},{stop}")).collect();
    let mut add = vec!["service", "add", "old", "--listen", &listen];
    add.extend(specs.iter().map(String::as_str));
    systemd.run("gateway", &add).success();
    for backend in lab.backends_at(Family::V4, BACKEND_PORT) {
        systemd
            .run("gateway", &["backend", "drain", "old", &backend.to_string(), "--timeout", "0s", "--wait"])
            .success();
    }
    for name in ["by-pid", "by-unit", "by-command"] {
        eventually(PATIENCE, || {
            let state = systemd.run("systemctl", &["show", "--property=ActiveState", "--value", name]).stdout;
            if state.trim() == "inactive" { Ok(()) } else { Err(format!("{name}: {state}{}", systemd.log())) }
        });
    }
}

#[test]
fn unit_is_well_formed_and_exposes_little() {
    /// In tenths, of `systemd-analyze security`; docs/security.md says what is left and why.
    const MOST: u32 = 25;
    let lab = Topology::two_arm(1).build();
    let systemd = Systemd::start(&lab);
    systemd.add_unit("gateway.service", &unit());
    let path = workspace().join("packaging/gateway.service").display().to_string();
    let verified = systemd.run("systemd-analyze", &["verify", "--man=no", &path]).success();
    assert_eq!(verified.stdout + &verified.stderr, "");
    let threshold = format!("--threshold={MOST}");
    let rated = systemd.run("systemd-analyze", &["security", "--offline=true", &threshold, "--no-pager", &path]);
    assert_eq!(rated.code, Some(0), "{}", rated.stdout);
}
