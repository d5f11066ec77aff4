//! Clients inside a namespace: connections, verified exchanges, and how they fail.

use std::{
    fmt,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use socket2::{Domain, SockRef, Socket, Type};

use super::{DEADLINE, payload};
use crate::Namespace;

/// Why an exchange did not do what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// RST to the SYN.
    Refused,
    /// RST on an open connection.
    Reset,
    /// Nothing until the deadline.
    Timeout,
    /// FIN before all bytes were there.
    Short,
    /// Other bytes than expected.
    WrongBytes,
    /// An ICMP error or a missing route.
    Unreachable,
    /// Anything else the kernel says.
    Other(ErrorKind),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Timeout,
            ErrorKind::UnexpectedEof => Self::Short,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Self::Unreachable,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Opens a connection from `namespace`, with deadlines on reads and writes.
///
/// # Errors
/// How the connection failed; after [`DEADLINE`] that is [`Failure::Timeout`].
pub fn connect(namespace: &Namespace, to: SocketAddr) -> Result<TcpStream, Failure> {
    namespace.run(|| connect_here(to, DEADLINE))
}

/// [`connect`] from a thread that is in the namespace, with a deadline for the handshake.
///
/// # Errors
/// How the connection failed.
pub fn connect_here(to: SocketAddr, deadline: Duration) -> Result<TcpStream, Failure> {
    prepare(TcpStream::connect_timeout(&to, deadline)?)
}

/// The same from one of the namespace's addresses.
///
/// # Errors
/// How the connection failed.
pub fn connect_from(source: IpAddr, to: SocketAddr, deadline: Duration) -> Result<TcpStream, Failure> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    // The port is chosen when it is known where the connection goes, so that the address has enough of them.
    setsockopt(&socket, IpBindAddressNoPort, &true).map_err(io::Error::from)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&to.into(), deadline)?;
    prepare(socket.into())
}

/// The same from a port of the caller's choice.
///
/// # Errors
/// How the connection failed.
pub fn connect_between(from: SocketAddr, to: SocketAddr, deadline: Duration) -> Result<TcpStream, Failure> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    // The port may be resting from a connection before.
    socket.set_reuse_address(true)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), deadline)?;
    prepare(socket.into())
}

fn prepare(stream: TcpStream) -> Result<TcpStream, Failure> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Sends `length` bytes to an echo server and compares what comes back.
///
/// # Errors
/// How the exchange failed.
pub fn exchange(stream: &TcpStream, seed: u64, length: usize) -> Result<(), Failure> {
    let (mut reader, mut writer) = (stream, stream);
    let expected = payload::bytes(seed, length);
    let mut received = vec![0; length];
    thread::scope(|scope| {
        // Reading goes on while writing, or both sides wait with full buffers.
        let sent = scope.spawn(|| writer.write_all(&expected));
        reader.read_exact(&mut received)?;
        sent.join().expect("writer does not panic")
    })?;
    if received == expected { Ok(()) } else { Err(Failure::WrongBytes) }
}

/// Bytes each way of a short exchange.
pub const SHORT_EXCHANGE: usize = 64;

/// A small exchange, from the calling thread alone.
///
/// # Errors
/// How the exchange failed.
pub fn exchange_short(mut stream: &TcpStream, seed: u64) -> Result<(), Failure> {
    let expected = payload::bytes(seed, SHORT_EXCHANGE);
    let mut received = [0; SHORT_EXCHANGE];
    stream.write_all(&expected)?;
    stream.read_exact(&mut received)?;
    if received[..] == expected[..] { Ok(()) } else { Err(Failure::WrongBytes) }
}

/// Reads the line with which an [`Identify`](super::Behaviour::Identify) server begins.
///
/// # Errors
/// How reading failed.
pub fn read_identity(stream: &TcpStream) -> Result<String, Failure> {
    let mut line = String::new();
    // The server says no more than this line before it is spoken to, so nothing is lost in the buffer.
    BufReader::new(stream).read_line(&mut line)?;
    match line.pop() {
        Some('\n') => Ok(line),
        _ => Err(Failure::Short),
    }
}

/// Opens a connection to learn which server answers, and closes it.
///
/// # Errors
/// How connecting or reading failed.
pub fn identity_of(namespace: &Namespace, to: SocketAddr) -> Result<String, Failure> {
    read_identity(&connect(namespace, to)?)
}

/// Receives the whole stream of a [`Download`](super::Behaviour::Download) server.
///
/// # Errors
/// How the transfer failed.
pub fn download(namespace: &Namespace, to: SocketAddr, seed: u64, length: usize) -> Result<(), Failure> {
    let mut stream = connect(namespace, to)?;
    let (received, digest) = payload::receive(&mut stream)?;
    let expected = payload::send(&mut io::sink(), seed, length)?;
    match received {
        _ if digest == expected => Ok(()),
        less if less < length => Err(Failure::Short),
        _ => Err(Failure::WrongBytes),
    }
}

/// Sends a stream to a [`Digest`](super::Behaviour::Digest) server, closes its own half, and compares the
/// server's answer.
///
/// # Errors
/// How the transfer failed.
pub fn upload(namespace: &Namespace, to: SocketAddr, seed: u64, length: usize) -> Result<(), Failure> {
    let mut stream = connect(namespace, to)?;
    let digest = payload::send(&mut stream, seed, length)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer == format!("{length} {digest}\n") { Ok(()) } else { Err(Failure::WrongBytes) }
}

/// Makes the next close send a RST instead of a FIN.
pub fn reset_on_close(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("linger can be set on a socket");
}

/// How a connection attempt failed, and after what time.
///
/// # Panics
/// When it does not fail.
#[track_caller]
pub fn failure_to_connect(namespace: &Namespace, to: SocketAddr) -> (Failure, Duration) {
    let start = Instant::now();
    let failure = connect(namespace, to).expect_err("the connection must fail");
    (failure, start.elapsed())
}
