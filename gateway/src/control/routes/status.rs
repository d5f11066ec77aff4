//! The gateway at one moment.

use axum::{Json, extract::State};

use super::Shared;
use crate::{
    control::{
        ApiError,
        views::{self, BackendCount, ServiceCount, StatusView},
    },
    lifecycle::{Desired, HealthBook, PacketTables},
    model::{BackendState, HealthStatus, Owner},
};

pub async fn show<P: PacketTables>(State(gateway): Shared<P>) -> Result<Json<StatusView>, ApiError> {
    let status = |gateway: &super::Gateway<P>| {
        let (services, backends) = counts(&gateway.engine.desired(), &gateway.engine.health());
        Ok(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: gateway.started.elapsed().as_secs(),
            services,
            backends,
            datapath: gateway.engine.datapath_status()?,
        })
    };
    gateway.read(status).await.map(Json)
}

fn counts(desired: &Desired, health: &HealthBook) -> (ServiceCount, BackendCount) {
    let (mut services, mut backends) = (ServiceCount::default(), BackendCount::default());
    for entry in desired.entries() {
        match entry.owner() {
            Owner::File => services.file += 1,
            Owner::Control => services.control += 1,
        }
        let service = entry.service();
        for backend in &service.backends {
            let report = health.report(&service.name, backend.address);
            match views::state(backend, report) {
                BackendState::Starting => backends.starting += 1,
                BackendState::Active => {
                    backends.active += 1;
                    backends.down += usize::from(report.is_some_and(|report| report.status == HealthStatus::Down));
                }
                BackendState::Draining => backends.draining += 1,
            }
        }
    }
    (services, backends)
}
