//! Services: list, add, show, set, remove.

use std::{collections::HashMap, net::SocketAddr};

use axum::{Json, extract::State, http::StatusCode};

use super::{Gateway, Shared};
use crate::{
    control::{
        ApiError,
        extract::{Body, Segments},
        views::{Counters, ServiceView},
    },
    lifecycle::{Desired, Entry, HealthBook, PacketTables},
    model::change::{NewService, ServiceChange},
};

pub async fn list<P: PacketTables>(State(gateway): Shared<P>) -> Result<Json<Vec<ServiceView>>, ApiError> {
    gateway.read(Gateway::services).await.map(Json)
}

pub async fn show<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
) -> Result<Json<ServiceView>, ApiError> {
    gateway.read(move |gateway| Ok(Json(gateway.service(&name)?))).await
}

pub async fn add<P: PacketTables>(
    State(gateway): Shared<P>,
    Body(mut new): Body<NewService>,
) -> Result<(StatusCode, Json<ServiceView>), ApiError> {
    new.backends.iter_mut().try_for_each(super::backends::identify)?;
    let name = new.name.clone();
    let desired = gateway.change(|desired| desired.add_service(new)).await?;
    Ok((StatusCode::CREATED, Json(in_force(&desired, &name)?)))
}

pub async fn set<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
    Body(change): Body<ServiceChange>,
) -> Result<Json<ServiceView>, ApiError> {
    let service = name.clone();
    let desired = gateway.change(move |desired| desired.set_service(&service, &change)).await?;
    in_force(&desired, &name).map(Json)
}

pub async fn remove<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
) -> Result<StatusCode, ApiError> {
    gateway.change(move |desired| desired.remove_service(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A service as a change has left it.
pub(super) fn in_force(desired: &Desired, name: &str) -> Result<ServiceView, ApiError> {
    Ok(ServiceView::new(desired.site(), desired.entry(name)?, |_| None, |_| None))
}

impl<P: PacketTables> Gateway<P> {
    /// One service with its counters.
    pub(super) fn service(&self, name: &str) -> Result<ServiceView, ApiError> {
        let desired = self.engine.desired();
        let entry = desired.entry(name)?;
        Ok(self.counters()?.view(&desired, &self.engine.health(), entry))
    }

    /// Every service with its counters.
    pub(super) fn services(&self) -> Result<Vec<ServiceView>, ApiError> {
        let (desired, health, counters) = (self.engine.desired(), self.engine.health(), self.counters()?);
        Ok(desired.entries().map(|entry| counters.view(&desired, &health, entry)).collect())
    }

    fn counters(&self) -> Result<CounterIndex, ApiError> {
        let mut index = CounterIndex::default();
        for row in self.engine.backend_counters()?.into_iter().filter(|row| !row.removed) {
            let counters = Counters::from(&row);
            index.0.entry(row.service).or_default().insert(row.backend, counters);
        }
        Ok(index)
    }
}

/// Counters by service and backend.
#[derive(Default)]
struct CounterIndex(HashMap<String, HashMap<SocketAddr, Counters>>);

impl CounterIndex {
    /// A service whose backends have the counters found, or none yet.
    fn view(&self, desired: &Desired, health: &HealthBook, entry: &Entry) -> ServiceView {
        let name = &entry.service().name;
        let of_service = self.0.get(name);
        let of_backend = |backend| of_service.and_then(|counters| counters.get(&backend)).copied();
        let counters = |backend| Some(of_backend(backend).unwrap_or_default());
        ServiceView::new(desired.site(), entry, |backend| health.report(name, backend).cloned(), counters)
    }
}
