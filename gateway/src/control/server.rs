//! Serves the control API on its socket, to those who may use it.

use std::{future::Future, sync::Arc};

use anyhow::{Context, Result, ensure};
use tokio::{net::UnixStream, sync::Semaphore};

use super::{
    ControlSocket, audit,
    peer::{self, Peer},
    routes,
};
use crate::{
    http_server::Connections,
    lifecycle::{Engine, PacketTables},
};

/// Most peers at a time that are told that they are not served; others just are not.
const MAX_FAREWELLS: usize = 8;

/// Answers requests until `stop`, then lets those under way end, within bounds.
pub async fn serve<P: PacketTables>(socket: ControlSocket, engine: Arc<Engine<P>>, stop: impl Future<Output = ()>) {
    let router = routes::router(engine);
    let connections = Connections::new("control");
    let farewells = Arc::new(Semaphore::new(MAX_FAREWELLS));
    tokio::pin!(stop);
    loop {
        let ((stream, _), place) = tokio::select! {
            accepted = connections.accept(|| socket.listener().accept()) => accepted,
            () = &mut stop => break,
        };
        match admitted(&stream, &socket) {
            Ok(peer) => connections.serve(stream, audit::with_peer(&router, peer), place),
            Err(reason) => {
                // Who is not told is not logged either: nobody fills the log by connecting.
                if let Ok(place) = farewells.clone().try_acquire_owned() {
                    log::warn!("a control connection is turned away: {reason:#}");
                    tokio::spawn(async move {
                        peer::turn_away(stream).await;
                        drop(place);
                    });
                }
            }
        }
    }
    connections.finish().await;
}

/// The peer, if it is to be served.
fn admitted(stream: &UnixStream, socket: &ControlSocket) -> Result<Peer> {
    let peer = Peer::of(stream).context("ask the kernel whose it is")?;
    let may_use = peer.may_use(socket.path()).with_context(|| format!("{peer}: look at the socket's group"))?;
    ensure!(may_use, "{peer} is neither root nor of the socket's group; is the socket's mode still 0660?");
    Ok(peer)
}
