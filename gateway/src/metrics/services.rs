//! Metrics of each service.

use std::collections::{BTreeMap, HashSet};

use super::{
    snapshot::{Snapshot, Standing, Target},
    text::{Text, labels},
};
use crate::model::{Deployment, Phase};

pub fn write(text: &mut Text, snapshot: &Snapshot) {
    write_backends(text, snapshot);
    let draining = draining_flows(snapshot);
    let draining = draining.iter().map(|(service, open)| (labels([("service", service)]), *open as f64));
    let help = "Open flows of backends that drain or were removed.";
    text.gauge("gateway_service_draining_flows", help, draining);
    write_deployments(text, snapshot);
}

fn write_backends(text: &mut Text, snapshot: &Snapshot) {
    let services = snapshot.desired.entries().map(|entry| entry.service().name.as_str());
    let none = |service| Standing::ALL.map(|standing| ((service, standing.name()), 0u64));
    let mut counts: BTreeMap<(&str, &str), u64> = services.flat_map(none).collect();
    for (service, backend, report) in snapshot.backends() {
        *counts.entry((service, Standing::of(backend, report).name())).or_default() += 1;
    }
    let counts = counts.into_iter().map(|((service, state), count)| {
        let labels = labels([("service", service), ("state", state)]);
        (labels, count as f64)
    });
    text.gauge("gateway_service_backends", "Backends by what they are for the service.", counts);
}

/// By service, those of services that were removed included.
fn draining_flows(snapshot: &Snapshot) -> BTreeMap<&str, u64> {
    let draining: HashSet<Target<'_>> = snapshot
        .backends()
        .filter(|(_, backend, report)| Standing::of(backend, *report) == Standing::Draining)
        .map(|(service, backend, _)| (service, backend.address))
        .collect();
    let services = snapshot.desired.entries().map(|entry| (entry.service().name.as_str(), 0));
    let mut open: BTreeMap<&str, u64> = services.collect();
    for row in &snapshot.counters {
        if row.removed || draining.contains(&(row.service.as_str(), row.backend)) {
            *open.entry(&row.service).or_default() += row.open_flows;
        }
    }
    open
}

fn write_deployments(text: &mut Text, snapshot: &Snapshot) {
    let latest: Vec<(&str, Option<&Deployment>)> =
        snapshot.desired.entries().map(|entry| (entry.service().name.as_str(), entry.deployment())).collect();
    let service = |name: &str| labels([("service", name)]);
    let numbers = latest.iter().map(|(name, deployment)| (service(name), deployment.map_or(0, |it| it.number) as f64));
    text.counter("gateway_service_deployments_total", "Deployments that were begun.", numbers);
    let phases = latest.iter().filter_map(|(name, deployment)| {
        let labels = labels([("service", name), ("phase", phase((*deployment)?))]);
        Some((labels, 1.0))
    });
    text.gauge("gateway_service_deployment_phase", "1 with the phase of the latest deployment.", phases);
}

/// The name of the phase, as in JSON.
fn phase(deployment: &Deployment) -> &'static str {
    match deployment.phase {
        Phase::Starting { .. } => "starting",
        Phase::Confirming { .. } => "confirming",
        Phase::Done { .. } => "done",
        Phase::RolledBack { .. } => "rolled-back",
        Phase::Failed { .. } => "failed",
    }
}
