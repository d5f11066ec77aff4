//! `gateway explain`: real connections end as it has said before.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Lab, Mode, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, cases, config, numbered_servers, servers, service, service_name},
    traffic::{Behaviour, DEADLINE, Failure, client, crowd},
};
use serde_json::{Value, json};

/// How long a SYN that is dropped is waited for: an answer would be here at once.
const PATIENCE: Duration = Duration::from_millis(300);
/// Ports that clients connect from here: below those that the kernel gives out.
const FIRST_PORT: u16 = 30_000;

/// A client's port and the service.
#[derive(Clone, Copy)]
struct Ends {
    from: SocketAddr,
    to: SocketAddr,
}

impl Ends {
    fn new(lab: &Lab, family: Family, number: u16) -> Self {
        let from = SocketAddr::new(lab.client.address(family), FIRST_PORT + number);
        Self { from, to: lab.front.at(family, PORT) }
    }

    #[track_caller]
    fn explain(self, gateway: &Gateway) -> Value {
        gateway.json(&["explain", "--from", &self.from.to_string(), "--to", &self.to.to_string()])
    }

    fn connect(self, lab: &Lab) -> Result<TcpStream, Failure> {
        lab.client.run(|| client::connect_between(self.from, self.to, PATIENCE))
    }
}

/// A connection attempt ends as it was explained: for this reason, which is counted, and which the explanation is not.
#[track_caller]
fn refused_as_explained(lab: &Lab, gateway: &Gateway, ends: Ends, reason: &str, failure: Failure) -> Value {
    let before = gateway.packets(reason);
    let explained = ends.explain(gateway);
    assert_eq!(explained["verdict"]["reason"], reason, "{explained:#}");
    assert_eq!(gateway.packets(reason), before, "an explanation is not counted");
    assert_eq!(ends.connect(lab).unwrap_err(), failure, "{explained:#}");
    assert!(gateway.packets(reason) > before, "{reason}: {explained:#}");
    explained
}

#[test]
fn connections_go_where_it_was_explained() {
    for (side, mode) in [
        (BackendSide::Segment, Mode::XdpNative),
        (BackendSide::Segment, Mode::Tc),
        (BackendSide::Bridge, Mode::XdpNative),
    ] {
        for (family, algorithm) in [(Family::V4, "maglev"), (Family::V6, "maglev"), (Family::V4, "source")] {
            let lab = Topology::new(side, 3).build();
            let _servers = numbered_servers(&lab);
            let service = service(&lab, family).with(&format!("algorithm = {algorithm:?}"));
            let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode).service(service));
            let by = if mode == Mode::Tc || side.is_local() { "tc" } else { "xdp" };
            for number in 0..8 {
                let ends = Ends::new(&lab, family, number);
                // A neighbour that is not resolved yet is TC's, whatever the mode.
                let explained = eventually(DEADLINE, || match ends.explain(&gateway) {
                    explained if explained["next_hop"]["mac"].is_null() => Err(explained),
                    explained => Ok(explained),
                });
                let at = format!("{side:?} {mode:?} {algorithm} {explained:#}");
                assert_eq!(explained["verdict"]["reason"], "opened", "{at}");
                assert_eq!(explained["verdict"]["action"], "forward", "{at}");
                assert_eq!(explained["ingress"], json!({"interface": "eth0", "mode": mode.name()}), "{at}");
                assert_eq!(explained["service"]["name"], service_name(family), "{at}");
                assert_eq!(explained["choice"]["random"], false, "{at}");
                assert_eq!(explained["flow"], Value::Null, "{at}");

                let stream = ends.connect(&lab).unwrap_or_else(|failure| panic!("{failure}: {at}"));
                let index: usize = client::read_identity(&stream).unwrap().parse().unwrap();
                let backend = &lab.backends[index];
                assert_eq!(explained["choice"]["backend"], backend.at(family, BACKEND_PORT).to_string(), "{at}");
                let hop = &explained["next_hop"];
                let link = backend.output("ip", &["-j", "link", "show", "eth0"]).success().json();
                assert_eq!(
                    (&hop["by"], &hop["mac"], &hop["mtu"]),
                    (&json!(by), &link[0]["address"], &json!(1500)),
                    "{at}"
                );
            }
        }
    }
}

#[test]
fn candidates_are_told_with_their_part_and_why_they_have_none() {
    let lab = Topology::two_arm(3).build();
    let _servers = numbered_servers(&lab);
    let family = Family::V4;
    let service = service(&lab, family).weights(&[1, 3, 1]).with("algorithm = \"least-connections\"");
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative).service(service));
    let backends = lab.backends_at(family, BACKEND_PORT);
    gateway.cli(&["backend", "drain", service_name(family), &backends[2].to_string()]).success();
    let ends = Ends::new(&lab, family, 0);
    let _open: Vec<_> = (1..=6).map(|number| Ends::new(&lab, family, number).connect(&lab).unwrap()).collect();
    let explained = ends.explain(&gateway);
    let candidates = explained["candidates"].as_array().unwrap();
    let places: Vec<u64> = candidates.iter().map(|candidate| candidate["places"].as_u64().unwrap()).collect();
    let all = explained["service"]["places"].as_u64().unwrap();
    assert_eq!((places[0] + places[1], places[2]), (all, 0), "{explained:#}");
    assert!(places[1].abs_diff(3 * places[0]) <= 4, "{explained:#}");
    let open: u64 = candidates.iter().map(|candidate| candidate["open_flows"].as_u64().unwrap()).sum();
    assert_eq!(open, 6, "{explained:#}");
    assert_eq!(candidates[2]["unused"], "draining");
    assert!(candidates[..2].iter().all(|candidate| candidate["unused"].is_null()), "{explained:#}");
    let choice = &explained["choice"];
    assert_eq!((&choice["by"], &choice["random"]), (&json!("fewer-flows"), &json!(true)));
    let drawn = choice["drawn"].as_array().unwrap();
    assert!(drawn.len() == 2 && drawn.contains(&choice["backend"]), "{explained:#}");
    assert!(drawn.iter().all(|drawn| *drawn != backends[2].to_string()), "{explained:#}");
}

#[test]
fn an_open_connection_is_told_with_its_source() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let ends = Ends::new(&lab, family, 0);
        let stream = ends.connect(&lab).unwrap();
        client::exchange(&stream, 1, 1_000).unwrap();
        let peer = servers.iter().find_map(|server| server.peers().first().copied()).unwrap();
        let explained = ends.explain(&gateway);
        assert_eq!(explained["verdict"]["reason"], "forwarded", "{explained:#}");
        assert_eq!(explained["flow"]["state"], "ESTABLISHED", "{explained:#}");
        assert_eq!(explained["choice"]["by"], "flow", "{explained:#}");
        assert_eq!(explained["choice"]["backend"], explained["flow"]["backend"], "{explained:#}");
        assert_eq!(explained["source"]["address"], peer.to_string(), "{explained:#}");
        client::exchange(&stream, 2, 1_000).unwrap();
    }
}

#[test]
fn refusals_come_as_explained() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let ends = Ends::new(&lab, family, 0);
        let nobody = Ends { to: lab.front.at(family, PORT + 7), ..ends };
        let explained = refused_as_explained(&lab, &gateway, nobody, "no_service", Failure::Refused);
        assert_eq!((&explained["verdict"]["action"], &explained["service"]), (&json!("pass"), &Value::Null));

        let (name, backend) = (service_name(family), lab.backends[0].at(family, BACKEND_PORT).to_string());
        gateway.cli(&["backend", "drain", name, &backend]).success();
        let explained = refused_as_explained(&lab, &gateway, ends, "no_backend_reset", Failure::Refused);
        assert_eq!(explained["candidates"][0]["unused"], "draining", "{explained:#}");
        assert_eq!(explained["choice"], Value::Null, "{explained:#}");
    }
}

#[test]
fn limits_hold_as_explained() {
    for (limits, reason, limit) in [
        ("connections = 2", "limit_connections_reset", "connections"),
        ("connections_per_source = 2", "limit_connections_per_source_reset", "connections_per_source"),
        ("connections = 2, answer = \"drop\"", "limit_connections", "connections"),
    ] {
        let (lab, family) = (Topology::two_arm(1).build(), Family::V4);
        let _servers = servers(&lab, &Behaviour::Echo);
        let service = service(&lab, family).with(&format!("limits = {{ {limits} }}"));
        let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative).service(service));
        let mut open = Vec::new();
        for number in 0..2 {
            let ends = Ends::new(&lab, family, number);
            let explained = ends.explain(&gateway);
            assert_eq!(explained["verdict"]["reason"], "opened", "{explained:#}");
            assert_eq!(explained["limits"], json!([{"limit": limit, "used": number, "allowed": 2}]), "{explained:#}");
            open.push(ends.connect(&lab).unwrap());
        }
        let failure = if reason.ends_with("_reset") { Failure::Refused } else { Failure::Timeout };
        let explained = refused_as_explained(&lab, &gateway, Ends::new(&lab, family, 2), reason, failure);
        assert_eq!(explained["limits"], json!([{"limit": limit, "used": 2, "allowed": 2}]), "{explained:#}");
        crowd::exchange_on_all(&open).unwrap();
    }
}

#[test]
fn full_tables_and_spent_ports_are_explained() {
    const FEW: u16 = 64;
    for (mode, family) in [(Mode::XdpNative, Family::V4), (Mode::Tc, Family::V6)] {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let to = lab.front.at(family, PORT);
        let next = Ends::new(&lab, family, 0);

        let full = config(&lab, mode).capacity(FEW.into(), 512).with_flows("full = \"reset\"");
        let gateway = Gateway::start(&lab, &full);
        let open = crowd::open(&lab.client, to, FEW.into()).unwrap();
        let explained = refused_as_explained(&lab, &gateway, next, "table_full_reset", Failure::Refused);
        assert_eq!(explained["flows"], json!({"open": FEW, "capacity": FEW}), "{explained:#}");
        drop((open, gateway));

        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode).sources(&[], &format!("40000-{}", 40_000 + FEW - 1)));
        let _open = crowd::open(&lab.client, to, FEW.into()).unwrap();
        let explained = refused_as_explained(&lab, &gateway, next, "ports_exhausted", Failure::Timeout);
        assert_eq!(explained["source"]["address"], Value::Null, "{explained:#}");
    }
}

#[test]
fn a_cookie_is_explained_with_what_follows_it() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let _servers = numbered_servers(&lab);
        let gateway = Gateway::start(&lab, &config(&lab, mode).with_flows("syn_cookies = \"always\""));
        let ends = Ends::new(&lab, family, 0);
        let explained = ends.explain(&gateway);
        assert_eq!(explained["cookies"], json!({"when": "always", "sent": true}), "{explained:#}");
        assert_eq!(explained["verdict"]["reason"], "cookie_sent", "{explained:#}");
        assert_eq!(explained["acknowledged"]["reason"], "opened_by_cookie", "{explained:#}");
        let stream = ends.connect(&lab).unwrap();
        let index: usize = client::read_identity(&stream).unwrap().parse().unwrap();
        let backend = lab.backends[index].at(family, BACKEND_PORT).to_string();
        assert_eq!(explained["choice"]["backend"], backend, "{explained:#}");
        assert_eq!((gateway.packets("cookie_sent"), gateway.packets("opened_by_cookie")), (1, 1));
    }
}

#[test]
fn people_read_steps() {
    let lab = Topology::two_arm(2).build();
    let _servers = numbered_servers(&lab);
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let ends = Ends::new(&lab, Family::V4, 0);
    let arguments = ["explain", "--from", &ends.from.to_string(), "--to", &ends.to.to_string()];
    let text = gateway.cli(&arguments).success().stdout;
    println!("{text}");
    for part in ["forwarded by", "(opened)", "comes in", "candidate", "50.", "choice", "source", "next hop"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}
