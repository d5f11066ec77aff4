//! The backend's echo server: one thread for all connections, so that its cost is the same for every subject.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use gateway_tests::Namespace;
use mio::{Events, Interest, Poll, Token, Waker, event::Source};
use slab::Slab;
use socket2::{Domain, Socket, Type};

const BACKLOG: i32 = 65_535;
/// Connections follow.
const LISTENERS: usize = 1 << 20;
const STOP: Token = Token(usize::MAX - 1);

/// A listener on every address of the namespace that the calling thread is in.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A running server. Dropping it ends it and its connections.
pub struct Echo {
    stop: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub fn start(namespace: &Namespace, ports: std::ops::Range<u16>) -> Result<Self> {
        let listeners: io::Result<Vec<TcpListener>> = namespace.run(|| ports.map(listen).collect());
        let poll = Poll::new()?;
        let stop = Arc::new(Waker::new(poll.registry(), STOP)?);
        let mut listeners: Vec<_> =
            listeners.context("listen on the backend")?.into_iter().map(mio::net::TcpListener::from_std).collect();
        for (number, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(LISTENERS + number), Interest::READABLE)?;
        }
        let thread = std::thread::spawn(move || serve(poll, &listeners));
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if self.stop.wake().is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn serve(mut poll: Poll, listeners: &[mio::net::TcpListener]) {
    let mut events = Events::with_capacity(1024);
    let mut connections = Slab::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(e) if e.kind() != ErrorKind::Interrupted => return,
            _ => {}
        }
        for event in &events {
            match event.token() {
                STOP => return,
                Token(number) if number >= LISTENERS => {
                    accept_all(&poll, &listeners[number - LISTENERS], &mut connections);
                }
                Token(number) => {
                    if connections.get_mut(number).is_some_and(|stream| !answer(stream)) {
                        connections.remove(number);
                    }
                }
            }
        }
    }
}

fn accept_all(poll: &Poll, listener: &mio::net::TcpListener, connections: &mut Slab<mio::net::TcpStream>) {
    while let Ok((mut stream, _)) = listener.accept() {
        let entry = connections.vacant_entry();
        let registered = stream
            .set_nodelay(true)
            .and_then(|()| stream.register(poll.registry(), Token(entry.key()), Interest::READABLE));
        if registered.is_ok() {
            entry.insert(stream);
        }
    }
}

/// Sends back what has come; false at the end of the connection.
fn answer(stream: &mut mio::net::TcpStream) -> bool {
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return false,
            // What clients send here fits every buffer, so a short write is a broken connection.
            Ok(read) if stream.write_all(&chunk[..read]).is_ok() => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
            _ => return false,
        }
    }
}
