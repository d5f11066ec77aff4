//! Everything that one scrape tells, read once.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use anyhow::Result;

use super::{backends, datapath, services, text::Text};
use crate::{
    lifecycle::{Desired, Engine, HealthBook, PacketTables},
    model::{
        Backend, BackendState, HealthReport, HealthStatus,
        status::{BackendCounters, DatapathStatus},
    },
};

/// The gateway at one moment.
pub struct Snapshot {
    pub desired: Arc<Desired>,
    pub health: Arc<HealthBook>,
    /// Of backends that are wanted and of those that were.
    pub counters: Vec<BackendCounters>,
    pub datapath: DatapathStatus,
    pub started: SystemTime,
}

impl Snapshot {
    pub fn of<P: PacketTables>(engine: &Engine<P>, started: SystemTime) -> Result<Self> {
        // Before the state, so that a backend that comes meanwhile is not taken for a removed one.
        let (counters, datapath) = (engine.backend_counters()?, engine.datapath_status()?);
        let (desired, health) = (engine.desired(), engine.health());
        Ok(Self { desired, health, counters, datapath, started })
    }

    /// All of it as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = Text::default();
        datapath::write(&mut text, self);
        services::write(&mut text, self);
        backends::write(&mut text, self);
        text.into_string()
    }

    /// Every backend that is wanted, with its service's name and what probes say of it.
    pub fn backends(&self) -> impl Iterator<Item = (&str, &Backend, Option<&HealthReport>)> {
        let services = self.desired.entries().map(|entry| entry.service());
        services.flat_map(|service| {
            let of_service = |backend| (service.name.as_str(), backend, self.report(&service.name, backend));
            service.backends.iter().map(of_service)
        })
    }

    fn report(&self, service: &str, Backend { address, .. }: &Backend) -> Option<&HealthReport> {
        self.health.report(service, *address)
    }
}

/// What a backend is for its service: exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Has not answered yet, or waits for its deployment.
    Starting,
    /// Gets new connections.
    Active,
    /// Gets none because it does not answer.
    Down,
    Draining,
}

impl Standing {
    pub const ALL: [Self; 4] = [Self::Starting, Self::Active, Self::Down, Self::Draining];

    pub fn of(backend: &Backend, report: Option<&HealthReport>) -> Self {
        match (backend.state, report.map(|report| report.status)) {
            (BackendState::Draining, _) => Self::Draining,
            (BackendState::Starting, _) | (_, Some(HealthStatus::Starting)) => Self::Starting,
            (BackendState::Active, Some(HealthStatus::Down)) => Self::Down,
            (BackendState::Active, Some(HealthStatus::Up | HealthStatus::Unknown) | None) => Self::Active,
        }
    }

    /// Value of the label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Down => "down",
            Self::Draining => "draining",
        }
    }
}

/// A backend of a service, as a key.
pub type Target<'a> = (&'a str, SocketAddr);
