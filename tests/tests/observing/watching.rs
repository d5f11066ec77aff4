//! Packets and flows are shown to whoever watches, and to nobody else.

use std::{process::Command, time::Duration};

use gateway_tests::{
    Family, Gateway, Lab, Mode, Process, Topology, eventually, gateway,
    scenario::{BACKEND_PORT, PORT, cases, config, numbered_servers, servers, service_name},
    traffic::{Behaviour, client},
};
use serde_json::Value;

use crate::objects;

const PATIENCE: Duration = Duration::from_secs(20);
const PAYLOAD: usize = 4_000;

/// Begins to watch; from here on nothing is missed.
#[track_caller]
fn watch(lab: &Lab, arguments: &[&str], begun: &str) -> Process {
    let process = Process::start(gateway::command(lab).args(arguments));
    eventually(PATIENCE, || if process.stderr().contains(begun) { Ok(()) } else { Err(process.stderr()) });
    process
}

#[track_caller]
fn exchange(lab: &Lab, family: Family) -> std::net::SocketAddr {
    let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
    client::exchange(&stream, 1, PAYLOAD).unwrap();
    stream.local_addr().unwrap()
}

#[test]
fn trace_follows_a_client_through_every_decision() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let address = lab.client.address(family).to_string();
        let mut trace = watch(&lab, &["trace", &address, "--json"], "tracing");
        let client = exchange(&lab, family);
        eventually(PATIENCE, || {
            let seen = objects(&trace.stdout());
            let closed = seen.iter().any(|seen| seen["state"] == "TIME-WAIT" || seen["state"] == "CLOSED");
            if closed { Ok(()) } else { Err(format!("{} sightings", seen.len())) }
        });
        let seen = objects(&trace.stdout());
        let context = format!("{mode:?} {family:?}");
        assert!(seen.iter().all(|seen| seen["kind"] != "lost"), "{context}");
        // What XDP leaves to TC is seen there again.
        let of_client = |seen: &&Value| seen["client"] == client.to_string() && seen["reason"] != "handed_to_tc";
        let packets: Vec<&Value> = seen.iter().filter(of_client).collect();
        let (first, second) = (packets[0], packets[1]);
        assert_eq!((&first["kind"], &first["reason"]), (&"packet-in".into(), &"opened".into()), "{context}: {first}");
        assert_eq!((&second["kind"], &second["time_ns"]), (&"packet-out".into(), &first["time_ns"]), "{context}");
        assert_eq!(second["service"], service_name(family), "{context}: {second}");
        assert_eq!(second["state"], "SYN-SENT", "{context}: {second}");
        let backend = lab.backends[0].at(family, BACKEND_PORT).to_string();
        assert!(packets.iter().all(|packet| packet["backend"] == backend), "{context}");
        let replies = packets.iter().filter(|packet| packet["is_reply"] == true).count();
        assert!(replies >= 4 && packets.len() - replies >= 4, "{context}: {replies} of {}", packets.len());
        let established = packets.iter().filter(|packet| packet["state"] == "ESTABLISHED");
        assert!(established.clone().count() > 2 && established.clone().all(|it| it["reason"] == "forwarded"));
        trace.signal(nix::sys::signal::Signal::SIGINT);
        trace.wait(PATIENCE);
        drop(gateway);
    }
}

#[test]
fn trace_says_why_a_packet_is_not_forwarded() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let address = lab.client.address(Family::V4).to_string();
    let mut trace = watch(&lab, &["trace", &address, "--count", "1"], "tracing");
    assert!(client::connect(&lab.client, lab.front.at(Family::V4, PORT + 1)).is_err());
    let text = trace.wait(PATIENCE).success().stdout;
    assert!(text.contains("pass, no_service: TCP for no service"), "{text}");
    assert!(text.contains("[S] seq "), "{text}");
    drop(gateway);
}

/// What tshark reads in a capture: one line a packet with these fields.
#[track_caller]
fn tshark(file: &str, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.args([
        "-r",
        file,
        "-Y",
        filter,
        "-T",
        "fields",
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
    ]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = Process::start(&mut command).wait(Duration::from_secs(60)).success();
    output.stdout.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn capture_shows_both_sides_of_the_translation() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let _servers = numbered_servers(&lab);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let file = lab.directory().join("both.pcapng");
        let file = file.to_str().unwrap();
        let mut capture = watch(&lab, &["capture", "-w", file, "--service", service_name(family)], "capturing");
        let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
        client::read_identity(&stream).unwrap();
        client::exchange(&stream, 7, PAYLOAD).unwrap();
        let (client, snat) = {
            let flow = gateway.json(&["flows", service_name(family), "--state", "established"])["flows"][0].clone();
            (flow["client"].as_str().unwrap().to_owned(), flow["snat"].as_str().unwrap().to_owned())
        };
        drop(stream);
        eventually(PATIENCE, || {
            let open = gateway.json(&["flows", service_name(family), "--state", "established"])["total"].clone();
            if open == 0 { Ok(()) } else { Err(open) }
        });
        std::thread::sleep(Duration::from_millis(200));
        capture.signal(nix::sys::signal::Signal::SIGINT);
        let told = capture.wait(PATIENCE).success().stderr;
        assert!(told.contains(", 0 sightings lost"), "{told}");

        let context = format!("{mode:?} {family:?}");
        let (ip, src) = if family == Family::V4 { ("ip", "ip.src") } else { ("ipv6", "ipv6.src") };
        let fields =
            [src, "tcp.srcport", "frame.interface_name", "tcp.flags.syn", "frame.comment", "tcp.checksum.status"];
        let packets = tshark(file, &format!("{ip} and tcp"), &fields);
        let at = |packet: &Vec<String>| {
            let address: std::net::IpAddr = packet[0].parse().unwrap();
            std::net::SocketAddr::new(address, packet[1].parse().unwrap()).to_string()
        };
        let (from_client, from_snat): (Vec<_>, Vec<_>) = (
            packets.iter().filter(|packet| at(packet) == client).collect(),
            packets.iter().filter(|packet| at(packet) == snat).collect(),
        );
        assert!(from_client.len() >= 4, "{context}: {packets:?}");
        assert_eq!(from_client.len(), from_snat.len(), "{context}: each packet once on either side");
        assert!(from_client.iter().all(|packet| packet[2].ends_with("-in")), "{context}: {packets:?}");
        assert!(from_snat.iter().all(|packet| packet[2].ends_with("-out")), "{context}: {packets:?}");
        assert!(from_snat[0][4].contains("forward: opened"), "{context}: {packets:?}");
        // By TC a sum can be unfinished, which the card's driver makes up for.
        if mode != Mode::Tc {
            assert!(packets.iter().all(|packet| packet[5] == "1" || packet[5] == "Good"), "{context}: {packets:?}");
        }
    }
}

#[test]
fn flows_that_open_and_close_are_told_to_who_asks() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let events = Process::start(gateway::command(&lab).args(["events", "--flows", "--json"]));
    // Until it listens, what it would hear is lost.
    let client = eventually(PATIENCE, || {
        let client = exchange(&lab, Family::V4);
        let heard = events.stdout().contains("flow-opened");
        if heard { Ok(client) } else { Err(events.stdout()) }
    });
    let _ = client;
    let client = exchange(&lab, Family::V4).to_string();
    let told = eventually(PATIENCE, || {
        let told: Vec<Value> = objects(&events.stdout()).into_iter().filter(|it| it["client"] == client).collect();
        if told.len() >= 2 { Ok(told) } else { Err(events.stdout()) }
    });
    assert_eq!(told.iter().map(|it| it["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["flow-opened", "flow-closed"]);
    assert_eq!(told[0]["service"], service_name(Family::V4));
    assert!(told[1]["original"]["bytes"].as_u64().unwrap() > PAYLOAD as u64, "{}", told[1]);
    drop(gateway);
}

#[test]
fn nothing_is_shown_once_nobody_watches() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let address = lab.client.address(Family::V4).to_string();
    for _ in 0..2 {
        let mut trace = watch(&lab, &["trace", &address, "--json"], "tracing");
        exchange(&lab, Family::V4);
        eventually(PATIENCE, || if objects(&trace.stdout()).len() > 10 { Ok(()) } else { Err(trace.stdout()) });
        trace.signal(nix::sys::signal::Signal::SIGKILL);
        trace.wait(PATIENCE);
        // Without anybody who reads, what is shown would stay in the ring and be told to the next one.
        exchange(&lab, Family::V4);
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut last = watch(&lab, &["trace", &address, "--json", "--count", "1"], "tracing");
    let client = exchange(&lab, Family::V4).to_string();
    let first = objects(&last.wait(PATIENCE).success().stdout)[0].clone();
    assert_eq!((&first["client"], &first["reason"]), (&Value::from(client), &Value::from("opened")), "{first}");
    drop(gateway);
}
