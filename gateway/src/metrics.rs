//! What Prometheus and those who balance over front servers ask: `/metrics`, `/healthz`, `/readyz`.
//!
//! `docs/metrics.md` lists the metrics. They are read from the packet tables and the desired state when they are asked for;
//! nothing is kept for them, so the counters of the packet tables go on where they were when another daemon starts.
//! It is answered from before the datapath is touched: not ready, until it is.

mod backends;
mod datapath;
mod routes;
mod services;
mod snapshot;
mod text;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use anyhow::Result;
use tokio::{sync::oneshot, task::AbortHandle};

pub use text::CONTENT_TYPE;

use crate::{
    http_server::WebListener,
    lifecycle::{Engine, PacketTables},
};

/// What is to be told once the gateway is ready.
struct Source<P> {
    engine: Arc<Engine<P>>,
    /// The task without which the tables would fall behind the host.
    upkeep: AbortHandle,
    started: SystemTime,
}

/// Serves metrics for as long as it lives.
pub struct Exporter<P> {
    source: Arc<OnceLock<Source<P>>>,
    /// Dropped, it stops the server.
    _stop: oneshot::Sender<()>,
}

impl<P: PacketTables> Exporter<P> {
    /// Listens on `listen`, or does nothing where it is absent.
    pub async fn start(listen: Option<SocketAddr>) -> Result<Self> {
        let source = Arc::new(OnceLock::new());
        let (stop, stopped) = oneshot::channel::<()>();
        if let Some(listen) = listen {
            let listener = WebListener::bind("metrics", listen).await?;
            let router = routes::router(source.clone());
            tokio::spawn(listener.serve(router, async move { drop(stopped.await) }));
            log::info!("metrics on http://{listen}/metrics");
        }
        Ok(Self { source, _stop: stop })
    }

    /// Tells that the gateway is ready, for as long as `upkeep` runs.
    pub fn ready(&self, engine: Arc<Engine<P>>, upkeep: AbortHandle) {
        let source = Source { engine, upkeep, started: SystemTime::now() };
        if self.source.set(source).is_err() {
            log::debug!("the gateway was ready already");
        }
    }
}

/// All metrics of an engine, as a scrape has them.
pub fn scrape<P: PacketTables>(engine: &Engine<P>, started: SystemTime) -> Result<String> {
    Ok(snapshot::Snapshot::of(engine, started)?.text())
}
