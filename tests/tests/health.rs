//! Probes of real servers, and what becomes of connections while servers fail and come back.

use std::{collections::BTreeSet, fs, time::Duration};

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Lab, Mode, Namespace, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, cases, numbered_servers, servers, service, service_name},
    traffic::{Behaviour, Failure, Heartbeat, Server, client, grpc::GrpcServer},
};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Fast enough for a test, slow enough for a busy machine.
const HANDSHAKE: &str = "{ kind = \"tcp\", interval = \"200ms\", timeout = \"150ms\", fall = 2 }";

/// The scenario's service of both families, probed.
fn config(lab: &Lab, mode: Mode, health: &str) -> GatewayConfig {
    let services = Family::ALL.map(|family| service(lab, family).health(health));
    services.into_iter().fold(GatewayConfig::new(lab, mode), GatewayConfig::service)
}

/// Waits until the health of the backend with this index is `wanted`; what the failing probes said.
#[track_caller]
fn wait_for(gateway: &Gateway, lab: &Lab, (family, index): (Family, usize), wanted: &str) -> Option<String> {
    let address = lab.backends[index].at(family, BACKEND_PORT).to_string();
    eventually(TIMEOUT, || {
        let backends = gateway.json(&["backend", "list", service_name(family)]);
        let backend = backends.as_array().unwrap().iter().find(|backend| backend["address"] == address);
        let health = &backend.unwrap_or_else(|| panic!("{address} is not listed: {backends}"))["health"];
        let error = health["error"].as_str().map(str::to_owned);
        if health["status"] == wanted { Ok(error) } else { Err(format!("{address} is {health}, not {wanted}")) }
    })
}

/// The backends that a number of new connections are given to.
#[track_caller]
fn reached(lab: &Lab, family: Family) -> BTreeSet<String> {
    (0..30).map(|_| client::identity_of(&lab.client, lab.front.at(family, PORT)).unwrap()).collect()
}

/// A counter of the host's TCP, as in nstat(8) without its prefix.
#[track_caller]
fn tcp_counter(host: &Namespace, file: &str, name: &str) -> u64 {
    let text = host.run(|| fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap());
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let position = |names: &Vec<&str>| names.iter().position(|candidate| *candidate == name);
    let found = lines.windows(2).find_map(|pair| pair[1][position(&pair[0])?].parse().ok());
    found.unwrap_or_else(|| panic!("no {name} in {file}"))
}

#[test]
fn handshake_probe_is_seen_by_the_backends_kernel_alone() {
    const PROBES: u64 = 20;
    for (mode, side) in
        Mode::ALL.into_iter().flat_map(|mode| [BackendSide::Segment, BackendSide::Bridge].map(|side| (mode, side)))
    {
        let lab = Topology::new(side, 1).build();
        let servers = servers(&lab, &Behaviour::Hold);
        let _gateway = Gateway::start(&lab, &config(&lab, mode, HANDSHAKE));
        eventually(TIMEOUT, || match tcp_counter(&lab.backends[0], "netstat", "EmbryonicRsts") {
            taken_back if taken_back >= PROBES => Ok(()),
            taken_back => Err(format!("{mode:?} {side:?}: {taken_back} handshakes taken back")),
        });
        assert_eq!(tcp_counter(&lab.backends[0], "snmp", "PassiveOpens"), 0, "{mode:?} {side:?}");
        assert_eq!(servers[0].accepted(), 0, "{mode:?} {side:?}");
    }
}

/// Waits for this many probes of the first backend, each a connection of its own, and checks that none was reset.
#[track_caller]
fn expect_polite_probes(lab: &Lab, number: u64) {
    let backend = &lab.backends[0];
    let before = tcp_counter(backend, "snmp", "PassiveOpens");
    eventually(TIMEOUT, || match tcp_counter(backend, "snmp", "PassiveOpens") - before {
        probes if probes >= number => Ok(()),
        probes => Err(format!("{probes} probes")),
    });
    assert_eq!(tcp_counter(backend, "snmp", "EstabResets"), 0);
    assert_eq!(tcp_counter(&lab.front, "snmp", "OutRsts"), 0);
}

#[test]
fn http_probe_judges_the_status_and_ends_its_connection_in_order() {
    let lab = Topology::two_arm(1).build();
    let folder = lab.directory().join("www");
    let (ready, port) = (folder.join("ready"), BACKEND_PORT.to_string());
    fs::create_dir_all(folder.join("moved")).unwrap();
    fs::write(&ready, vec![b'x'; 100_000]).unwrap();
    let root = folder.to_str().unwrap();
    let _server = lab.backends[0].start("busybox", &["httpd", "-f", "-p", &port, "-h", root]);
    let health =
        |path: &str| format!("{{ kind = \"http\", path = {path:?}, interval = \"500ms\", timeout = \"500ms\" }}");
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative, &health("/ready")));
    for family in Family::ALL {
        wait_for(&gateway, &lab, (family, 0), "up");
    }
    expect_polite_probes(&lab, 20);
    fs::remove_file(&ready).unwrap();
    for family in Family::ALL {
        let error = wait_for(&gateway, &lab, (family, 0), "down");
        assert_eq!(error.as_deref(), Some("HTTP 404, expected 200-399"), "{family:?}");
    }
    fs::write(&ready, "").unwrap();
    for family in Family::ALL {
        wait_for(&gateway, &lab, (family, 0), "up");
    }
    // Redirected to /moved/, where there is nothing.
    gateway.reload(&config(&lab, Mode::XdpNative, &health("/moved")));
    let shown = || gateway.json(&["service", "show", service_name(Family::V4)])["health"]["path"].clone();
    eventually(TIMEOUT, || if shown() == "/moved" { Ok(()) } else { Err(shown()) });
    expect_polite_probes(&lab, 20);
    for family in Family::ALL {
        wait_for(&gateway, &lab, (family, 0), "up");
    }
}

#[test]
fn grpc_probe_asks_about_its_service_and_ends_its_connection_in_order() {
    const SERVICE: &str = "shop.v1.Cart";
    let lab = Topology::two_arm(1).build();
    let server = GrpcServer::start(&lab.backends[0], BACKEND_PORT);
    let health = format!("{{ kind = \"grpc\", service = {SERVICE:?}, interval = \"500ms\", timeout = \"500ms\" }}");
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative, &health));
    let expect_down = |reason: &str| {
        for family in Family::ALL {
            let error = wait_for(&gateway, &lab, (family, 0), "down");
            assert_eq!(error.as_deref(), Some(reason), "{family:?}");
        }
    };
    expect_down("the server knows no service `shop.v1.Cart`");
    server.set(SERVICE, true);
    for family in Family::ALL {
        wait_for(&gateway, &lab, (family, 0), "up");
    }
    expect_polite_probes(&lab, 20);
    server.set(SERVICE, false);
    expect_down("NOT_SERVING");
}

#[test]
fn failed_backend_gets_no_connections_until_it_answers_again() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let mut servers = numbered_servers(&lab);
        let gateway = Gateway::start(&lab, &config(&lab, mode, HANDSHAKE));
        wait_for(&gateway, &lab, (family, 1), "up");
        assert_eq!(reached(&lab, family).len(), 2, "{mode:?} {family:?}");
        drop(servers.pop());
        let error = wait_for(&gateway, &lab, (family, 1), "down");
        assert_eq!(error.as_deref(), Some("connection refused"), "{mode:?} {family:?}");
        assert_eq!(reached(&lab, family), BTreeSet::from(["0".to_owned()]), "{mode:?} {family:?}");
        for other in Family::ALL {
            wait_for(&gateway, &lab, (other, 1), "down");
        }
        assert_eq!(gateway.json(&["status"])["backends"]["down"], 2, "{mode:?} {family:?}");
        servers.push(Server::start(&lab.backends[1], BACKEND_PORT, Behaviour::Identify("1".to_owned())));
        assert_eq!(wait_for(&gateway, &lab, (family, 1), "up"), None);
        assert_eq!(reached(&lab, family).len(), 2, "{mode:?} {family:?}");
    }
}

#[test]
fn connections_of_a_failed_backend_go_on_and_new_ones_are_reset_when_all_have_failed() {
    for (mode, side) in Mode::ALL.into_iter().zip([BackendSide::Segment, BackendSide::Bridge]) {
        let lab = Topology::new(side, 1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode, HANDSHAKE));
        for family in Family::ALL {
            let to = lab.front.at(family, PORT);
            wait_for(&gateway, &lab, (family, 0), "up");
            let connection = Heartbeat::start(&lab.client, to);
            connection.expect_beats(20);
            // The server goes on with what it has and takes nothing new.
            lab.backends[0].nft(&format!(
                "table inet closed {{ chain input {{ type filter hook input priority 0;
                 tcp dport {BACKEND_PORT} tcp flags & (syn | ack) == syn drop; }}; }}"
            ));
            let error = wait_for(&gateway, &lab, (family, 0), "down");
            assert_eq!(error.as_deref(), Some("no answer within 150ms"), "{mode:?} {family:?}");
            assert_eq!(client::connect(&lab.client, to).unwrap_err(), Failure::Refused, "{mode:?} {family:?}");
            connection.expect_beats(20);
            lab.backends[0].nft("delete table inet closed");
            wait_for(&gateway, &lab, (family, 0), "up");
            connection.stop().unwrap_or_else(|e| panic!("{mode:?} {family:?}: {e}"));
            client::exchange(&client::connect(&lab.client, to).unwrap(), 1, 1_000).unwrap();
        }
    }
}

#[test]
fn added_backend_gets_connections_once_it_answers() {
    for family in Family::ALL {
        let lab = Topology::two_arm(2).build();
        let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative));
        let first = Server::start(&lab.backends[0], BACKEND_PORT, Behaviour::Identify("0".to_owned()));
        let to = lab.front.at(family, PORT);
        let [present, late] = [0, 1].map(|index| lab.backends[index].at(family, BACKEND_PORT).to_string());
        let name = service_name(family);
        let added = gateway.cli(&["service", "add", name, "--listen", &to.to_string(), "--backend", &present]);
        let added = added.success().stdout;
        assert!(added.ends_with(&format!("backend {present} answers\n")), "{added}");
        let added = gateway.cli(&["backend", "add", name, &late]).success().stdout;
        let why = "it has not answered yet (connection refused) and gets connections once it does";
        assert_eq!(added, format!("backend {late} added to {name}; {why}\n"));
        assert_eq!(gateway.json(&["backend", "list", name])[1]["state"], "starting");
        assert_eq!(reached(&lab, family), BTreeSet::from(["0".to_owned()]), "{family:?}");
        let _second = Server::start(&lab.backends[1], BACKEND_PORT, Behaviour::Identify("1".to_owned()));
        wait_for(&gateway, &lab, (family, 1), "up");
        assert_eq!(reached(&lab, family).len(), 2, "{family:?}");
        gateway.cli(&["backend", "remove", name, &present]).success();
        drop(first);
        let again = gateway.cli(&["backend", "add", name, &present]).success().stdout;
        assert!(again.contains("has not answered yet"), "{again}");
        gateway.cli(&["service", "set", name, "--health", "none"]).success();
        let unprobed = gateway.json(&["backend", "list", name])[0].clone();
        assert_eq!((&unprobed["state"], &unprobed["health"]), (&"active".into(), &serde_json::Value::Null));
    }
}

#[test]
fn backends_that_are_there_at_the_start_get_connections_before_the_first_probe() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    // Probed once in an hour: not before this test has ended, but for once in many thousand runs.
    let health = "{ kind = \"tcp\", interval = \"1h\" }";
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative, health));
    for family in Family::ALL {
        assert_eq!(gateway.json(&["backend", "list", service_name(family)])[0]["health"]["status"], "unknown");
        client::exchange(&client::connect(&lab.client, lab.front.at(family, PORT)).unwrap(), 1, 1_000).unwrap();
    }
}
