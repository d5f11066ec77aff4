//! Many connections that are open at the same time.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use tokio::{runtime, task::JoinSet, time};

use super::{
    DEADLINE,
    client::{self, Failure},
};
use crate::Namespace;

/// Opens `count` connections and holds them.
///
/// # Errors
/// How the first failed that did not open.
pub fn open(namespace: &Namespace, to: SocketAddr, count: usize) -> Result<Vec<TcpStream>, Failure> {
    namespace.run(|| (0..count).map(|_| client::connect_here(to, DEADLINE)).collect())
}

/// Tries to open `count` connections at the same time, and holds those that are open within `patience`.
pub fn open_at_once(namespace: &Namespace, to: SocketAddr, count: usize, patience: Duration) -> Vec<TcpStream> {
    let connect = move || async move {
        let stream = time::timeout(patience, tokio::net::TcpStream::connect(to)).await.ok()?.ok()?;
        stream.set_nodelay(true).ok()?;
        let stream = stream.into_std().ok()?;
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        stream.set_write_timeout(Some(DEADLINE)).ok()?;
        Some(stream)
    };
    namespace.run(|| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let all = async { (0..count).map(|_| connect()).collect::<JoinSet<_>>().join_all().await };
        runtime.block_on(all).into_iter().flatten().collect()
    })
}

/// A verified exchange with an echo server on each connection, each with other bytes.
///
/// # Errors
/// How the first failed.
pub fn exchange_on_all(connections: &[TcpStream]) -> Result<(), Failure> {
    connections.iter().zip(1..).try_for_each(|(stream, seed)| client::exchange_short(stream, seed))
}
