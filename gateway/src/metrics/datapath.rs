//! Metrics of the gateway as a whole.

use std::time::UNIX_EPOCH;

use super::{
    snapshot::Snapshot,
    text::{Labels, Text, labels},
};
use crate::model::status::DatapathStatus;

const NANOSECONDS: f64 = 1e9;

pub fn write(text: &mut Text, snapshot: &Snapshot) {
    let version = labels([("version", env!("CARGO_PKG_VERSION"))]);
    let started = snapshot.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    text.gauge("gateway_build_info", "Version of the daemon.", [(version, 1.0)]);
    text.gauge("gateway_start_time_seconds", "When the daemon was ready, in seconds since 1970.", one(started));
    write_tables(text, &snapshot.datapath);
    write_programs(text, &snapshot.datapath);
}

fn write_tables(text: &mut Text, datapath: &DatapathStatus) {
    let DatapathStatus { flows, half_open, sweeps, warnings, .. } = datapath;
    let gauges = [
        ("gateway_flows", "Flows past their handshake, those that are finished and rest included.", flows.open),
        ("gateway_flows_capacity", "Flows that there is room for.", flows.capacity),
        ("gateway_half_open_flows", "Flows in their handshake.", half_open.open),
        ("gateway_half_open_flows_capacity", "Flows in their handshake that there is room for.", half_open.capacity),
        ("gateway_warnings", "Warnings that the status shows.", warnings.len() as u64),
    ];
    for (name, help, value) in gauges {
        text.gauge(name, help, one(value as f64));
    }
    let counters = [
        ("gateway_sweeps_total", "Sweeps of the flow tables since the daemon's start.", sweeps.sweeps as f64),
        ("gateway_sweep_seconds_total", "Time that sweeps took.", sweeps.time_ns as f64 / NANOSECONDS),
        ("gateway_swept_flows_total", "Flows that sweeps have removed.", sweeps.removed as f64),
    ];
    counters.into_iter().for_each(|(name, help, value)| text.counter(name, help, one(value)));
}

fn write_programs(text: &mut Text, datapath: &DatapathStatus) {
    let DatapathStatus { interfaces, reasons, programs, .. } = datapath;
    let reasons = reasons.iter().map(|count| {
        let labels = labels([("action", count.action.name()), ("reason", &count.reason)]);
        (labels, count.packets as f64)
    });
    text.counter("gateway_packets_total", "Packets by what became of them and why.", reasons);
    let interfaces = interfaces.iter().map(|interface| {
        let labels = labels([("interface", &interface.name), ("mode", interface.mode.name())]);
        (labels, 1.0)
    });
    text.gauge("gateway_interface_info", "Interfaces with the mode in force.", interfaces);
    let hook = |hook: &'static str| labels([("hook", hook)]);
    let runs = programs.iter().map(|program| (hook(program.hook.name()), program.runs as f64));
    text.counter("gateway_program_runs_total", "Runs of a packet program while kernel.bpf_stats_enabled is 1.", runs);
    let times = programs.iter().map(|program| (hook(program.hook.name()), program.run_time_ns as f64 / NANOSECONDS));
    text.counter("gateway_program_run_seconds_total", "Time that these runs took.", times);
}

/// The sample of a metric without labels.
fn one(value: f64) -> [(Labels, f64); 1] {
    [(Labels::default(), value)]
}
