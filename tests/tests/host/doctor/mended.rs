//! Each of a host's settings broken, seen by its check, and mended by what the check says.

use std::{fs, net::TcpListener, os::unix::net::UnixListener, path::PathBuf, thread};

use gateway_tests::{LabId, Namespace, link};
use serde_json::Value;

use super::{doctor, forwarding_host, of_check};
use crate::Wire;

const BACKEND: &str = "10.0.0.2";

/// A configuration file for the doctor, gone with the guard.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gwtest-{}-doctor.toml", LabId::new()));
        fs::write(&path, text).expect("the folder for temporary files is writable");
        Self(path)
    }

    /// With a service on `eth0` that has this backend, and more lines of sections.
    fn with(mode: &str, backend: &str, more: &str) -> Self {
        Self::new(&format!(
            "[public]\naddress = \"203.0.113.10\"\n[[interface]]\nname = \"eth0\"\nmode = \"{mode}\"\n[[service]]\n\
             name = \"web\"\nlisten = \":80\"\n[[service.backend]]\naddress = \"{backend}:80\"\n{more}"
        ))
    }

    fn report(&self, host: &Namespace) -> Value {
        self.report_with(host, &[])
    }

    fn report_with(&self, host: &Namespace, arguments: &[&str]) -> Value {
        let path = self.0.display().to_string();
        let output = doctor(host, &[], &[&["--config", &path, "--json"], arguments].concat());
        let report = output.json();
        assert_eq!(output.code == Some(0), report["can_run"] == true, "{output:?}");
        report
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The worst finding of a check.
#[track_caller]
fn worst<'a>(report: &'a Value, check: &str) -> &'a Value {
    const ORDER: [&str; 4] = ["ok", "unknown", "warning", "error"];
    let rank = |finding: &&Value| ORDER.iter().position(|word| finding["result"] == *word).expect("a known word");
    of_check(report, check).into_iter().max_by_key(rank).expect("there is one")
}

#[track_caller]
fn expect<'a>(report: &'a Value, check: &str, result: &str) -> &'a Value {
    let finding = worst(report, check);
    assert_eq!(finding["result"], result, "{check}: {report:#}");
    finding
}

fn fix(finding: &Value) -> &str {
    finding["fix"].as_str().expect("a fix")
}

/// The check has this result; its fix, which is a command, makes it good.
#[track_caller]
fn mends(host: &Namespace, file: &File, check: &str, result: &str) {
    let report = file.report(host);
    let command = fix(expect(&report, check, result));
    host.output("sh", &["-ec", command]).success();
    expect(&file.report(host), check, "ok");
}

#[test]
fn host_in_order_has_nothing_to_mend() {
    let wire = forwarding_host();
    let report = File::with("xdp-native", BACKEND, "").report(&wire.host);
    assert_eq!(report["can_run"], true, "{report:#}");
    for check in ["native XDP", "XDP redirect", "XDP frames", "LRO", "GRO-HW", "XDP program", "TC programs"] {
        expect(&report, check, "ok");
    }
    for check in ["source ports", "listeners", "routes to backends", "neighbours", "packet filter", "MTU", "memory"] {
        expect(&report, check, "ok");
    }
}

#[test]
fn interface_that_is_down() {
    let wire = forwarding_host();
    wire.host.ip(&["link set eth0 down"]);
    mends(&wire.host, &File::with("tc", BACKEND, ""), "interface", "warning");
}

#[test]
fn fewer_queues_than_processors() {
    let processors = thread::available_parallelism().expect("it is known").get();
    if processors == 1 {
        return println!("skipped: one processor is served by any queue");
    }
    let wire = forwarding_host();
    let queues = format!("numrxqueues {processors} numtxqueues {processors}");
    wire.host.ip(&[format!("link add nic0 {queues} type veth peer name nic1 {queues}")]);
    link::behave_like_a_network_card(&wire.host, "nic1");
    wire.host.ip(&["link set nic0 up", "link set nic1 up"]);
    for end in ["nic0", "nic1"] {
        wire.host.output("ethtool", &["-L", end, "rx", "1", "tx", "1"]).success();
    }
    let file = File::new("[[interface]]\nname = \"nic0\"\nmode = \"xdp-native\"\n");
    mends(&wire.host, &file, "queues", "warning");
}

#[test]
fn device_without_native_xdp() {
    let wire = forwarding_host();
    link::bridge(&wire.host, "br0");
    let file = |mode| File::new(&format!("[[interface]]\nname = \"br0\"\nmode = \"{mode}\"\n"));
    let report = file("xdp-native").report(&wire.host);
    let said = fix(expect(&report, "native XDP", "error")).to_owned();
    expect(&file("xdp-native").report_with(&wire.host, &["--probe"]), "native XDP", "error");
    for mode in ["xdp-generic", "tc"] {
        assert!(said.contains(mode), "{said}");
        assert_eq!(file(mode).report(&wire.host)["can_run"], true);
    }
}

#[test]
fn veth_whose_peer_drops_what_is_redirected() {
    let wire = forwarding_host();
    let file = File::with("xdp-native", BACKEND, "");
    wire.peer.output("ethtool", &["-K", "eth0", "gro", "off"]).success();
    let report = file.report(&wire.host);
    let command = fix(expect(&report, "XDP redirect", "error")).split(',').next().expect("a command");
    wire.peer.output("sh", &["-ec", &command.replace("PEER", "eth0")]).success();
    expect(&file.report(&wire.host), "XDP redirect", "ok");
}

#[test]
fn interfaces_of_different_mtu() {
    let wire = forwarding_host();
    wire.host.ip(&["link add eth1 type veth peer name far1", "link set eth1 up mtu 1400"]);
    let file = File::with("tc", BACKEND, "[[interface]]\nname = \"eth1\"\n");
    mends(&wire.host, &file, "MTU", "warning");
}

#[test]
fn card_that_strips_vlan_tags() {
    let wire = forwarding_host();
    if !link::kernel_has_vlans(&wire.peer) {
        return println!("skipped: this kernel has no 802.1Q interfaces");
    }
    link::vlan(&wire.host, "eth0", 5);
    wire.host.output("ethtool", &["-K", "eth0", "rxvlan", "on"]).success();
    mends(&wire.host, &File::with("xdp-native", BACKEND, ""), "VLAN offload", "warning");
}

#[test]
fn source_ports_that_the_kernel_gives_out() {
    let wire = forwarding_host();
    wire.host.sysctl("net/ipv4/ip_local_port_range", "32768 60999");
    wire.host.sysctl("net/ipv4/ip_local_reserved_ports", "40000-40001");
    let file = File::with("tc", BACKEND, "[snat]\nports = \"50000-65535\"\n");
    mends(&wire.host, &file, "source ports", "warning");
    let reserved = wire.host.output("sysctl", &["-n", "net.ipv4.ip_local_reserved_ports"]).success().stdout;
    assert_eq!(reserved.trim(), "40000-40001,50000-65535", "what was reserved stays so");
}

#[test]
fn sockets_at_the_gateways_ports_and_addresses() {
    let wire = forwarding_host();
    wire.host.sysctl("net/ipv4/ip_local_port_range", "32768 60999");
    let file = File::with("tc", BACKEND, "");
    for (port, check) in [(62_000, "source ports"), (80, "listeners")] {
        let listener = wire.host.run(|| TcpListener::bind(("0.0.0.0", port)).expect("the port is free"));
        let report = file.report(&wire.host);
        let finding = expect(&report, check, "warning");
        assert!(finding["detail"].as_str().expect("text").contains(&format!(":{port}")), "{finding}");
        drop(listener);
        expect(&file.report(&wire.host), check, "ok");
    }
}

#[test]
fn backend_that_does_not_answer() {
    let wire = forwarding_host();
    let file = File::with("tc", "10.0.0.9", "");
    wire.host.output("ping", &["-c1", "-W2", "10.0.0.9"]);
    let report = file.report(&wire.host);
    let (_, ping) = fix(expect(&report, "neighbours", "warning")).split_once("then: ").expect("a command at its end");
    wire.peer.ip(&["addr add 10.0.0.9/24 dev eth0"]);
    wire.host.output("sh", &["-ec", ping]).success();
    expect(&file.report(&wire.host), "neighbours", "ok");
}

#[test]
fn backends_without_a_way() {
    let wire = forwarding_host();
    let far = File::with("tc", "192.0.2.1", "");
    expect(&far.report(&wire.host), "routes to backends", "warning");
    wire.host.ip(&["route add 192.0.2.0/24 via 10.0.0.2"]);
    expect(&far.report(&wire.host), "routes to backends", "ok");
    expect(&File::with("tc", "10.0.0.1", "").report(&wire.host), "routes to backends", "error");
    wire.host.ip(&["link add eth1 type veth peer name far1", "link set eth1 up", "addr add 10.7.0.1/24 dev eth1"]);
    let report = File::with("tc", "10.7.0.2", "").report(&wire.host);
    let said = fix(expect(&report, "routes to backends", "error"));
    let (_, section) = said.split_once("[[interface]] ").expect("what to add");
    let added = File::with("tc", "10.7.0.2", &format!("[[interface]]\n{section}\n"));
    expect(&added.report(&wire.host), "routes to backends", "ok");
}

#[test]
fn rules_that_drop_resets() {
    let wire = forwarding_host();
    let file = File::with("tc", BACKEND, "");
    let rules = "add table inet fw; add chain inet fw out { type filter hook output priority 0; }; \
                 add rule inet fw out ct state invalid counter drop";
    wire.host.output("nft", &[rules]).success();
    mends(&wire.host, &file, "packet filter", "warning");
    let rule = ["-A", "OUTPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"];
    wire.host.output("iptables", &rule).success();
    mends(&wire.host, &file, "packet filter", "warning");
}

#[test]
fn rules_that_drop_replies_of_containers() {
    let wire = forwarding_host();
    let file = File::with("tc", BACKEND, "");
    let rule = ["-t", "mangle", "-A", "PREROUTING", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"];
    wire.host.output("iptables", &rule).success();
    wire.host.sysctl("net/bridge/bridge-nf-call-iptables", "0");
    expect(&file.report(&wire.host), "packet filter", "ok");
    wire.host.sysctl("net/bridge/bridge-nf-call-iptables", "1");
    mends(&wire.host, &file, "packet filter", "warning");
}

#[test]
fn tables_beyond_the_memory() {
    let wire = forwarding_host();
    let file = File::with("tc", BACKEND, "[flows]\ncapacity = 67108864\n");
    let report = file.report(&wire.host);
    if worst(&report, "memory")["result"] == "ok" {
        return println!("skipped: this machine has memory for the largest tables");
    }
    let (capacity, _) = fix(expect(&report, "memory", "warning")).split_once(',').expect("a setting and another way");
    let smaller = File::with("tc", BACKEND, &capacity.replace("[flows] ", "[flows]\n"));
    expect(&smaller.report(&wire.host), "memory", "ok");
}

#[test]
fn docker_that_does_not_run() {
    let wire = forwarding_host();
    let socket = std::env::temp_dir().join(format!("gwtest-{}-docker.sock", LabId::new()));
    let file = File::with("tc", BACKEND, &format!("[docker]\nsocket = \"{}\"\n", socket.display()));
    expect(&file.report(&wire.host), "Docker", "warning");
    let listener = UnixListener::bind(&socket).expect("the folder for temporary files is writable");
    let report = file.report(&wire.host);
    drop(listener);
    fs::remove_file(socket).expect("it was just made");
    expect(&report, "Docker", "ok");
}

#[test]
fn probe_attaches_for_a_moment_and_leaves_nothing() {
    let wire: Wire = forwarding_host();
    let report = File::with("xdp-native", BACKEND, "").report_with(&wire.host, &["--probe"]);
    let detail = expect(&report, "native XDP", "ok")["detail"].as_str().expect("text");
    assert!(detail.starts_with("tried"), "{detail}");
    let links = wire.host.output("ip", &["link", "show", "eth0"]).success().stdout;
    assert!(!links.contains("xdp"), "{links}");
}
