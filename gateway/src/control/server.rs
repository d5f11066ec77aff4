//! Serves the control API on its socket.
//!
//! A connection has a limited time for its headers, its body and its whole life, and there is a limited number of
//! them: whatever a client does, others are served.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::UnixStream, sync::Semaphore, time};

use super::{
    ControlSocket, audit,
    peer::{self, Peer},
    routes,
};
use crate::lifecycle::{Engine, PacketTables};

/// Most connections at a time; others wait to be accepted.
const MAX_CONNECTIONS: usize = 64;

/// Most peers at a time that are told that they are not served; others just are not.
const MAX_FAREWELLS: usize = 8;

/// Longest time for the headers of a request, and for an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest life of a connection, its requests and answers included.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long requests under way may take to end after `stop`.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after the socket failed to accept, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests until `stop`, then lets those under way end, within bounds.
pub async fn serve<P: PacketTables>(socket: ControlSocket, engine: Arc<Engine<P>>, stop: impl Future<Output = ()>) {
    let router = routes::router(engine);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let farewells = Arc::new(Semaphore::new(MAX_FAREWELLS));
    let connections = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let (stream, place) = tokio::select! {
            accepted = accept(&socket, &places) => accepted,
            () = &mut stop => break,
        };
        let peer = match admitted(&stream, &socket) {
            Ok(peer) => peer,
            Err(reason) => {
                // Who is not told is not logged either: nobody fills the log by connecting.
                if let Ok(place) = farewells.clone().try_acquire_owned() {
                    log::warn!("a control connection is turned away: {reason:#}");
                    tokio::spawn(async move {
                        peer::turn_away(stream).await;
                        drop(place);
                    });
                }
                continue;
            }
        };
        let service = TowerToHyperService::new(audit::with_peer(&router, peer));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            match time::timeout(CONNECTION_TIMEOUT, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => log::debug!("control connection closed: {error}"),
                Err(_) => log::debug!("control connection closed: it took too long"),
            }
            drop(place);
        });
    }
    if time::timeout(STOP_TIMEOUT, connections.shutdown()).await.is_err() {
        log::warn!("control requests still open after {} s are cut", STOP_TIMEOUT.as_secs());
    }
}

/// The peer, if it is to be served.
fn admitted(stream: &UnixStream, socket: &ControlSocket) -> Result<Peer> {
    let peer = Peer::of(stream).context("ask the kernel whose it is")?;
    let may_use = peer.may_use(socket.path()).with_context(|| format!("{peer}: look at the socket's group"))?;
    ensure!(may_use, "{peer} is neither root nor of the socket's group; is the socket's mode still 0660?");
    Ok(peer)
}

/// The next connection, when there is a place for it.
async fn accept(socket: &ControlSocket, places: &Arc<Semaphore>) -> (UnixStream, tokio::sync::OwnedSemaphorePermit) {
    let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match socket.listener().accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                log::warn!("cannot accept a control connection: {error}");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
