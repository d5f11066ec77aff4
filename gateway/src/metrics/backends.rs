//! Metrics of each backend of each service.

use super::{
    snapshot::{Snapshot, Standing},
    text::{Labels, Text, labels},
};
use crate::model::{BackendState, status::BackendCounters};

/// Reads a number off a backend's counters.
type Read = fn(&BackendCounters) -> u64;

/// The values of a label, each with its number.
type ByLabel = [(&'static str, Read); 2];

/// One number of a backend with no label beside.
const TOTALS: [(&str, &str, Read); 3] = [
    ("gateway_backend_connections_total", "Connections whose handshake completed.", |row| row.connections),
    ("gateway_backend_attempts_total", "SYNs given to the backend, repeated ones included.", |row| row.attempts),
    ("gateway_backend_port_probes_total", "Source ports looked at until one was free.", |row| row.port_probes),
];

/// Totals by a label: name, help, label, and each of its values.
const LABELLED_TOTALS: [(&str, &str, &str, ByLabel); 3] = [
    (
        "gateway_backend_failed_attempts_total",
        "Attempts that the backend has refused by a reset or not answered.",
        "reason",
        [("refused", |row| row.refused), ("unanswered", |row| row.unanswered)],
    ),
    (
        "gateway_backend_packets_total",
        "IP packets: original from clients to the backend, reply back.",
        "direction",
        [("original", |row| row.original.packets), ("reply", |row| row.reply.packets)],
    ),
    (
        "gateway_backend_bytes_total",
        "Bytes of IP packets: original from clients to the backend, reply back.",
        "direction",
        [("original", |row| row.original.bytes), ("reply", |row| row.reply.bytes)],
    ),
];

const GAUGES: [(&str, &str, Read); 4] = [
    ("gateway_backend_open_flows", "Connections that are open.", |row| row.open_flows),
    ("gateway_backend_half_open_flows", "Handshakes under way at the latest sweep.", |row| row.half_open),
    ("gateway_backend_source_ports", "Source ports taken towards its address at the latest sweep.", |row| {
        row.source_ports.open
    }),
    ("gateway_backend_source_ports_capacity", "Source ports that there are towards its address.", |row| {
        row.source_ports.capacity
    }),
];

pub fn write(text: &mut Text, snapshot: &Snapshot) {
    let mut rows: Vec<&BackendCounters> = snapshot.counters.iter().collect();
    rows.sort_unstable_by_key(|row| (&row.service, row.backend));
    let rows: Vec<(&BackendCounters, Labels)> =
        rows.into_iter().map(|row| (row, of_backend(&row.service, &row.backend.to_string()))).collect();
    for (name, help, read) in TOTALS {
        text.counter(name, help, rows.iter().map(|(row, labels)| (labels, read(row) as f64)));
    }
    for (name, help, label, values) in LABELLED_TOTALS {
        let samples = rows
            .iter()
            .flat_map(|(row, labels)| values.map(|(value, read)| (labels.with(label, value), read(row) as f64)));
        text.counter(name, help, samples);
    }
    let handshakes = rows.iter().map(|(row, labels)| (labels, row.handshakes));
    text.histogram("gateway_backend_handshake_seconds", "From the first SYN to the backend's SYN-ACK.", handshakes);
    for (name, help, read) in GAUGES {
        text.gauge(name, help, rows.iter().map(|(row, labels)| (labels, read(row) as f64)));
    }
    write_wanted(text, snapshot);
}

/// What is wanted of the backends, and what probes say of them.
fn write_wanted(text: &mut Text, snapshot: &Snapshot) {
    let (mut up, mut draining, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (service, backend, report) in snapshot.backends() {
        let labels = of_backend(service, &backend.address.to_string());
        let is_up = match report {
            Some(report) => report.status.is_usable(),
            None => backend.state != BackendState::Starting,
        };
        up.push((labels.clone(), f64::from(is_up)));
        let is_draining = Standing::of(backend, report) == Standing::Draining;
        draining.push((labels.clone(), f64::from(is_draining)));
        weights.push((labels, f64::from(backend.weight)));
    }
    text.gauge("gateway_backend_up", "1 while probes find the backend well, or nothing probes it.", up);
    text.gauge("gateway_backend_draining", "1 while the backend drains or has drained.", draining);
    text.gauge("gateway_backend_weight", "Share of new connections relative to the other backends.", weights);
}

fn of_backend(service: &str, backend: &str) -> Labels {
    labels([("service", service), ("backend", backend)])
}
