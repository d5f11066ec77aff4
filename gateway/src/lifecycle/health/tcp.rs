//! The TCP handshake as a probe.
//!
//! The backend's SYN-ACK is the answer; the ACK that would complete the handshake is held back, and a RST goes out in
//! its place. So the connection never reaches the server's accept(2), and no log of it mentions the probe.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::probe::Failure;

/// Succeeds when the backend accepts a connection, and takes it back.
pub(super) async fn handshake(to: SocketAddr, from: Option<IpAddr>) -> Result<(), Failure> {
    let socket = socket(to, from)?;
    hold_back_ack(&socket).map_err(|error| Failure::own("prepare the socket", &error))?;
    socket.connect(to).await.map(drop).map_err(|error| Failure::of_connection(&error))
}

/// A connection to the backend, which is closed with a FIN when it is dropped.
pub(super) async fn connect(to: SocketAddr, from: Option<IpAddr>) -> Result<TcpStream, Failure> {
    socket(to, from)?.connect(to).await.map_err(|error| Failure::of_connection(&error))
}

fn socket(to: SocketAddr, from: Option<IpAddr>) -> Result<TcpSocket, Failure> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| Failure::own("make a socket", &error))?;
    if let Some(from) = from {
        bind(&socket, from).map_err(|error| Failure::own(&format!("send from {from}"), &error))?;
    }
    Ok(socket)
}

/// The port is chosen by connect(2), which can use one for many backends.
fn bind(socket: &TcpSocket, from: IpAddr) -> io::Result<()> {
    setsockopt(socket, IpBindAddressNoPort, &true)?;
    socket.bind(SocketAddr::new(from, 0))
}

/// Linux delays the ACK of a SYN-ACK where quick ACKs are off, for 200 ms; a close without lingering sends a RST
/// before that.
fn hold_back_ack(socket: &TcpSocket) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_quickack(false)?;
    socket.set_linger(Some(Duration::ZERO))
}
