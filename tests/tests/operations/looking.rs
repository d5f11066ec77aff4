//! Looking at a gateway, and at what goes through it.

use std::time::Duration;

use gateway_tests::{
    eventually,
    traffic::{Failure, client},
};

use crate::{
    front_server::{self, FrontServer, PORT, TABLES},
    runbook::Section,
};

const DOCTOR: &str = "gateway doctor --config /etc/gateway/gateway.toml";
const PATIENCE: Duration = Duration::from_secs(30);

pub fn at_a_glance(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    let (stream, _) = server.connect().unwrap();
    client::exchange(&stream, 1, 1_000).unwrap();
    section.shows(&server, "gateway status", &["xdp-native", "2 active, 0 draining", "forwarded"]);
    section.shows(&server, "gateway backend list web", &["10.0.1.11:80", "active", "up"]);
    section.shows(&server, "gateway top --once", &["web"]);
    section.shows(&server, "gateway events --no-follow", &["daemon-started", "backend-up"]);
    section.does(&server, DOCTOR);
    section.shows(&server, "curl --fail --silent --show-error http://127.0.0.1:9469/readyz", &["ready"]);
}

pub fn slow(section: &Section) {
    let lab = front_server::lab();
    let generic = front_server::configuration_in_mode("xdp-generic", TABLES);
    let server = FrontServer::start(&lab, &generic);
    let stream = server.serves();
    section.shows(&server, "gateway status", &["xdp-generic"]);
    section.shows(&server, "gateway top --once --cpu", &["CPU"]);
    let sums = "curl -s http://127.0.0.1:9469/metrics | grep -E 'handshake_seconds_(sum|count)'";
    section.shows(&server, sums, &["gateway_backend_handshake_seconds_sum"]);
    section.shows(&server, "gateway flows web --sort bytes --limit 10", &["ESTABLISHED"]);
    server.configure(&front_server::configuration(TABLES));
    section.does(&server, "systemctl restart gateway");
    eventually(PATIENCE, || {
        let status = server.sh("gateway status").stdout;
        if status.contains("xdp-native") { Ok(()) } else { Err(status) }
    });
    client::exchange(&stream, 1, 1_000).unwrap();
}

pub fn vanishing_packets(section: &Section) {
    const TRACE: &str = "gateway trace 198.51.100.2 --count 2";
    const CAPTURE: &str = "gateway capture --client 198.51.100.2 --duration 10s -w /tmp/client.pcapng";
    const TCPDUMP: &str = "timeout 5 tcpdump -ni eth1 tcp portrange 61000-65535";
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    server.serves();
    let trace = section.begin(&server, TRACE, "tracing");
    let closed = std::net::SocketAddr::new(server.web().ip(), PORT + 1);
    for _ in 0..3 {
        assert_eq!(client::connect(&lab.client, closed).unwrap_err(), Failure::Refused);
    }
    section.ended(trace, TRACE, 0, &["[S]", "pass, no_service: TCP for no service"]);

    let capture = section.begin(&server, CAPTURE, "capturing");
    let kernel = section.begin(&server, TCPDUMP, "listening on eth1");
    let (stream, _) = server.connect().unwrap();
    client::exchange(&stream, 1, 100).unwrap();
    drop(stream);
    section.ended(capture, CAPTURE, 0, &["packets captured", "0 sightings lost"]);
    section.ended(kernel, TCPDUMP, 124, &["0 packets captured"]);
    section.shows(&server, "tshark -r /tmp/client.pcapng", &["10.0.0.1", "198.51.100.2", "[SYN]"]);
}

pub fn client_behind_a_connection(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    let (stream, name) = server.connect().unwrap();
    let flows = server.sh("gateway flows web --json").success().json();
    let flow = flows["flows"].as_array().unwrap().iter().find(|flow| flow["state"] == "ESTABLISHED").unwrap();
    let value = |field: &str| flow[field].as_str().unwrap().to_owned();
    assert_eq!(value("backend"), format!("10.0.1.1{}:80", if name == "0" { 1 } else { 2 }));
    let values = [("10.0.0.1:61007", value("snat")), ("10.0.1.11:80", value("backend"))];
    let told = section.does_with(&server, "gateway who 10.0.0.1:61007 10.0.1.11:80", &values, &["198.51.100.2"]);
    assert!(told.stdout.contains(&stream.local_addr().unwrap().to_string()), "{told:?}");
    section.shows(&server, "gateway flows --client 198.51.100.2", &["ESTABLISHED", "198.51.100.2"]);
}
