//! Serves HTTP/1.1 within bounds, whatever it listens on.
//!
//! A connection has a limited time for its headers and for its whole life, and there is a limited number of them:
//! whatever a client does, others are served.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

mod lifetime;

pub use lifetime::Lifetime;

/// Most connections at a time; others wait to be accepted.
const MAX_CONNECTIONS: usize = 64;

/// Longest time for the headers of a request, and for an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest life of a connection, its requests and answers included, unless its [`Lifetime`] is lifted.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long requests under way may take to end after the server is stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a listener failed to accept, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of one listener.
pub struct Connections {
    /// What they are for: `control`, as in "control connection".
    purpose: &'static str,
    places: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Connections {
    pub fn new(purpose: &'static str) -> Self {
        Self { purpose, places: Arc::new(Semaphore::new(MAX_CONNECTIONS)), graceful: GracefulShutdown::new() }
    }

    /// The next connection, when there is a place for it.
    pub async fn accept<T, F>(&self, accept: impl Fn() -> F) -> (T, OwnedSemaphorePermit)
    where
        F: Future<Output = io::Result<T>>,
    {
        let place = self.places.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match accept().await {
                Ok(stream) => return (stream, place),
                Err(error) => {
                    log::warn!("cannot accept a {} connection: {error}", self.purpose);
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Answers the requests of one connection, which holds its place until it ends.
    pub fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        router: Router,
        place: OwnedSemaphorePermit,
    ) {
        let lifetime = Lifetime::of(CONNECTION_TIMEOUT);
        let router = router.layer(Extension(lifetime.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let connection = self.graceful.watch(connection);
        let purpose = self.purpose;
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    log::debug!("{purpose} connection closed: {error}");
                },
                () = lifetime.is_over() => log::debug!("{purpose} connection closed: it took too long"),
            }
            drop(place);
        });
    }

    /// Lets the requests under way end, within bounds.
    pub async fn finish(self) {
        if time::timeout(STOP_TIMEOUT, self.graceful.shutdown()).await.is_err() {
            log::warn!("{} requests still open after {} s are cut", self.purpose, STOP_TIMEOUT.as_secs());
        }
    }
}

/// A TCP address that requests are taken on.
#[derive(Debug)]
pub struct WebListener {
    listener: TcpListener,
    purpose: &'static str,
}

impl WebListener {
    /// Listens at once: who connects waits until [`serve`](Self::serve) is called.
    ///
    /// # Errors
    /// The address is of another host, taken, or of a port that the process may not use.
    pub async fn bind(purpose: &'static str, address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("listen on {address}, which is [{purpose}] listen; choose an address of this host and a free port")
        })?;
        Ok(Self { listener, purpose })
    }

    /// Answers requests until `stop`, then lets those under way end, within bounds.
    pub async fn serve(self, router: Router, stop: impl Future<Output = ()>) {
        let connections = Connections::new(self.purpose);
        tokio::pin!(stop);
        loop {
            let ((stream, _), place) = tokio::select! {
                accepted = connections.accept(|| self.listener.accept()) => accepted,
                () = &mut stop => break,
            };
            connections.serve(stream, router.clone(), place);
        }
        connections.finish().await;
    }
}
