//! Paths of the control API and what they do.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{Method, StatusCode, Uri},
    routing::{get, patch, post},
};

use tokio::sync::Semaphore;

use super::{ApiError, MAX_BODY};
use crate::lifecycle::{ChangeError, Desired, Engine, PacketTables, Refusal};

mod backends;
mod deployments;
mod events;
mod explain;
mod flows;
mod services;
mod sightings;
mod status;
mod who;

/// What every handler works on.
pub(super) struct Gateway<P> {
    engine: Arc<Engine<P>>,
    started: Instant,
    /// Places for those who follow the events.
    followers: Arc<Semaphore>,
}

impl<P> Clone for Gateway<P> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), started: self.started, followers: self.followers.clone() }
    }
}

/// The API over an engine, without the socket and its guards; [`serve`](super::serve) adds those.
pub fn router<P: PacketTables>(engine: Arc<Engine<P>>) -> Router {
    Router::new()
        .route("/v1/status", get(status::show::<P>))
        .route("/v1/services", get(services::list::<P>).post(services::add::<P>))
        .route("/v1/services/{name}", get(services::show::<P>).patch(services::set::<P>).delete(services::remove::<P>))
        .route("/v1/services/{name}/backends", get(backends::of_service::<P>).post(backends::add::<P>))
        .route("/v1/services/{name}/backends/{address}", patch(backends::set::<P>).delete(backends::remove::<P>))
        .route("/v1/services/{name}/backends/{address}/drain", post(backends::drain::<P>))
        .route("/v1/services/{name}/deployments", post(deployments::begin::<P>))
        .route("/v1/services/{name}/deployment", get(deployments::show::<P>).delete(deployments::cancel::<P>))
        .route("/v1/backends", get(backends::list::<P>))
        .route("/v1/explain", get(explain::show::<P>))
        .route("/v1/flows", get(flows::list::<P>))
        .route("/v1/who", get(who::show::<P>))
        .route("/v1/events", get(events::stream::<P>))
        .route("/v1/sightings", get(sightings::stream::<P>))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Gateway::new(engine))
}

/// What the dashboard shows: the part of the API that only reads, without its version in the paths.
pub fn readings<P: PacketTables>(engine: Arc<Engine<P>>) -> Router {
    Router::new()
        .route("/status", get(status::show::<P>))
        .route("/services", get(services::list::<P>))
        .with_state(Gateway::new(engine))
}

type Shared<P> = State<Gateway<P>>;

impl<P: PacketTables> Gateway<P> {
    fn new(engine: Arc<Engine<P>>) -> Self {
        Self { engine, started: Instant::now(), followers: events::places() }
    }

    /// Runs what reads packet tables off the async threads.
    async fn read<T: Send + 'static>(
        self,
        read: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        finished(tokio::task::spawn_blocking(move || read(&self)).await)
    }

    /// Makes a change; it is in force and persisted when this returns.
    async fn change(
        self,
        step: impl FnOnce(&Desired) -> Result<Desired, Refusal> + Send + 'static,
    ) -> Result<Arc<Desired>, ApiError> {
        finished(tokio::task::spawn_blocking(move || self.engine.change(step)).await)
    }
}

fn finished<T, E: Into<ApiError>>(outcome: Result<Result<T, E>, tokio::task::JoinError>) -> Result<T, ApiError> {
    match outcome {
        Ok(result) => result.map_err(Into::into),
        Err(error) => {
            log::error!("a control request broke off: {error}");
            Err(ChangeError::Failed(anyhow::anyhow!("the request broke off; the gateway's log says why")).into())
        }
    }
}

async fn unknown_path(uri: Uri) -> (StatusCode, ApiError) {
    (StatusCode::NOT_FOUND, ApiError::bad_request(format!("there is no {} in this API", uri.path())))
}

async fn wrong_method(method: Method, uri: Uri) -> (StatusCode, ApiError) {
    (StatusCode::METHOD_NOT_ALLOWED, ApiError::bad_request(format!("{} does not take {method}", uri.path())))
}
