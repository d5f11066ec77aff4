//! What happens is told as it happens, in the stream of events and in the log alike.

use std::time::Duration;

use gateway_tests::{
    Family, Gateway, GatewayConfig, Mode, Process, Topology, eventually, gateway,
    scenario::{BACKEND_PORT, PORT, numbered_servers, service},
    traffic::{Behaviour, Failure, Server, client},
};
use serde_json::Value;

use crate::objects;

const PATIENCE: Duration = Duration::from_secs(20);

/// Kinds of the events of the service `web`.
fn kinds_of_web(events: &[Value]) -> Vec<&str> {
    let of_web = events.iter().filter(|event| event["service"] == "web");
    of_web.filter_map(|event| event["kind"].as_str()).collect()
}

#[test]
fn deployment_is_told_step_by_step_and_logged_with_its_fields() {
    let lab = Topology::two_arm(2).build();
    let _servers = numbered_servers(&lab);
    let config = GatewayConfig::new(&lab, Mode::XdpNative).to_toml();
    let gateway = Gateway::start_with(&lab, &config, &["--log-format", "json"]);
    let mut follower = Process::start(gateway::command(&lab).args(["events", "--json"]));
    let public = lab.front.at(Family::V4, PORT);
    let [old, new] = [0, 1].map(|index| lab.backends[index].at(Family::V4, BACKEND_PORT).to_string());

    let with_process = format!("{old},command=true");
    gateway.cli(&["service", "add", "web", "--listen", &public.to_string(), "--backend", &with_process]).success();
    eventually(PATIENCE, || {
        let text = follower.stdout();
        if text.contains(r#""kind":"backend-up""#) { Ok(()) } else { Err(text) }
    });
    let held = client::connect(&lab.client, public).unwrap();
    client::read_identity(&held).unwrap();
    let options = ["--no-rollback-on-errors", "--drain-timeout", "500ms"];
    gateway.cli(&[&["deploy", "web", "--backend", &new], &options[..]].concat()).success();

    let expected = [
        "service-added",
        "backend-up",
        "deployment-started",
        "backend-added",
        "backend-up",
        "backend-draining",
        "backend-active",
        "deployment-switched",
        "deployment-done",
        "backend-signalled",
        "backend-cut",
        "backend-drained",
        "backend-removed",
    ];
    let events = eventually(PATIENCE, || {
        let events = objects(&follower.stdout());
        if kinds_of_web(&events) == expected { Ok(events) } else { Err(events) }
    });
    let find = |kind: &str| events.iter().find(|event| event["kind"] == kind).unwrap();
    assert_eq!((&find("backend-cut")["backend"], &find("backend-cut")["connections"]), (&old.into(), &1.into()));
    assert_eq!(find("deployment-started")["new"][0], new);
    assert_eq!(find("interface-attached")["mode"], "xdp-native");
    let numbers: Vec<u64> = events.iter().map(|event| event["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());

    let log = objects(&gateway.log());
    assert_eq!(kinds_of_web(&log), expected, "{log:#?}");
    let cut = log.iter().find(|line| line["kind"] == "backend-cut").unwrap();
    assert_eq!((&cut["level"], &cut["connections"]), (&"warn".into(), &1.into()));
    assert!(cut["message"].as_str().unwrap().contains("cut 1 connections"), "{cut}");

    // The stream ends with the gateway, and says so.
    gateway.stop().success();
    let output = follower.wait(PATIENCE).success();
    assert_eq!(objects(&output.stdout).last().unwrap()["kind"], "daemon-stopping");
}

#[test]
fn every_packet_beyond_a_limit_is_told_of() {
    const REFUSED: u64 = 7;

    let lab = Topology::two_arm(1).build();
    let _server = Server::start(&lab.backends[0], BACKEND_PORT, Behaviour::Echo);
    let limited = service(&lab, Family::V4).with("limits = { connections = 1 }");
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative).service(limited));
    let public = lab.front.at(Family::V4, PORT);
    let _held = client::connect(&lab.client, public).unwrap();
    for _ in 0..REFUSED {
        assert_eq!(client::connect(&lab.client, public).unwrap_err(), Failure::Refused);
    }
    eventually(PATIENCE, || {
        let told = gateway.cli(&["events", "--no-follow", "--json", "--kind", "limit-hit"]).success();
        let told = objects(&told.stdout);
        let of_limit = told.iter().filter(|event| event["reason"] == "limit_connections_reset");
        let packets: u64 = of_limit.filter_map(|event| event["packets"].as_u64()).sum();
        // More than one packet each where a client had to repeat its SYN.
        if packets >= REFUSED && packets == gateway.packets("limit_connections_reset") { Ok(()) } else { Err(told) }
    });
}
