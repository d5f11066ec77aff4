//! The clients of a site: short connections at a steady rate, and long ones that say something now and then.

use std::{
    io::Read,
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gateway_tests::{
    Namespace,
    traffic::{DEADLINE, Failure, client},
};

use crate::journal::{Failed, Journal};

/// Between two short connections of one client, on average.
const SHORT_PAUSE: Duration = Duration::from_millis(100);
/// Between two exchanges of a long connection, on average.
const LONG_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(200);
const LARGEST_EXCHANGE: usize = 200_000;

/// Clients at work until they are stopped.
pub struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Which connections a client makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// One request each.
    Short,
    /// As much as they like, of a server that stays.
    Large,
    /// Until the server is told to end.
    Long,
    /// Through everything.
    Lasting,
}

impl Clients {
    pub fn new() -> Self {
        Self { stop: Arc::default(), threads: Vec::new() }
    }

    /// Starts `count` clients of a service, which `name` calls them by.
    pub fn add(
        &mut self,
        namespace: &Namespace,
        load: Load,
        name: &'static str,
        to: SocketAddr,
        count: usize,
        journal: &Arc<Journal>,
    ) {
        for _ in 0..count {
            let (stop, journal) = (self.stop.clone(), journal.clone());
            let client = Client { load, name, to, stop, journal };
            self.threads.push(namespace.spawn(move || client.work()));
        }
    }

    /// Lets each end its connection.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("clients do not panic");
        }
    }
}

struct Client {
    load: Load,
    name: &'static str,
    to: SocketAddr,
    stop: Arc<AtomicBool>,
    journal: Arc<Journal>,
}

impl Client {
    fn work(&self) {
        while !self.is_stopped() {
            let began = Instant::now();
            let mut server = None;
            match self.connection(&mut server) {
                Ok(()) => self.journal.note_connection(),
                Err(failure) => {
                    let ended = Instant::now();
                    self.journal.note_failure(Failed { load: self.name, server, failure, began, ended });
                    thread::sleep(PAUSE_AFTER_FAILURE);
                }
            }
        }
    }

    /// One connection to its end; `server` is set as soon as it is known who answers.
    fn connection(&self, server: &mut Option<String>) -> Result<(), Failure> {
        let stream = client::connect_here(self.to, DEADLINE)?;
        *server = Some(client::read_identity(&stream)?);
        match self.load {
            Load::Short => self.short(&stream, client::SHORT_EXCHANGE),
            Load::Large => self.short(&stream, fastrand::usize(1..LARGEST_EXCHANGE)),
            Load::Long | Load::Lasting => self.long(&stream),
        }
    }

    /// An exchange, and one of the ways to end.
    fn short(&self, mut stream: &TcpStream, length: usize) -> Result<(), Failure> {
        client::exchange(stream, fastrand::u64(..), length)?;
        self.journal.note_exchange();
        match fastrand::u8(..4) {
            0 => client::reset_on_close(stream),
            1 => {
                stream.shutdown(Shutdown::Write)?;
                if stream.read(&mut [0])? != 0 {
                    return Err(Failure::WrongBytes);
                }
            }
            _ => {}
        }
        self.pause(SHORT_PAUSE);
        Ok(())
    }

    /// Exchanges, until the server ends the connection between two of them if it may.
    fn long(&self, stream: &TcpStream) -> Result<(), Failure> {
        while !self.is_stopped() {
            match client::exchange_short(stream, fastrand::u64(..)) {
                // Of a server that was told to end: it does not look at what comes after its FIN.
                Err(Failure::Short) if self.load == Load::Long => return Ok(()),
                outcome => outcome?,
            }
            self.journal.note_exchange();
            self.pause(LONG_PAUSE);
        }
        Ok(())
    }

    fn pause(&self, average: Duration) {
        thread::sleep(average.mul_f64(2.0 * fastrand::f64()));
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
