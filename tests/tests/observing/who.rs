//! `gateway who` names the client of a connection as the backend sees it, at every moment of its life.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    time::Duration,
};

use gateway_tests::{
    Family, Gateway, Mode, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, cases, config, servers, service_name},
    traffic::{Behaviour, client},
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_client_is_named_while_a_connection_is_open_and_after_its_end() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(1).build();
        let servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
        client::exchange(&stream, 1, 1_000).unwrap();
        let of = stream.local_addr().unwrap().to_string();
        let snat = servers[0].peers()[0].to_string();
        let backend = lab.backends[0].at(family, BACKEND_PORT).to_string();
        let who = || gateway.json(&["who", &snat, &backend]);
        let flow = who();
        for (field, expected) in [
            ("client", of.as_str()),
            ("public", &lab.front.at(family, PORT).to_string()),
            ("service", service_name(family)),
            ("backend", &backend),
            ("snat", &snat),
            ("state", "ESTABLISHED"),
        ] {
            assert_eq!(flow[field], expected, "{mode:?} {family:?}: {field} of {flow}");
        }
        assert!(gateway.cli(&["who", &snat, &backend]).success().stdout.contains(&of));
        drop(stream);
        eventually(PATIENCE, || match who() {
            flow if flow["state"] == "TIME-WAIT" && flow["client"] == of.as_str() => Ok(()),
            flow => Err(flow.to_string()),
        });
        let nobody = gateway.cli(&["who", &snat, &lab.backends[0].at(family, BACKEND_PORT + 1).to_string()]);
        assert_eq!(nobody.code, Some(4), "{nobody:?}");
        assert!(nobody.stderr.contains(&format!("no connection from {snat} to")), "{nobody:?}");
    }
}

#[test]
fn the_client_of_a_handshake_is_named() {
    let lab = Topology::two_arm(1).build();
    // SYNs go into the void, as with a container that hangs.
    lab.backends[0].ip(&["link set eth0 down".to_owned()]);
    let void = lab.backends[0].at(Family::V4, BACKEND_PORT);
    lab.front.ip(&[format!("neigh replace {} lladdr 02:00:00:00:00:99 dev eth1 nud permanent", void.ip())]);
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let url = format!("http://{}/", lab.front.at(Family::V4, PORT));
    let attempt = lab.client.start("curl", &["-sS", "--max-time", "60", &url]);
    let mut flow = Value::Null;
    eventually(PATIENCE, || {
        flow = gateway.json(&["flows", "--state", "syn-sent"])["flows"][0].clone();
        if flow.is_null() { Err("there is no handshake") } else { Ok(()) }
    });
    let who = gateway.json(&["who", flow["snat"].as_str().unwrap(), &void.to_string()]);
    assert_eq!((&who["client"], &who["state"]), (&flow["client"], &flow["state"]));
    drop(attempt);
}

#[test]
fn example_server_writes_the_real_client_into_its_audit_log() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/audit_server.py");
    for family in Family::ALL {
        let lab = Topology::two_arm(1).build();
        let log = lab.directory().join("audit.log");
        let socket = lab.directory().join("gateway.sock");
        let mut server = lab.backends[0].command("python3");
        server.arg(&example).arg(BACKEND_PORT.to_string()).arg(&log).env("GATEWAY_SOCKET", &socket);
        let mut server = gateway_tests::Process::start(&mut server);
        server.wait_for_line("ready", PATIENCE);
        let _gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
        let mut stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
        let of = stream.local_addr().unwrap().to_string();
        writeln!(stream, "who am I").unwrap();
        let mut echoed = String::new();
        BufReader::new(&stream).read_line(&mut echoed).unwrap();
        assert_eq!(echoed, "who am I\n");
        drop(stream);
        eventually(PATIENCE, || {
            let text = fs::read_to_string(&log).unwrap();
            let Some(line) = text.lines().next() else { return Err(format!("no entry: {}", server.stderr())) };
            let entry: Value = serde_json::from_str(line).unwrap();
            assert_eq!(entry["client"], of.as_str(), "{entry}");
            assert_eq!(entry["public"], lab.front.at(family, PORT).to_string(), "{entry}");
            assert_eq!((&entry["service"], &entry["bytes"]), (&service_name(family).into(), &9.into()), "{entry}");
            assert_ne!(entry["peer"], entry["client"], "{entry}");
            Ok(())
        });
    }
}
