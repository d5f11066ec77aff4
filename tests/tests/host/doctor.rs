//! `gateway doctor`: what can be broken on a host is found, and the printed fix mends it.

use std::{fs, process::Command, time::Duration};

use gateway_tests::{Gateway, GatewayConfig, LabId, Mode, Namespace, Output, Process, Topology, gateway::program};
use serde_json::Value;

use crate::Wire;

mod mended;
mod others;

const PATIENCE: Duration = Duration::from_secs(60);

/// The command in a namespace, started by `prefix`, with pins that nobody has.
fn doctor(namespace: &Namespace, prefix: &[&str], arguments: &[&str]) -> Output {
    let program = program();
    let mut words: Vec<&str> = prefix.to_vec();
    words.push(program.to_str().expect("a plain path"));
    let mut command: Command = namespace.command(words[0]);
    command.args(&words[1..]).arg("doctor").args(arguments).env("GATEWAY_BPFFS", LabId::new().pin_directory());
    Process::start(&mut command).wait(PATIENCE)
}

/// The findings of a check.
fn of_check<'a>(report: &'a Value, check: &str) -> Vec<&'a Value> {
    let findings = report["checks"].as_array().expect("a list of findings");
    let found: Vec<_> = findings.iter().filter(|finding| finding["name"] == check).collect();
    assert!(!found.is_empty(), "no finding of {check} in {report}");
    found
}

fn result<'a>(report: &'a Value, check: &str) -> &'a str {
    of_check(report, check)[0]["result"].as_str().expect("a word")
}

fn forwarding_host() -> Wire {
    let wire = Wire::new();
    wire.host.sysctl("net/ipv4/ip_forward", "1");
    wire.host.sysctl("net/ipv6/conf/all/forwarding", "1");
    wire
}

#[test]
fn host_that_can_run_the_gateway_is_told_so() {
    let wire = forwarding_host();
    let output = doctor(&wire.host, &[], &["--interface", "eth0", "--json"]).success();
    let report = output.json();
    assert_eq!(report["can_run"], true);
    for check in ["kernel", "type information", "capabilities", "bpffs", "pins", "packet programs", "forwarding"] {
        assert_eq!(result(&report, check), "ok", "{check}: {report}");
    }
    assert_eq!(of_check(&report, "forwarding").len(), 2, "one of each family: {report}");
    let table = doctor(&wire.host, &[], &["--interface", "eth0"]).success().stdout;
    assert!(table.lines().any(|line| line.starts_with("ok") && line.contains("packet programs")), "{table}");
}

#[test]
fn printed_fix_turns_forwarding_on() {
    let wire = forwarding_host();
    wire.host.sysctl("net/ipv4/ip_forward", "0");
    let output = doctor(&wire.host, &[], &["--interface", "eth0", "--json"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let report = output.json();
    assert_eq!(report["can_run"], false);
    let off: Vec<_> = of_check(&report, "forwarding").into_iter().filter(|it| it["result"] == "error").collect();
    assert_eq!(off.len(), 1, "{report}");
    assert_eq!(off[0]["interface"], "eth0");
    wire.host.output("sh", &["-c", off[0]["fix"].as_str().expect("a command")]).success();
    doctor(&wire.host, &[], &["--interface", "eth0"]).success();
}

#[test]
fn interface_that_is_not_there_is_missing() {
    let wire = forwarding_host();
    let output = doctor(&wire.host, &[], &["--interface", "eth9", "--json"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_eq!(result(&output.json(), "interface"), "error");
}

#[test]
fn host_without_bpffs_is_told_the_command() {
    let wire = forwarding_host();
    let umount = ["sh", "-c", "umount /sys/fs/bpf && exec \"$0\" \"$@\""];
    let report = doctor(&wire.host, &umount, &["--json"]).success().json();
    assert_eq!(result(&report, "bpffs"), "warning", "root's gateway mounts it: {report}");
    let without_mount = ["sh", "-c", "umount /sys/fs/bpf && exec setpriv --bounding-set=-sys_admin \"$0\" \"$@\""];
    let output = doctor(&wire.host, &without_mount, &["--json"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let report = output.json();
    let fix = of_check(&report, "bpffs")[0]["fix"].as_str().expect("a command");
    assert!(fix.contains("mount -t bpf bpf /sys/fs/bpf"), "{report}");
    let output = doctor(&wire.host, &[], &["--json", "--bpffs", "/tmp/pins"]);
    assert_eq!((output.code, result(&output.json(), "bpffs")), (Some(1), "error"));
}

#[test]
fn missing_capabilities_are_named_and_what_needs_them_is_unknown() {
    let wire = forwarding_host();
    let stranger = ["setpriv", "--reuid=61001", "--regid=61001", "--clear-groups", "--bounding-set=-all"];
    let copy = std::env::temp_dir().join(format!("gwtest-{}-doctor", LabId::new()));
    fs::create_dir_all(&copy).unwrap();
    fs::copy(program(), copy.join("gateway")).unwrap();
    let mut command = wire.host.command("setpriv");
    command.args(&stranger[1..]).arg(copy.join("gateway")).args(["doctor", "--json"]);
    let output = Process::start(&mut command).wait(PATIENCE);
    fs::remove_dir_all(copy).unwrap();
    assert_eq!(output.code, Some(1), "{output:?}");
    let report = output.json();
    let found = of_check(&report, "capabilities")[0]["detail"].as_str().expect("text");
    assert!(["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"].iter().all(|name| found.contains(name)), "{report}");
    assert_eq!(result(&report, "packet programs"), "unknown", "{report}");
    assert_eq!(result(&report, "kernel"), "ok", "{report}");
    // One less than it needs.
    let output = doctor(&wire.host, &["setpriv", "--bounding-set=-perfmon,-sys_admin"], &["--json"]);
    assert_eq!(of_check(&output.json(), "capabilities")[0]["detail"], "CAP_PERFMON are missing");
}

#[test]
fn programs_and_pins_that_are_there_are_shown() {
    let lab = Topology::two_arm(1).build();
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative));
    let report = gateway.json(&["doctor", "--interface", "eth0"]);
    let xdp = of_check(&report, "XDP program")[0]["detail"].as_str().expect("text");
    assert!(xdp.starts_with("the gateway's"), "{report}");
    assert!(of_check(&report, "pins")[0]["detail"].as_str().expect("text").contains("adopted"), "{report}");
    gateway.stop();
    fs::create_dir(lab.id().pin_directory().join("v0")).unwrap();
    let output = gateway_tests::gateway::cli(&lab, &["doctor", "--json"]);
    assert_eq!((output.code, result(&output.json(), "pins")), (Some(1), "error"), "{output:?}");
}
