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
    lifecycle::{Desired, PacketTables},
    model::change::{NewService, PolicyChange},
};

pub async fn list<P: PacketTables>(State(gateway): Shared<P>) -> Result<Json<Vec<ServiceView>>, ApiError> {
    gateway.read(|gateway| gateway.services(None)).await.map(Json)
}

pub async fn show<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
) -> Result<Json<ServiceView>, ApiError> {
    gateway.read(move |gateway| Ok(Json(gateway.service(&name)?))).await
}

pub async fn add<P: PacketTables>(
    State(gateway): Shared<P>,
    Body(new): Body<NewService>,
) -> Result<(StatusCode, Json<ServiceView>), ApiError> {
    let name = new.name.clone();
    let desired = gateway.change(|desired| desired.add_service(new)).await?;
    log::info!("service {name} added");
    Ok((StatusCode::CREATED, Json(in_force(&desired, &name)?)))
}

pub async fn set<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
    Body(change): Body<PolicyChange>,
) -> Result<Json<ServiceView>, ApiError> {
    let service = name.clone();
    let desired = gateway.change(move |desired| desired.set_policy(&service, &change)).await?;
    log::info!("service {name} changed");
    in_force(&desired, &name).map(Json)
}

pub async fn remove<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
) -> Result<StatusCode, ApiError> {
    let service = name.clone();
    gateway.change(move |desired| desired.remove_service(&service)).await?;
    log::info!("service {name} removed");
    Ok(StatusCode::NO_CONTENT)
}

/// A service as a change has left it.
pub(super) fn in_force(desired: &Desired, name: &str) -> Result<ServiceView, ApiError> {
    Ok(ServiceView::new(desired.site(), desired.entry(name)?, |_| None))
}

impl<P: PacketTables> Gateway<P> {
    /// One service with its counters.
    pub(super) fn service(&self, name: &str) -> Result<ServiceView, ApiError> {
        // A list of one: the name is in it or refused.
        self.services(Some(name))?.pop().ok_or_else(|| ApiError::bad_request(format!("no service {name}")))
    }

    /// Every service, or the one that is named, with counters.
    pub(super) fn services(&self, only: Option<&str>) -> Result<Vec<ServiceView>, ApiError> {
        let desired = self.engine.desired();
        let wanted = match only {
            Some(name) => vec![desired.entry(name)?],
            None => desired.entries().collect(),
        };
        let counters = self.engine.backend_counters()?;
        let counters: HashMap<(&str, SocketAddr), Counters> =
            counters.iter().map(|row| ((row.service.as_str(), row.backend), row.into())).collect();
        let view = |entry: &crate::lifecycle::Entry| {
            let name = entry.service().name.as_str();
            ServiceView::new(desired.site(), entry, |backend| {
                Some(counters.get(&(name, backend)).copied().unwrap_or_default())
            })
        };
        Ok(wanted.into_iter().map(view).collect())
    }
}
