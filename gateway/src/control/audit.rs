//! A line in the log for every change that was asked for: who asked, for what, and what came of it.

use axum::{
    Extension, Router,
    extract::Request,
    http::Method,
    middleware::{Next, from_fn},
    response::Response,
};

use super::peer::Peer;

/// The routes, for the requests of one peer.
pub(super) fn with_peer(router: &Router, peer: Peer) -> Router {
    router.clone().layer(from_fn(record)).layer(Extension(peer))
}

async fn record(Extension(peer): Extension<Peer>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET {
        return next.run(request).await;
    }
    // Both are of a few characters that HTTP allows: nobody can write a line of their own.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let status = response.status();
    log::info!(
        method = method.as_str(), path = path.as_str(), peer:%, status = status.as_u16();
        "{method} {path} of {peer}: {status}"
    );
    response
}
