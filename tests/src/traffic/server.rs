//! Servers inside a namespace: one behaviour, a thread a connection, all ended with the guard.

use std::{
    io::{self, Read, Write},
    net::{Ipv6Addr, Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, Type};

use super::{client::SHORT_EXCHANGE, payload};
use crate::Namespace;

/// Idle connections are part of the tests; a server gives up only after this.
const SERVER_DEADLINE: Duration = Duration::from_secs(120);
const STACK: usize = 192 * 1024;

/// What a server does with a connection.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Sends back what comes, until the client's FIN.
    Echo,
    /// Says its name and a line feed before the client says anything, then echoes.
    Identify(String),
    /// Says its name, echoes the first bytes that come, and closes before the client does.
    IdentifyAndClose(String),
    /// Sends this many bytes of the stream of `seed`, then closes.
    Download { seed: u64, length: usize },
    /// Reads to the client's FIN, then answers with the number of bytes and their digest: only possible where
    /// half a connection stays open.
    Digest,
    /// Resets the connection at the first byte.
    ResetOnData,
    /// Says nothing and waits for the client to close.
    Hold,
}

/// A listening server, on every address of its namespace.
#[derive(Debug)]
pub struct Server {
    listener: Arc<Socket>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicUsize,
    resets_seen: AtomicUsize,
    peers: Mutex<Vec<SocketAddr>>,
    open: Mutex<Vec<Weak<TcpStream>>>,
}

impl Server {
    /// Listens on `port`, for IPv4 and IPv6.
    #[track_caller]
    pub fn start(namespace: &Namespace, port: u16, behaviour: Behaviour) -> Self {
        let listener = Arc::new(
            namespace
                .run(|| listen(port))
                .unwrap_or_else(|e| panic!("listen on port {port} of {}: {e}", namespace.name())),
        );
        let shared = Arc::<Shared>::default();
        let acceptor = {
            let (listener, shared) = (Arc::clone(&listener), Arc::clone(&shared));
            thread::spawn(move || accept_all(&listener, &shared, &behaviour))
        };
        Self { listener, shared, acceptor: Some(acceptor) }
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// The other end of each connection, as the server sees it, in order.
    pub fn peers(&self) -> Vec<SocketAddr> {
        self.shared.peers.lock().unwrap().clone()
    }

    /// Connections that ended by a RST from the other side.
    pub fn resets_seen(&self) -> usize {
        self.shared.resets_seen.load(Ordering::Relaxed)
    }

    /// Connections that are open on the server's side.
    pub fn open(&self) -> usize {
        self.shared.open.lock().unwrap().iter().filter(|stream| stream.strong_count() > 0).count()
    }

    /// Resets every open connection.
    pub fn reset_all(&self) {
        for stream in self.take_open() {
            super::client::reset_on_close(&stream);
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    fn take_open(&self) -> Vec<Arc<TcpStream>> {
        self.shared.open.lock().unwrap().drain(..).filter_map(|stream| stream.upgrade()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ends a pending accept(2), and then the reads and writes of the connections.
        let _ = self.listener.shutdown(Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in self.take_open() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn listen(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port).into())?;
    socket.listen(4096)?;
    Ok(socket)
}

fn accept_all(listener: &Socket, shared: &Arc<Shared>, behaviour: &Behaviour) {
    while let Ok((socket, peer)) = listener.accept() {
        let peer = peer.as_socket().expect("TCP peers have addresses");
        shared.peers.lock().unwrap().push(SocketAddr::new(peer.ip().to_canonical(), peer.port()));
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let stream = Arc::new(TcpStream::from(socket));
        let mut open = shared.open.lock().unwrap();
        open.retain(|stream| stream.strong_count() > 0);
        open.push(Arc::downgrade(&stream));
        drop(open);
        let (shared, behaviour) = (Arc::clone(shared), behaviour.clone());
        let serve = move || {
            if let Err(e) = serve(&stream, &behaviour)
                && e.kind() == io::ErrorKind::ConnectionReset
            {
                shared.resets_seen.fetch_add(1, Ordering::Relaxed);
            }
        };
        thread::Builder::new().stack_size(STACK).spawn(serve).expect("threads are left");
    }
}

fn serve(mut stream: &TcpStream, behaviour: &Behaviour) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SERVER_DEADLINE))?;
    stream.set_write_timeout(Some(SERVER_DEADLINE))?;
    match behaviour {
        Behaviour::Echo => echo(stream),
        Behaviour::Identify(name) => {
            stream.write_all(format!("{name}\n").as_bytes())?;
            echo(stream)
        }
        Behaviour::IdentifyAndClose(name) => {
            stream.write_all(format!("{name}\n").as_bytes())?;
            let mut exchange = [0; SHORT_EXCHANGE];
            stream.read_exact(&mut exchange)?;
            stream.write_all(&exchange)
        }
        Behaviour::Download { seed, length } => payload::send(&mut stream, *seed, *length).map(drop),
        Behaviour::Digest => {
            let (length, digest) = payload::receive(&mut stream)?;
            stream.write_all(format!("{length} {digest}\n").as_bytes())
        }
        Behaviour::ResetOnData => {
            stream.read_exact(&mut [0])?;
            SockRef::from(stream).set_linger(Some(Duration::ZERO))
        }
        Behaviour::Hold => io::copy(&mut stream, &mut io::sink()).map(drop),
    }
}

fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut chunk = [0; 32 * 1024];
    loop {
        match stream.read(&mut chunk)? {
            // Closing sends the FIN, or the RST of `Server::reset_all`.
            0 => return Ok(()),
            read => stream.write_all(&chunk[..read])?,
        }
    }
}
