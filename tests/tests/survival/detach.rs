//! What `gateway detach` leaves of the gateway on the host: nothing, but for the sysctls that it was told to set.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use aya::programs::loaded_programs;
use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Mode, Topology, eventually,
    gateway::{self, cli},
    scenario::{PORT, config, servers},
    traffic::{Behaviour, DEADLINE, Failure, client},
};

use crate::datapath::{Pinned, pins};

/// Who marks the gateway's neighbour entries.
const OWNER: &str = "71";

/// The values below `/proc/sys/net` that are a network namespace's own; others change with the machine's.
const OWN: [&str; 4] = ["conf/", "neigh/", "ip_forward", "ip_local"];

/// What a host's administrator can look at.
#[derive(Debug, PartialEq, Eq)]
struct HostState {
    /// The output of commands, by command.
    listings: BTreeMap<String, String>,
    sysctls: BTreeMap<PathBuf, String>,
    pins: Vec<PathBuf>,
}

impl HostState {
    #[track_caller]
    fn of(lab: &Lab) -> Self {
        let mut commands = vec![
            "ip -details link show".to_owned(),
            "ip address show".to_owned(),
            "ip route show table all".to_owned(),
            "ip rule show".to_owned(),
            "tc qdisc show".to_owned(),
            "bpftool net list".to_owned(),
            "nft list ruleset".to_owned(),
            format!("ip neighbour show proto {OWNER}"),
            "ip neighbour show nud permanent".to_owned(),
        ];
        for interface in &lab.front.interfaces {
            commands.extend(["ingress", "egress"].map(|hook| format!("tc filter show dev {interface} {hook}")));
        }
        let run = |command: String| {
            let mut words = command.split(' ');
            let program = words.next().expect("a command has a name");
            let output = lab.front.output(program, &words.collect::<Vec<_>>()).success().stdout;
            (command, output)
        };
        Self { listings: commands.into_iter().map(run).collect(), sysctls: sysctls(lab), pins: pins(lab) }
    }
}

/// Everything below `/proc/sys/net` of the front server.
fn sysctls(lab: &Lab) -> BTreeMap<PathBuf, String> {
    fn collect(folder: &Path, into: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, into);
            } else if OWN.iter().any(|own| path.to_string_lossy().contains(own))
                && let Ok(value) = fs::read_to_string(&path)
            {
                into.insert(path, value);
            }
        }
    }
    lab.front.run(|| {
        let mut sysctls = BTreeMap::new();
        collect(Path::new("/proc/sys/net"), &mut sysctls);
        sysctls
    })
}

#[track_caller]
fn neighbours_of_the_gateway(lab: &Lab) -> Vec<String> {
    let listed = lab.front.output("ip", &["neighbour", "show", "proto", OWNER]).success().stdout;
    listed.lines().map(str::to_owned).collect()
}

/// A gateway that works, with its neighbour entries made, and then ends.
#[track_caller]
fn leaves_the_host_as_it_was(mode: Mode, end: impl Fn(Gateway)) {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let untouched = HostState::of(&lab);
    let gateway = Gateway::start(&lab, &config(&lab, mode));
    let to = lab.front.at(Family::V4, PORT);
    client::exchange(&client::connect(&lab.client, to).unwrap(), 1, 1_000).unwrap();
    eventually(DEADLINE, || match neighbours_of_the_gateway(&lab) {
        entries if entries.len() == 2 => Ok(()),
        entries => Err(entries),
    });
    let pinned = Pinned::of(&lab);
    assert!(!pinned.maps.is_empty() && pinned.programs.len() == 2, "{mode:?}: {pinned:?}");
    end(gateway);
    assert_eq!(neighbours_of_the_gateway(&lab).len(), 2, "they stay for packets that go on without the daemon");
    cli(&lab, &["detach"]).success();
    let left = HostState::of(&lab);
    for (command, before) in &untouched.listings {
        assert_eq!(&left.listings[command], before, "{mode:?}: {command}");
    }
    let differs = |(path, value): &(&PathBuf, &String)| untouched.sysctls.get(*path) != Some(*value);
    assert_eq!(left.sysctls.iter().filter(differs).collect::<Vec<_>>(), [], "{mode:?}");
    assert_eq!(left, untouched, "{mode:?}");
    // The kernel frees a program some time after its last user has gone.
    eventually(DEADLINE, || {
        let loaded: Vec<u32> = loaded_programs().flatten().map(|program| program.id()).collect();
        let left: Vec<_> = pinned.programs.values().filter(|id| loaded.contains(id)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("programs {left:?} are still loaded")) }
    });
    assert_eq!(client::connect(&lab.client, to).unwrap_err(), Failure::Refused);
    let again = cli(&lab, &["detach"]).success();
    assert_eq!(again.stdout, "there was no datapath\n");
}

#[test]
fn detach_after_a_stop_leaves_the_host_as_it_was() {
    for mode in Mode::ALL {
        leaves_the_host_as_it_was(mode, |gateway| assert_eq!(gateway.stop().code, Some(0)));
    }
}

#[test]
fn detach_after_a_crash_leaves_the_host_as_it_was() {
    for mode in Mode::ALL {
        leaves_the_host_as_it_was(mode, |gateway: Gateway<'_>| gateway.kill());
    }
}

#[test]
fn a_daemon_that_is_to_detach_leaves_the_host_as_it_was() {
    let lab = Topology::two_arm(1).build();
    let untouched = HostState::of(&lab);
    let config = config(&lab, Mode::XdpNative).to_toml();
    assert_eq!(Gateway::start_with(&lab, &config, &["--detach-on-exit"]).stop().code, Some(0));
    assert_eq!(HostState::of(&lab), untouched);
}

/// Forwarding is what the gateway needs of a host's settings.
fn without_forwarding(lab: &Lab) -> HostState {
    for path in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        lab.front.sysctl(&format!("net/{path}"), "0");
    }
    HostState::of(lab)
}

#[test]
fn missing_sysctls_are_told_and_not_set() {
    let lab = Topology::two_arm(1).build();
    let untouched = without_forwarding(&lab);
    let config = config(&lab, Mode::XdpNative).to_toml();
    let mut refused = gateway_tests::Process::start(&mut gateway::run(&lab, &gateway::program(), &config));
    let refused = refused.wait(Duration::from_secs(20));
    assert_eq!(refused.code, Some(1));
    for setting in ["net.ipv4.conf.eth0.forwarding=1", "net.ipv6.conf.eth1.forwarding=1", "--set-sysctls"] {
        assert!(refused.stderr.contains(setting), "no {setting}: {}", refused.stderr);
    }
    assert_eq!(HostState::of(&lab), untouched);
}

#[test]
fn sysctls_that_it_was_told_to_set_stay_set() {
    let lab = Topology::two_arm(1).build();
    let before = without_forwarding(&lab);
    let config: GatewayConfig = config(&lab, Mode::XdpNative);
    let gateway = Gateway::start_with(&lab, &config.to_toml(), &["--set-sysctls"]);
    let log = gateway.log();
    gateway.stop();
    cli(&lab, &["detach"]).success();
    let after = HostState::of(&lab);
    let changed: Vec<String> = after
        .sysctls
        .iter()
        .filter(|(path, value)| before.sysctls.get(*path) != Some(value))
        .map(|(path, value)| format!("{}={}", path.display(), value.trim()))
        .collect();
    // With `accept_ra` at 2 IPv6 goes on to learn routes, which it would stop to once it forwards.
    let told = [
        "ipv4/conf/eth0/forwarding=1",
        "ipv4/conf/eth1/forwarding=1",
        "ipv6/conf/eth0/accept_ra=2",
        "ipv6/conf/eth0/forwarding=1",
        "ipv6/conf/eth1/accept_ra=2",
        "ipv6/conf/eth1/forwarding=1",
    ];
    let told: Vec<String> = told.into_iter().map(|setting| format!("/proc/sys/net/{setting}")).collect();
    assert_eq!(changed, told, "nothing else is set");
    for setting in ["net.ipv4.conf.eth0.forwarding=1", "net.ipv6.conf.eth1.forwarding=1"] {
        assert!(log.contains(setting), "the log is silent about {setting}: {log}");
    }
    for (command, before) in before.listings.iter().filter(|(command, _)| !command.starts_with("ip route")) {
        assert_eq!(&after.listings[command], before, "{command}");
    }
    assert_eq!(after.pins, before.pins);
}
