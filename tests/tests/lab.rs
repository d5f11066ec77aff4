//! The laboratory itself: with the kernel's own NAT in the place of the gateway all traffic passes, and nothing
//! is left behind, however a test ends.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    sync::Arc,
    time::Duration,
};

use gateway_tests::{
    BackendSide, ClientSide, Family, Lab, LabId, Process, Topology, eventually, forward_in_kernel,
    leftovers::{leftovers_of, sweep},
    packets::{Capture, RawHost, Segment},
    traffic::{
        Behaviour, Churn, Failure, Instance, Server, Sessions,
        client::{self, failure_to_connect},
        crowd,
        http::HttpServer,
        payload,
    },
};
use nix::sys::signal::Signal;

const PORT: u16 = 20_000;
const BACKEND_PORT: u16 = 8_000;

fn forwarded(lab: &Lab, behaviour: &Behaviour) -> Vec<Server> {
    for family in Family::ALL {
        forward_in_kernel(&lab.front, lab.front.at(family, PORT), &lab.backends_at(family, BACKEND_PORT));
    }
    lab.backends.iter().map(|backend| Server::start(backend, BACKEND_PORT, behaviour.clone())).collect()
}

#[test]
fn every_topology_carries_traffic_with_kernel_nat() {
    let back = [
        BackendSide::Segment,
        BackendSide::Vlan(200),
        BackendSide::Routed,
        BackendSide::OneArm,
        BackendSide::Bridge,
        BackendSide::Veth,
    ];
    let sides = back.map(|side| Topology::new(side, 2));
    let fronts = [ClientSide::Vlan(100), ClientSide::Routed].map(|side| Topology::two_arm(1).clients(side));
    let wires = [BackendSide::Wire, BackendSide::Veth].map(|side| Topology::new(side, 1).clients(ClientSide::Wire));
    for topology in sides.into_iter().chain(fronts).chain(wires).filter(|topology| topology.is_possible()) {
        let lab = topology.build();
        let _servers = forwarded(&lab, &Behaviour::Echo);
        for family in Family::ALL {
            let stream = client::connect(&lab.client, lab.front.at(family, PORT))
                .unwrap_or_else(|e| panic!("{topology:?} {family:?}: {e}"));
            client::exchange(&stream, 1, 100_000).unwrap_or_else(|e| panic!("{topology:?} {family:?}: {e}"));
        }
    }
}

#[test]
fn transfers_are_compared_byte_by_byte_in_both_directions() {
    const LENGTH: usize = 3_000_000;
    let lab = Topology::two_arm(1).build();
    let to = lab.front.at(Family::V4, PORT);
    {
        let _servers = forwarded(&lab, &Behaviour::Digest);
        client::upload(&lab.client, to, 7, LENGTH).unwrap();
    }
    let download = Behaviour::Download { seed: 8, length: LENGTH };
    let _server = Server::start(&lab.backends[0], BACKEND_PORT, download);
    client::download(&lab.client, to, 8, LENGTH).unwrap();
    assert_eq!(client::download(&lab.client, to, 9, LENGTH), Err(Failure::WrongBytes));
    assert_eq!(client::download(&lab.client, to, 8, LENGTH + 1), Err(Failure::Short));
}

#[test]
fn loads_count_their_servers_and_failures() {
    let lab = Topology::two_arm(2).build();
    let to = lab.front.at(Family::V6, PORT);
    forward_in_kernel(&lab.front, to, &lab.backends_at(Family::V6, BACKEND_PORT));
    let name = |index| Behaviour::Identify(format!("backend{index}"));
    let _first = Server::start(&lab.backends[0], BACKEND_PORT, name(0));
    let second = Server::start(&lab.backends[1], BACKEND_PORT, name(1));
    let churn = Churn::start(&lab.client, to, 500);
    eventually(Duration::from_secs(5), || if second.accepted() > 20 { Ok(()) } else { Err(second.accepted()) });
    let tally = churn.stop();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert_eq!(tally.served_by.len(), 2, "{tally:?}");
    drop(second);
    let tally = Churn::start(&lab.client, to, 500).run_for(Duration::from_millis(200));
    assert!(tally.served() > 0 && tally.failures.keys().eq([&Failure::Refused]), "{tally:?}");
    let (failure, after) = failure_to_connect(&lab.client, lab.front.at(Family::V6, PORT + 1));
    assert_eq!(failure, Failure::Refused);
    assert!(after < Duration::from_millis(500), "refused only after {after:?}");
}

#[test]
fn a_thousand_connections_are_open_at_once() {
    let lab = Topology::two_arm(2).build();
    let servers = forwarded(&lab, &Behaviour::Echo);
    let crowd = crowd::open(&lab.client, lab.front.at(Family::V4, PORT), 1_000).unwrap();
    crowd::exchange_on_all(&crowd).unwrap();
    assert_eq!(servers.iter().map(Server::open).sum::<usize>(), 1_000);
    servers.iter().for_each(Server::reset_all);
    assert_eq!(crowd::exchange_on_all(&crowd), Err(Failure::Reset));
}

#[test]
fn sessions_tell_a_server_that_ends_politely_from_one_that_does_not() {
    const SESSIONS: usize = 50;
    let lab = Topology::two_arm(2).build();
    let to = lab.front.at(Family::V4, PORT);
    let mut addresses = lab.backends_at(Family::V4, BACKEND_PORT).into_iter();
    let mut start = |host, name| Instance::start(host, addresses.next().unwrap(), name);
    let polite = start(&lab.backends[0], "polite");
    let killed = start(&lab.backends[1], "killed");
    forward_in_kernel(&lab.front, to, &lab.backends_at(Family::V4, BACKEND_PORT));
    let sessions = Sessions::start(&lab.client, to, SESSIONS);
    let opened = sessions.tally().opened;
    assert_eq!(opened.values().sum::<usize>(), SESSIONS);

    let only = lab.backends[1].at(Family::V4, BACKEND_PORT);
    let rule = format!("ip daddr {} tcp dport {} dnat to {only}", to.ip(), to.port());
    lab.front.nft(&format!("insert rule ip nat prerouting {rule}"));
    polite.signal(Signal::SIGTERM);
    let ledger = polite.ledger(Duration::from_secs(20));
    assert_eq!((ledger.ended, ledger.failed), (opened["polite"] as u64, 0), "{ledger:?}");
    sessions.wait_until_open(SESSIONS);
    let tally = sessions.tally();
    assert_eq!((tally.ended_by_server, tally.failed()), (opened["polite"], 0), "{tally:?}");

    killed.signal(Signal::SIGKILL);
    eventually(Duration::from_secs(20), || match sessions.tally() {
        tally if tally.failures.contains_key(&Failure::Refused) => Ok(()),
        tally => Err(tally),
    });
}

#[test]
fn curl_fetches_and_sends_a_file() {
    let lab = Topology::two_arm(1).build();
    let to = lab.front.at(Family::V6, PORT);
    forward_in_kernel(&lab.front, to, &lab.backends_at(Family::V6, BACKEND_PORT));
    let file = payload::bytes(5, 1_000_000);
    let path = lab.directory().join("file");
    std::fs::write(&path, &file).unwrap();
    let digest = payload::digest(&file);
    let _server = HttpServer::start(&lab.backends[0], BACKEND_PORT, Arc::from(file));
    let url = format!("http://{to}/file");
    let fetched = lab.directory().join("fetched");
    let curl = ["-sS", "--fail", "--max-time", "20", &url];
    lab.client.output("curl", &[&curl[..], &["-o", fetched.to_str().unwrap()]].concat()).success();
    assert_eq!(payload::digest(&std::fs::read(fetched).unwrap()), digest);
    let sent = lab.client.output("curl", &[&curl[..], &["-T", path.to_str().unwrap()]].concat()).success();
    assert_eq!(sent.stdout, digest);
}

#[test]
fn a_capture_shows_every_segment_with_its_checksums() {
    const LENGTH: usize = 2_000_000;
    let lab = Topology::two_arm(1).build();
    let _servers = forwarded(&lab, &Behaviour::Echo);
    let captures = [Capture::start(&lab.client, "eth0"), Capture::start(&lab.backends[0], "eth0")];
    for family in Family::ALL {
        let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
        client::exchange(&stream, 3, LENGTH).unwrap();
    }
    for captured in captures.map(Capture::finish) {
        captured.assert_checksums();
        assert_eq!(captured.retransmissions(), 0);
        let bytes: usize = captured.segments().map(|segment| segment.payload.len()).sum();
        assert_eq!(bytes, 2 * 2 * LENGTH);
        let longest = captured.frames.iter().map(Vec::len).max();
        assert_eq!(longest, Some(1514), "segments are captured as they were on the wire");
    }
}

#[test]
fn a_conversation_by_hand_goes_through_unchanged() {
    for family in Family::ALL {
        let lab = Topology::two_arm(1).build();
        let (service, backend) = (lab.front.at(family, PORT), lab.backends[0].at(family, BACKEND_PORT));
        forward_in_kernel(&lab.front, service, &[backend]);
        let client = RawHost::new(&lab.client, (&lab.front, "eth0"));
        let mut server = RawHost::new(&lab.backends[0], (&lab.front, "eth1"));
        let mut syn = Segment::new(lab.client.at(family, 4_000), service);
        syn.tcp.syn = true;
        syn.tcp.set_options_raw(&[2, 4, 5, 180, 1, 1, 1, 0]).unwrap();
        client.send_padded(&syn, 3);
        let (arrived, packet) = server.receive();
        assert_eq!(arrived.source().ip(), lab.front.snat(family));
        assert_eq!(packet, syn.translated(arrived.source(), backend).packet());
    }
}

#[test]
fn a_failing_test_leaves_nothing_behind() {
    let mut id = None;
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let lab = Topology::new(BackendSide::Bridge, 1).build();
        id = Some(lab.id());
        std::fs::create_dir(lab.id().pin_directory()).unwrap();
        let _server = forwarded(&lab, &Behaviour::Hold);
        let _sleeper = lab.backends[0].start("sleep", &["1000"]);
        let connection = client::connect(&lab.client, lab.front.at(Family::V4, PORT));
        assert!(!leftovers_of(lab.id()).is_empty());
        std::mem::forget(lab.front.start("sleep", &["1000"]));
        panic!("on purpose: {connection:?}");
    }));
    assert!(failed.is_err());
    assert_eq!(leftovers_of(id.expect("the lab was built")), Vec::<String>::new());
}

const BUILD_AND_WAIT: &str = "GATEWAY_LAB_TO_BE_KILLED";

#[test]
#[ignore = "the victim of what_a_killed_test_left_is_swept"]
fn build_a_lab_and_wait_to_be_killed() {
    if std::env::var_os(BUILD_AND_WAIT).is_some() {
        let lab = Topology::two_arm(1).build();
        let _sleeper = lab.client.start("sleep", &["1000"]);
        println!("\nbuilt {}", lab.id());
        std::thread::sleep(Duration::from_secs(100));
    }
}

#[test]
fn what_a_killed_test_left_is_swept() {
    let mut victim = Process::start(
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "build_a_lab_and_wait_to_be_killed"])
            .env(BUILD_AND_WAIT, "1"),
    );
    victim.wait_for_line("built ", Duration::from_secs(20));
    let output = victim.stdout();
    let id: LabId = output.split("built ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    let used = leftovers_of(id);
    assert!(used.iter().any(|thing| thing.starts_with("process")), "{used:?}");
    drop(victim);
    sweep();
    assert_eq!(leftovers_of(id), Vec::<String>::new());
}
