//! What the metrics' listener answers, over packet tables in memory.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, SystemTime},
};

use gateway::{
    lifecycle::{Desired, Engine},
    metrics::{self, Exporter},
    model::{DeploymentOptions, NewBackend, change::NewService},
    store::Store,
};

use crate::support::{MemoryTables, new_service, site};

const DOCUMENT: &str = include_str!("../../../docs/metrics.md");

/// An engine with a service that is being deployed.
fn deploying() -> Arc<Engine<MemoryTables>> {
    let folder = tempfile::tempdir().unwrap();
    let backends = ["10.0.1.1:80", "10.0.1.2:80"].map(|address| NewBackend::new(address.parse().unwrap()));
    let web = NewService { backends: backends.into(), ..new_service("web", ":80") };
    let desired = Desired::new(site()).add_service(web).unwrap();
    let engine = Engine::start(desired, Store::open(folder.path()).unwrap(), MemoryTables::default()).unwrap();
    let new = vec![NewBackend::new("10.0.1.3:80".parse().unwrap())];
    let now = SystemTime::now();
    engine.change(|desired| desired.begin_deployment("web", new, DeploymentOptions::default(), now)).unwrap();
    Arc::new(engine)
}

/// The names of the metrics of a text.
fn names(text: &str) -> BTreeSet<&str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap()).collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_is_there() {
    let text = metrics::scrape(&deploying(), SystemTime::now()).unwrap();
    let cells = DOCUMENT.lines().filter(|line| line.starts_with("| `gateway_"));
    let first_cell = |line: &'static str| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2);
    let documented: BTreeSet<&str> = cells.flat_map(first_cell).collect();
    assert_eq!(names(&text), documented);
}

#[test]
fn samples_tell_what_the_tables_have() {
    let text = metrics::scrape(&deploying(), SystemTime::now()).unwrap();
    for line in [
        "gateway_packets_total{action=\"pass\",reason=\"not_ip\"} 3",
        "gateway_flows_capacity 100",
        "gateway_sweep_seconds_total 0.003",
        "gateway_program_run_seconds_total{hook=\"xdp\"} 0.0000007",
        "gateway_interface_info{interface=\"eth0\",mode=\"xdp-native\"} 1",
        "gateway_service_backends{service=\"web\",state=\"active\"} 2",
        "gateway_service_backends{service=\"web\",state=\"starting\"} 1",
        "gateway_service_backends{service=\"web\",state=\"down\"} 0",
        "gateway_service_deployments_total{service=\"web\"} 1",
        "gateway_service_deployment_phase{service=\"web\",phase=\"starting\"} 1",
        "gateway_backend_bytes_total{service=\"web\",backend=\"10.0.1.1:80\",direction=\"reply\"} 400",
        "gateway_backend_failed_attempts_total{service=\"web\",backend=\"10.0.1.1:80\",reason=\"refused\"} 0",
        "gateway_backend_handshake_seconds_bucket{service=\"web\",backend=\"10.0.1.1:80\",le=\"0.000064\"} 3",
        "gateway_backend_handshake_seconds_bucket{service=\"web\",backend=\"10.0.1.1:80\",le=\"1.048576\"} 3",
        "gateway_backend_handshake_seconds_bucket{service=\"web\",backend=\"10.0.1.1:80\",le=\"+Inf\"} 4",
        "gateway_backend_handshake_seconds_sum{service=\"web\",backend=\"10.0.1.1:80\"} 2.5",
        "gateway_backend_half_open_flows{service=\"web\",backend=\"10.0.1.1:80\"} 2",
        "gateway_backend_source_ports_capacity{service=\"web\",backend=\"10.0.1.1:80\"} 4536",
        "gateway_backend_up{service=\"web\",backend=\"10.0.1.1:80\"} 1",
        "gateway_backend_up{service=\"web\",backend=\"10.0.1.3:80\"} 0",
    ] {
        assert!(text.lines().any(|sample| sample == line), "no {line} in\n{text}");
    }
}

/// Status line, header fields and body of the answer to a GET.
async fn get(listen: SocketAddr, path: &str) -> (String, String) {
    let path = path.to_owned();
    let exchange = move || {
        let mut stream = TcpStream::connect(listen).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

/// An address that nobody listens on at this moment.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_gateway_and_liveness_does_not() {
    let listen = free_address();
    let exporter = Exporter::start(Some(listen)).await.unwrap();
    for (path, status) in [("/healthz", "200 OK"), ("/readyz", "503 "), ("/metrics", "503 "), ("/", "404 ")] {
        let (head, _) = get(listen, path).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {head}");
    }
    let upkeep = tokio::spawn(std::future::pending::<()>());
    exporter.ready(deploying(), upkeep.abort_handle());
    assert!(get(listen, "/readyz").await.0.starts_with("HTTP/1.1 200 OK"));
    let (head, body) = get(listen, "/metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(body.starts_with("# HELP gateway_") && body.ends_with('\n'), "{body}");
    upkeep.abort();
    assert!(upkeep.await.unwrap_err().is_cancelled());
    assert!(get(listen, "/readyz").await.0.starts_with("HTTP/1.1 503"));
    assert!(get(listen, "/healthz").await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn address_that_is_taken_is_refused_with_its_section() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let Err(error) = Exporter::<MemoryTables>::start(Some(listen)).await else { panic!("it listens twice") };
    assert!(format!("{error:#}").contains(&format!("{listen}, which is [metrics] listen")), "{error:#}");
}
