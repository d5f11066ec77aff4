//! Deployments of a service: begin, show, cancel. The daemon carries them through by itself.

use std::{collections::BTreeMap, time::SystemTime};

use axum::{Json, extract::State, http::StatusCode};

use super::Shared;
use crate::{
    control::{
        ApiError,
        extract::{Body, Segments},
    },
    lifecycle::{Desired, PacketTables, Refusal},
    model::{Deployment, change::NewDeployment},
};

pub async fn show<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
) -> Result<Json<Deployment>, ApiError> {
    latest(&gateway.engine.desired(), &name).map(Json)
}

pub async fn begin<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
    Body(new): Body<NewDeployment>,
) -> Result<(StatusCode, Json<Deployment>), ApiError> {
    let NewDeployment { mut backends, options } = new;
    for backend in &mut backends {
        super::backends::identify(backend)?;
    }
    let (service, now) = (name.clone(), SystemTime::now());
    let desired = gateway.change(move |desired| desired.begin_deployment(&service, backends, options, now)).await?;
    Ok((StatusCode::CREATED, Json(latest(&desired, &name)?)))
}

pub async fn cancel<P: PacketTables>(
    State(gateway): Shared<P>,
    Segments(name): Segments<String>,
) -> Result<Json<Deployment>, ApiError> {
    let (service, now) = (name.clone(), SystemTime::now());
    let cancelled = move |desired: &Desired| desired.abandon(&service, "cancelled".into(), BTreeMap::new(), now);
    let desired = gateway.change(cancelled).await?;
    latest(&desired, &name).map(Json)
}

fn latest(desired: &Desired, name: &str) -> Result<Deployment, ApiError> {
    let deployment = desired.entry(name)?.deployment().cloned();
    deployment.ok_or_else(|| Refusal::NeverDeployed(name.to_owned()).into())
}
