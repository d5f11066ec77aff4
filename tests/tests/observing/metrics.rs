//! Metrics agree with what went through the gateway, and with Prometheus' rules.

use std::{net::TcpListener, time::Duration};

use aya::sys::{Stats, enable_stats};
use gateway_tests::{
    Family, Gateway, Mode, Process, Topology, eventually, gateway,
    scenario::{BACKEND_PORT, PORT, cases, config, servers, service_name},
    traffic::{Behaviour, Heartbeat, client},
};

use crate::scrape::{LISTEN, Scrape, with_metrics};

const CONNECTIONS: usize = 12;
const PAYLOAD: usize = 10_000;
/// A sweep comes every 5 s, and on a busy machine later.
const SWEEP: Duration = Duration::from_secs(60);

#[test]
fn metrics_count_what_went_through_each_backend() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let servers = servers(&lab, &Behaviour::Echo);
        let _gateway = Gateway::start_with(&lab, &with_metrics(&config(&lab, mode)), &[]);
        let to = lab.front.at(family, PORT);
        for seed in 0..CONNECTIONS as u64 {
            client::exchange(&client::connect(&lab.client, to).unwrap(), seed, PAYLOAD).unwrap();
        }
        let open = Heartbeat::start(&lab.client, to);
        open.expect_beats(2);
        let scrape = Scrape::of(&lab);
        scrape.check();
        let service = service_name(family);
        for (server, backend) in servers.iter().zip(lab.backends_at(family, BACKEND_PORT)) {
            let value = |metric, labels| scrape.of_backend(metric, service, backend, labels);
            let accepted = server.accepted() as f64;
            assert_eq!(value("gateway_backend_connections_total", ""), accepted, "{mode:?} {family:?}");
            assert!(value("gateway_backend_attempts_total", "") >= accepted);
            assert_eq!(value("gateway_backend_failed_attempts_total", ",reason=\"refused\""), 0.0);
            assert_eq!(value("gateway_backend_up", ""), 1.0);
            assert_eq!(value("gateway_backend_handshake_seconds_count", ""), accepted);
            assert!(value("gateway_backend_handshake_seconds_sum", "") > 0.0);
            assert!(value("gateway_backend_port_probes_total", "") >= accepted);
            for direction in [",direction=\"original\"", ",direction=\"reply\""] {
                // One of them may be the connection that is open, which carries less.
                let payload = (accepted - 1.0) * PAYLOAD as f64;
                assert!(value("gateway_backend_bytes_total", direction) > payload, "{direction} of {backend}");
                assert!(value("gateway_backend_packets_total", direction) >= accepted * 4.0);
            }
        }
        let open_flows = lab.backends_at(family, BACKEND_PORT).into_iter();
        let open_flows =
            open_flows.map(|backend| scrape.of_backend("gateway_backend_open_flows", service, backend, ""));
        assert!(open_flows.sum::<f64>() >= 1.0);
        assert_eq!(scrape.value(&format!("gateway_service_backends{{service=\"{service}\",state=\"active\"}}")), 2.0);
        let opened = scrape.value("gateway_packets_total{action=\"forward\",reason=\"opened\"}");
        assert_eq!(opened, (CONNECTIONS + 1) as f64, "{mode:?} {family:?}");
        let info = format!("gateway_interface_info{{interface=\"eth0\",mode=\"{}\"}}", mode.name());
        assert_eq!(scrape.value(&info), 1.0);
        assert!(scrape.value("gateway_flows") >= 1.0);
    }
}

#[test]
fn run_time_of_programs_is_told_while_the_kernel_counts_it() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let _gateway = Gateway::start_with(&lab, &with_metrics(&config(&lab, Mode::XdpNative)), &[]);
    let exchange = || {
        let stream = client::connect(&lab.client, lab.front.at(Family::V4, PORT)).unwrap();
        client::exchange(&stream, 1, PAYLOAD).unwrap();
    };
    let before = Scrape::of(&lab).value("gateway_program_runs_total{hook=\"xdp\"}");
    let counting = enable_stats(Stats::RunTime).unwrap();
    exchange();
    let scrape = Scrape::of(&lab);
    drop(counting);
    assert!(scrape.value("gateway_program_runs_total{hook=\"xdp\"}") >= before + 10.0);
    assert!(scrape.value("gateway_program_run_seconds_total{hook=\"xdp\"}") > 0.0);
}

#[test]
fn counters_go_on_when_another_daemon_starts() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let config = with_metrics(&config(&lab, Mode::XdpNative));
    let gateway = Gateway::start_with(&lab, &config, &[]);
    for seed in 0..CONNECTIONS as u64 {
        let stream = client::connect(&lab.client, lab.front.at(Family::V4, PORT)).unwrap();
        client::exchange(&stream, seed, PAYLOAD).unwrap();
    }
    let before = Scrape::of(&lab);
    gateway.kill();
    let _gateway = Gateway::start_with(&lab, &config, &[]);
    let after = Scrape::of(&lab);
    let of_tables = |(sample, _): &(&str, f64)| !sample.starts_with("gateway_swe");
    assert!(before.totals().filter(of_tables).count() > 50);
    for (sample, value) in before.totals().filter(of_tables) {
        assert!(after.value(sample) >= value, "{sample} was {value} and is {}", after.value(sample));
    }
    assert!(after.totals().map(|(_, value)| value).sum::<f64>() > 0.0);
}

#[test]
fn a_removed_backend_is_told_of_while_it_has_connections() {
    let lab = Topology::two_arm(2).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let config = gateway_tests::GatewayConfig::new(&lab, Mode::XdpNative);
    let gateway = Gateway::start_with(&lab, &with_metrics(&config), &[]);
    let [backend, other] = [0, 1].map(|number: usize| lab.backends[number].at(Family::V4, BACKEND_PORT));
    let listen = lab.front.at(Family::V4, PORT);
    let add = ["service", "add", "web", "--listen", &listen.to_string(), "--backend", &backend.to_string()];
    gateway.cli(&[&add[..], &["--health", "none", "--drain-timeout", "10m"]].concat()).success();
    let connection = Heartbeat::start(&lab.client, listen);
    connection.expect_beats(2);
    gateway.cli(&["backend", "add", "web", &other.to_string()]).success();
    gateway.cli(&["backend", "remove", "web", &backend.to_string()]).success();
    let before = Scrape::of(&lab);
    connection.expect_beats(5);
    let after = Scrape::of(&lab);
    after.check();
    for direction in [",direction=\"original\"", ",direction=\"reply\""] {
        let packets = |scrape: &Scrape| scrape.of_backend("gateway_backend_packets_total", "web", backend, direction);
        assert!(packets(&after) > packets(&before), "{direction}");
    }
    assert_eq!(after.value("gateway_service_draining_flows{service=\"web\"}"), 1.0);
    let up = format!("gateway_backend_up{{service=\"web\",backend=\"{backend}\"}}");
    assert_eq!(after.find(&up), None, "a removed backend is neither up nor down");
}

#[test]
fn handshakes_without_end_are_counted_for_their_backend() {
    let lab = Topology::two_arm(1).build();
    // Nobody answers at the backend's address: its SYNs go into the void.
    lab.backends[0].ip(&["link set eth0 down".to_owned()]);
    let void = lab.backends[0].at(Family::V4, BACKEND_PORT);
    let neighbour = format!("neigh replace {} lladdr 02:00:00:00:00:99 dev eth1 nud permanent", void.ip());
    lab.front.ip(&[neighbour]);
    let _gateway = Gateway::start_with(&lab, &with_metrics(&config(&lab, Mode::XdpNative)), &[]);
    let to = lab.front.at(Family::V4, PORT).to_string();
    let (host, port) = to.split_once(':').unwrap();
    let attempt = lab.client.start("curl", &["-sS", "--max-time", "60", &format!("http://{host}:{port}/")]);
    eventually(SWEEP, || {
        let scrape = Scrape::of(&lab);
        let half_open = scrape.of_backend("gateway_backend_half_open_flows", "v4", void, "");
        if half_open == 1.0 { Ok(()) } else { Err(format!("{half_open} handshakes are under way")) }
    });
    drop(attempt);
}

#[test]
fn address_that_is_taken_ends_the_start_before_anything_is_touched() {
    let lab = Topology::two_arm(1).build();
    let taken = lab.front.run(|| TcpListener::bind(LISTEN)).unwrap();
    let text = with_metrics(&config(&lab, Mode::XdpNative));
    let mut start = Process::start(&mut gateway::run(&lab, &gateway::program(), &text));
    let output = start.wait(Duration::from_secs(30));
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains(&format!("listen on {LISTEN}, which is [metrics] listen")), "{output:?}");
    assert!(!lab.directory().join("gateway.sock").exists());
    let links = lab.front.output("ip", &["-o", "link", "show"]).success().stdout;
    assert!(!links.contains("xdp"), "{links}");
    drop(taken);
}
