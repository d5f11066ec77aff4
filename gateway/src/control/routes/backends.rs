//! Backends: list, add, set, remove. Draining is setting the state.

use std::{net::SocketAddr, time::SystemTime};

use axum::{Json, extract::State, http::StatusCode};

use super::{Shared, services::in_force};
use crate::{
    control::{
        ApiError, ErrorKind,
        extract::{Arguments, Body, Segments},
        views::{BackendQuery, BackendView, ServiceView},
    },
    lifecycle::{self, Desired, PacketTables, Refusal},
    model::{
        NewBackend,
        change::{BackendChange, DrainOrder},
    },
};

pub async fn list<P: PacketTables>(
    State(gateway): Shared<P>,
    Arguments(query): Arguments<BackendQuery>,
) -> Result<Json<Vec<BackendView>>, ApiError> {
    let services = gateway.read(move |gateway| match query.service {
        Some(name) => gateway.service(&name).map(|service| vec![service]),
        None => gateway.services(),
    });
    Ok(Json(services.await?.into_iter().flat_map(|service| service.backends).collect()))
}

pub async fn of_service<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
) -> Result<Json<Vec<BackendView>>, ApiError> {
    gateway.read(move |gateway| Ok(Json(gateway.service(&name)?.backends))).await
}

pub async fn add<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
    Body(mut backend): Body<NewBackend>,
) -> Result<(StatusCode, Json<BackendView>), ApiError> {
    identify(&mut backend)?;
    let (service, address) = (name.clone(), backend.address);
    let desired = gateway.change(move |desired| desired.add_backend(&service, backend)).await?;
    Ok((StatusCode::CREATED, Json(backend_in_force(&desired, &name, address)?)))
}

pub async fn set<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments((name, address)): Segments<(String, SocketAddr)>,
    Body(change): Body<BackendChange>,
) -> Result<Json<BackendView>, ApiError> {
    let service = name.clone();
    let now = SystemTime::now();
    let desired = gateway.change(move |desired| desired.set_backend(&service, address, &change, now)).await?;
    backend_in_force(&desired, &name, address).map(Json)
}

pub async fn drain<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments((name, address)): Segments<(String, SocketAddr)>,
    Body(order): Body<DrainOrder>,
) -> Result<Json<BackendView>, ApiError> {
    let (service, now) = (name.clone(), SystemTime::now());
    let desired = gateway.change(move |desired| desired.drain_backend(&service, address, &order, now)).await?;
    backend_in_force(&desired, &name, address).map(Json)
}

pub async fn remove<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments((name, address)): Segments<(String, SocketAddr)>,
) -> Result<StatusCode, ApiError> {
    gateway.change(move |desired| desired.remove_backend(&name, address)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes sure that the process of a new backend is known for good.
pub(super) fn identify(backend: &mut NewBackend) -> Result<(), ApiError> {
    let Some(process) = &mut backend.process else { return Ok(()) };
    lifecycle::identify(process).map_err(|error| ApiError {
        error: format!("backend {}: {error:#}", backend.address),
        remedy: Some("name the process that serves it on this host".into()),
        kind: ErrorKind::Invalid,
    })
}

fn backend_in_force(desired: &Desired, name: &str, address: SocketAddr) -> Result<BackendView, ApiError> {
    let ServiceView { backends, .. } = in_force(desired, name)?;
    let backend = backends.into_iter().find(|backend| backend.address == address);
    backend.ok_or_else(|| Refusal::NoSuchBackend { service: name.to_owned(), backend: address }.into())
}
