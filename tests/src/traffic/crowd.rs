//! Many connections that are open at the same time.

use std::net::{SocketAddr, TcpStream};

use super::client::{self, Failure};
use crate::Namespace;

/// Opens `count` connections and holds them.
///
/// # Errors
/// How the first failed that did not open.
pub fn open(namespace: &Namespace, to: SocketAddr, count: usize) -> Result<Vec<TcpStream>, Failure> {
    namespace.run(|| (0..count).map(|_| client::connect_here(to)).collect())
}

/// A verified exchange with an echo server on each connection, each with other bytes.
///
/// # Errors
/// How the first failed.
pub fn exchange_on_all(connections: &[TcpStream]) -> Result<(), Failure> {
    connections.iter().zip(1..).try_for_each(|(stream, seed)| client::exchange_short(stream, seed))
}
