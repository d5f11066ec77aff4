//! Paths of the metrics' listener. All of them only read.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::Mutex;

use super::{CONTENT_TYPE, Source, scrape};
use crate::lifecycle::PacketTables;

/// What every handler works on.
struct Watched<P> {
    source: Arc<OnceLock<Source<P>>>,
    /// Held while the tables are read: whoever asks meanwhile waits, and a crowd costs no more than one.
    scraping: Arc<Mutex<()>>,
}

impl<P> Clone for Watched<P> {
    fn clone(&self) -> Self {
        Self { source: self.source.clone(), scraping: self.scraping.clone() }
    }
}

pub fn router<P: PacketTables>(source: Arc<OnceLock<Source<P>>>) -> Router {
    Router::new()
        .route("/metrics", get(metrics::<P>))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness::<P>))
        .with_state(Watched { source, scraping: Arc::default() })
}

async fn metrics<P: PacketTables>(State(watched): State<Watched<P>>) -> Response {
    let _alone = watched.scraping.lock().await;
    let text = tokio::task::spawn_blocking(move || {
        let source = watched.source.get()?;
        Some(scrape(&source.engine, source.started))
    });
    match text.await {
        Ok(Some(Ok(text))) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Ok(Some(Err(error))) => {
            log::error!("cannot tell the metrics: {error:#}");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response()
        }
        Ok(None) => not_ready(),
        Err(error) => {
            log::error!("a scrape broke off: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, "the scrape broke off; the gateway's log says why\n").into_response()
        }
    }
}

/// Ready with the datapath attached, the services in force, and what keeps them in step with the host running.
async fn readiness<P: PacketTables>(State(watched): State<Watched<P>>) -> Response {
    match watched.source.get() {
        Some(source) if source.upkeep.is_finished() => {
            (StatusCode::SERVICE_UNAVAILABLE, "upkeep has stopped; the gateway's log says why\n").into_response()
        }
        Some(_) => "ready\n".into_response(),
        None => not_ready(),
    }
}

fn not_ready() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "not ready: the datapath is not attached yet\n").into_response()
}
