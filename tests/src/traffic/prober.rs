//! One connection that says something each millisecond, and how long every word was on its way there and back: a gap in
//! forwarding shows as the time that the first word of it took.
//!
//! Its threads, and those of its server, come before all others on a processor where the machine lets them, so that
//! they measure the path and not the scheduler. What is left of the machine's own pauses a second prober shows, on a
//! path beside the one that is judged.
#![expect(unsafe_code, reason = "sched_setscheduler(2), which no library wraps for this class")]

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Behaviour, Server,
    client::{self, Failure},
};
use crate::Namespace;

const INTERVAL: Duration = Duration::from_millis(1);
/// The time of sending, in nanoseconds since the start.
const WORD: usize = size_of::<u64>();
/// A prober at work.
#[derive(Debug)]
pub struct Prober {
    stop: Stop,
    sender: JoinHandle<Result<u64, Failure>>,
    receiver: JoinHandle<Result<Duration, Failure>>,
}

/// What a prober has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    /// Words that went out and came back.
    pub words: u64,
    /// The longest that one of them took.
    pub longest: Duration,
}

/// A server for probers.
#[track_caller]
pub fn server(namespace: &Namespace, port: u16) -> Server {
    thread::scope(|scope| {
        // Its threads have the priority of the one that starts them.
        let starter = scope.spawn(|| {
            come_first();
            Server::start(namespace, port, Behaviour::Echo)
        });
        starter.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Prober {
    /// Connects to a [`server`] and begins.
    #[track_caller]
    pub fn start(namespace: &Namespace, to: SocketAddr) -> Self {
        let stream = client::connect(namespace, to).unwrap_or_else(|e| panic!("connect to {to}: {e}"));
        let other = stream.try_clone().expect("file descriptors are left");
        let (stop, start) = (Arc::<AtomicBool>::default(), Instant::now());
        let sender = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || send(&stream, start, &stop))
        };
        Self { stop: Stop(stop), sender, receiver: thread::spawn(move || receive(&other, start)) }
    }

    /// Ends the connection.
    ///
    /// # Errors
    /// How the connection failed.
    pub fn stop(self) -> Result<Probes, Failure> {
        drop(self.stop);
        let words = self.sender.join().expect("a prober does not panic")?;
        let longest = self.receiver.join().expect("a prober does not panic")?;
        Ok(Probes { words, longest })
    }
}

/// Ends the sender, also where a test fails before it stops its prober.
#[derive(Debug)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Gives the calling thread, and those it starts, the processor before all ordinary ones. Where that is not allowed the
/// prober's figures hold more of the machine's own pauses.
fn come_first() {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: `priority` is a valid `sched_param` that outlives the call, which only reads it; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) } != 0 {
        eprintln!("a prober runs with ordinary priority: {}", io::Error::last_os_error());
    }
}

fn send(mut stream: &TcpStream, start: Instant, stop: &AtomicBool) -> Result<u64, Failure> {
    come_first();
    let mut next = Instant::now();
    let mut words = 0;
    while !stop.load(Ordering::Relaxed) {
        let now = u64::try_from(start.elapsed().as_nanos()).expect("no test takes centuries");
        stream.write_all(&now.to_be_bytes())?;
        words += 1;
        next = (next + INTERVAL).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(words)
}

fn receive(mut stream: &TcpStream, start: Instant) -> Result<Duration, Failure> {
    come_first();
    let mut longest = Duration::ZERO;
    let mut word = [0; WORD];
    loop {
        // Whole words come back: the server sends back what it has read, and the end is between two of them.
        match stream.read(&mut word[..1])? {
            0 => return Ok(longest),
            _ => stream.read_exact(&mut word[1..])?,
        }
        longest = longest.max(start.elapsed().saturating_sub(Duration::from_nanos(u64::from_be_bytes(word))));
    }
}
