//! Clients that open a connection, exchange one byte each way and close it, again and again.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Result;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use socket2::{Domain, Socket, Type};

use super::network::Sources;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Connections that did all they should, until the deadline and after it.
    pub done: u64,
    /// Of these, before the deadline.
    pub in_time: u64,
    pub failed: u64,
    pub first_failure: Option<String>,
}

/// How much, and from where to where. Runs in the namespace of the calling thread.
pub struct Load<'a> {
    pub targets: &'a [SocketAddr],
    pub sources: &'a Sources,
    /// At once.
    pub connections: usize,
    /// At most so many new ones in a second.
    pub per_second: Option<u32>,
}

const PATIENCE: Duration = Duration::from_secs(4);

struct Connection {
    stream: TcpStream,
    sent: bool,
}

impl Load<'_> {
    /// Opens connections until `deadline`, then waits for the last ones.
    pub fn run(&self, deadline: Instant) -> Result<Tally> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(self.connections);
        let mut slots: Vec<Option<Connection>> = (0..self.connections).map(|_| None).collect();
        let mut idle: Vec<usize> = (0..self.connections).collect();
        let mut tally = Tally::default();
        let start = Instant::now();
        let mut begun = 0;
        loop {
            let now = Instant::now();
            if now < deadline {
                let due = self
                    .per_second
                    .map_or(u64::MAX, |rate| (now.duration_since(start).as_secs_f64() * f64::from(rate)) as u64);
                while begun < due
                    && let Some(slot) = idle.pop()
                {
                    match self.open(&poll, slot, begun) {
                        Ok(stream) => slots[slot] = Some(Connection { stream, sent: false }),
                        Err(e) => {
                            tally.fail(&e);
                            idle.push(slot);
                        }
                    }
                    begun += 1;
                }
            } else if idle.len() == slots.len() {
                return Ok(tally);
            } else if now > deadline + PATIENCE {
                for _ in 0..slots.len() - idle.len() {
                    tally.fail(&ErrorKind::TimedOut.into());
                }
                return Ok(tally);
            }
            poll.poll(&mut events, Some(Duration::from_micros(500)))?;
            for event in &events {
                let Token(slot) = event.token();
                let Some(connection) = &mut slots[slot] else { continue };
                match connection.advance() {
                    Ok(false) => continue,
                    Ok(true) => {
                        tally.done += 1;
                        tally.in_time += u64::from(Instant::now() < deadline);
                    }
                    Err(e) => tally.fail(&e),
                }
                slots[slot] = None;
                idle.push(slot);
            }
        }
    }

    fn open(&self, poll: &Poll, slot: usize, number: u64) -> io::Result<TcpStream> {
        let to = self.targets[(number % self.targets.len() as u64) as usize];
        let mut stream = begin(self.sources.next(), to)?;
        poll.registry().register(&mut stream, Token(slot), Interest::READABLE | Interest::WRITABLE)?;
        Ok(stream)
    }
}

/// A connection that is being opened from `source`.
fn begin(source: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&source.into())?;
    match socket.connect(&to.into()) {
        Err(e) if e.raw_os_error() != Some(nix::libc::EINPROGRESS) => Err(e),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

impl Connection {
    /// Does what can be done; true when all is.
    fn advance(&mut self) -> io::Result<bool> {
        if !self.sent {
            match self.stream.write(b"?") {
                Ok(1) => self.sent = true,
                Ok(_) => return Err(ErrorKind::WriteZero.into()),
                Err(e) if e.kind() == ErrorKind::WouldBlock || e.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        let mut answer = [0];
        match self.stream.read(&mut answer) {
            Ok(1) if answer == *b"?" => Ok(true),
            Ok(1) => Err(ErrorKind::InvalidData.into()),
            Ok(_) => Err(ErrorKind::UnexpectedEof.into()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e),
        }
    }
}

impl Tally {
    fn fail(&mut self, error: &io::Error) {
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| error.to_string());
    }
}
