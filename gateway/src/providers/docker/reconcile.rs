//! Brings the state to what the containers ask for, one service at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;

use super::{
    labels::Member,
    plan::{Action, plan},
    snapshot::Snapshot,
};
use crate::{
    lifecycle::{ChangeError, Desired, Engine, PacketTables, Refusal},
    model::{DeploymentOptions, Owner, change::NewService},
};

/// What the provider's warnings are filed under.
const SOURCE: &str = "docker";

/// Changes the state as the containers ask for.
pub struct Reconciler<P> {
    engine: Arc<Engine<P>>,
    /// What is wrong at present, and has been said.
    findings: BTreeSet<String>,
}

impl<P: PacketTables> Reconciler<P> {
    pub fn new(engine: Arc<Engine<P>>) -> Self {
        Self { engine, findings: BTreeSet::new() }
    }

    pub fn engine(&self) -> &Engine<P> {
        &self.engine
    }

    /// Takes what is due for every service. A service that cannot be changed does not keep the others from it.
    pub async fn reconcile(&mut self, snapshot: &Snapshot) -> Result<()> {
        let (services, mut findings) = (snapshot.services.clone(), snapshot.findings.clone());
        let engine = self.engine.clone();
        findings.extend(spawn_blocking(move || take_due(&engine, services)).await.context("take in containers")?);
        self.report(findings);
        Ok(())
    }

    /// There is no telling what the containers are.
    pub fn lost(&mut self, sentence: String) {
        self.report([sentence].into());
    }

    /// Shows what is true; what is new is told.
    fn report(&mut self, findings: BTreeSet<String>) {
        if findings != self.findings {
            self.engine.warn(SOURCE, findings.iter().cloned().collect());
            self.findings = findings;
        }
    }
}

/// Does what is due, and gives what stands in the way.
fn take_due<P: PacketTables>(engine: &Engine<P>, mut wanted: BTreeMap<String, Vec<Member>>) -> Vec<String> {
    let desired = engine.desired();
    // Services whose containers are all gone are looked after as well.
    for entry in desired.entries() {
        wanted.entry(entry.service().name.clone()).or_default();
    }
    let mut findings = Vec::new();
    for (service, members) in &wanted {
        let entry = desired.entry(service).ok();
        if entry.is_some_and(|entry| entry.owner() == Owner::File) {
            findings.extend(members.iter().map(|member| of_the_file(service, member)));
            continue;
        }
        let due = plan(entry, members);
        findings.extend(due.findings);
        for action in &due.actions {
            match take(engine, service, action) {
                Ok(()) => log::debug!("service {service}: {}", describe(action)),
                Err(error) => findings.push(format!("containers of service {service}: {error}")),
            }
        }
    }
    findings
}

fn take<P: PacketTables>(engine: &Engine<P>, service: &str, action: &Action) -> Result<(), ChangeError> {
    engine.change(|desired| step(desired, service, action, SystemTime::now())).map(drop)
}

fn step(desired: &Desired, service: &str, action: &Action, now: SystemTime) -> Result<Desired, Refusal> {
    match action {
        Action::Create(backends) => {
            let (name, backends) = (service.to_owned(), backends.clone());
            desired.add_service(NewService { name, auto_port: true, backends, ..NewService::default() })
        }
        Action::Add(backend) => desired.add_backend(service, backend.clone()),
        Action::Deploy(backends) => {
            desired.begin_deployment(service, backends.clone(), DeploymentOptions::default(), now)
        }
        Action::Abandon => {
            let reason = "a newer deployment has come".to_owned();
            desired.abandon(service, reason, BTreeMap::new(), now)
        }
        Action::Drain(backend, order) => desired.drain_backend(service, *backend, order, now),
        Action::Remove(backend) => desired.remove_backend(service, *backend),
    }
}

fn describe(action: &Action) -> String {
    match action {
        Action::Create(backends) => format!("is created for {} containers", backends.len()),
        Action::Add(backend) => format!("container at {} comes in", backend.address),
        Action::Deploy(backends) => format!("a deployment of {} containers begins", backends.len()),
        Action::Abandon => "the deployment under way is given up for a newer one".to_owned(),
        Action::Drain(backend, order) if order.timeout.is_some() => format!("container at {backend} has ended"),
        Action::Drain(backend, _) => format!("container at {backend} was told to stop, and drains"),
        Action::Remove(backend) => format!("container at {backend} gets no more connections"),
    }
}

fn of_the_file(service: &str, member: &Member) -> String {
    let Member { name, address, .. } = member;
    format!(
        "container {name} cannot be a backend of service {service}, which belongs to the configuration file; name \
         {address} there, or another service in its label"
    )
}
