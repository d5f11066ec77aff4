//! Connections whose both ends one thread holds, and how long a request and its response take on them.
//!
//! The thread polls, so nothing waits for a wake-up but what the subject itself needs woken: the path alone is measured.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, Socket, Type};

use super::{echo::listen, network::Service, stand::Stand};

const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of a request and of a response.
const LENGTH: usize = 64;

/// Where the backend's ends come from.
pub struct Door {
    listener: TcpListener,
}

/// One connection.
pub struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Door {
    pub fn open(stand: &Stand) -> Result<Self> {
        let port = Service::Pair.backend_ports().start;
        let listener = stand.lab.backends[0].run(|| listen(port)).context("listen on the backend")?;
        Ok(Self { listener })
    }

    /// Opens connections, one after the other. Runs outside of the client's namespace.
    pub fn pairs(&self, stand: &Stand, count: usize) -> Result<Vec<Pair>> {
        stand.lab.client.run(|| (0..count).map(|_| self.pair(stand)).collect())
    }

    fn pair(&self, stand: &Stand) -> Result<Pair> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&stand.sources.next().into())?;
        let to = stand.targets(Service::Pair)[0];
        socket.connect_timeout(&to.into(), PATIENCE).with_context(|| format!("connect to {to}"))?;
        let client = TcpStream::from(socket);
        let deadline = Instant::now() + PATIENCE;
        let server = loop {
            match self.listener.accept() {
                Ok((server, _)) => break server,
                Err(e) if e.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => thread::yield_now(),
                Err(e) => return Err(e).context("accept at the backend"),
            }
        };
        for end in [&client, &server] {
            end.set_nodelay(true)?;
            end.set_nonblocking(true)?;
        }
        Ok(Pair { client, server })
    }
}

impl Pair {
    /// Sends a request, answers it, and gives the time until the response has come. Both are compared.
    pub fn round_trip(&mut self, seed: u8) -> Result<Duration> {
        let start = Instant::now();
        hand_over(&mut self.client, &mut self.server, seed)?;
        hand_over(&mut self.server, &mut self.client, !seed)?;
        Ok(start.elapsed())
    }
}

fn hand_over(from: &mut TcpStream, to: &mut TcpStream, seed: u8) -> Result<()> {
    let (sent, mut received) = ([seed; LENGTH], [0; LENGTH]);
    ensure!(from.write(&sent)? == LENGTH, "a short write on an idle connection");
    let (mut filled, mut polls) = (0, 0_u32);
    let mut deadline = None;
    while filled < LENGTH {
        match to.read(&mut received[filled..]) {
            Ok(0) => bail!("the connection has ended"),
            Ok(read) => filled += read,
            Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e.into()),
            Err(_) => {
                polls += 1;
                // The clock is read now and then only.
                if polls % 1024 == 0 {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
                    ensure!(Instant::now() < deadline, "no answer within {PATIENCE:?}");
                }
            }
        }
    }
    ensure!(received == sent, "other bytes have come than were sent");
    Ok(())
}
