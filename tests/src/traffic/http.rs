//! An HTTP server with one file, for clients such as curl.

use std::{net::Ipv6Addr, sync::Arc, thread::JoinHandle};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
    routing::get,
};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::{net::TcpListener, runtime, sync::oneshot};

use crate::Namespace;

/// Serves `GET /file`; answers `PUT /file` with the SHA-256 of what was sent.
#[derive(Debug)]
pub struct HttpServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Serves `file` on `port` of every address, for IPv4 and IPv6.
    #[track_caller]
    pub fn start(namespace: &Namespace, port: u16, file: Arc<[u8]>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = std::sync::mpsc::channel();
        let serve = async move {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await.expect("the port is free");
            ready.send(()).expect("the starter waits");
            let file = Bytes::from_owner(file);
            let router = Router::new().route("/file", get(download).put(upload)).with_state(file);
            // Ends at once: connections that are still open are closed with the runtime.
            tokio::select! {
                served = axum::serve(listener, router) => served.expect("axum::serve does not fail"),
                _ = stopped => (),
            }
        };
        let thread = namespace.spawn(move || {
            runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts").block_on(serve);
        });
        listening.recv().expect("the server starts");
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn download(State(file): State<Bytes>) -> Bytes {
    file
}

async fn upload(body: Body) -> Result<String, StatusCode> {
    let mut hash = Sha256::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        hash.update(chunk.map_err(|_| StatusCode::BAD_REQUEST)?);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
