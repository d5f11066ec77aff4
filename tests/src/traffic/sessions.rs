//! Many connections that are open for long and say something now and then. When the server ends one politely, its client
//! opens another, as the clients of a good service do.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    runtime,
    sync::watch,
    task::JoinSet,
    time,
};

use super::{
    DEADLINE,
    client::{Failure, SHORT_EXCHANGE},
    payload,
};
use crate::{Namespace, eventually};

/// Between two exchanges of a session, at most; on average half of it.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Clients of the `server` program, each with one connection at a time.
#[derive(Debug)]
pub struct Sessions {
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What came of the sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionTally {
    /// Connections that came into use, by the server that answered.
    pub opened: BTreeMap<String, usize>,
    /// Connections that did not, by reason.
    pub failures: BTreeMap<Failure, usize>,
    /// Connections that the server ended between two exchanges.
    pub ended_by_server: usize,
    /// Connections that were reset, fell silent or ended within an exchange, by reason.
    pub cut: BTreeMap<Failure, usize>,
    /// Verified exchanges.
    pub exchanges: usize,
}

impl SessionTally {
    pub fn opened(&self) -> usize {
        self.opened.values().sum()
    }

    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    pub fn cut(&self) -> usize {
        self.cut.values().sum()
    }
}

#[derive(Debug, Default)]
struct Shared {
    open: AtomicUsize,
    tally: Mutex<SessionTally>,
}

impl Sessions {
    /// Opens `count` sessions and waits until all have made an exchange.
    #[track_caller]
    pub fn start(namespace: &Namespace, to: SocketAddr, count: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::<Shared>::default();
        let all = {
            let shared = Arc::clone(&shared);
            async move {
                let session = |seed| Session { to, shared: shared.clone(), stopped: stopped.clone(), seed };
                let sessions: JoinSet<()> = (0..count as u64).map(|seed| session(seed << 32).run()).collect();
                sessions.join_all().await;
            }
        };
        let thread = namespace.spawn(move || {
            runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts").block_on(all);
        });
        let sessions = Self { stop, shared, thread: Some(thread) };
        sessions.wait_until_open(count);
        sessions
    }

    /// Waits until `count` sessions have a connection on which an exchange was made.
    #[track_caller]
    pub fn wait_until_open(&self, count: usize) {
        eventually(DEADLINE, || match self.shared.open.load(Ordering::Relaxed) {
            open if open == count => Ok(()),
            open => Err(format!("{open} of {count} sessions are open; so far: {:?}", self.tally())),
        });
    }

    /// What came of them so far.
    pub fn tally(&self) -> SessionTally {
        self.shared.tally.lock().unwrap().clone()
    }

    /// Lets each session end its exchange and close its connection, and tells what came of them.
    #[track_caller]
    pub fn stop(mut self) -> SessionTally {
        self.stop.send_replace(true);
        self.thread.take().expect("sessions are stopped once").join().expect("sessions do not panic");
        self.tally()
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

struct Session {
    to: SocketAddr,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
    /// Of the next request; a request that found its connection ended is made again on the next.
    seed: u64,
}

/// How a connection ended without a failure.
enum End {
    ByServer,
    Stopped,
}

impl Session {
    async fn run(mut self) {
        while !*self.stopped.borrow() {
            let mut stream = match self.open().await {
                Ok(stream) => stream,
                Err(failure) => {
                    self.note(|tally| *tally.failures.entry(failure).or_default() += 1);
                    time::sleep(PAUSE_AFTER_FAILURE).await;
                    continue;
                }
            };
            let _open = Open::new(self.shared.clone());
            match self.converse(&mut stream).await {
                Ok(End::ByServer) => self.note(|tally| tally.ended_by_server += 1),
                Ok(End::Stopped) => return,
                Err(failure) => self.note(|tally| *tally.cut.entry(failure).or_default() += 1),
            }
        }
    }

    /// A connection on which the server has said its name and answered: who has only greeted has not served.
    async fn open(&mut self) -> Result<BufReader<TcpStream>, Failure> {
        let mut stream = BufReader::new(within_deadline(TcpStream::connect(self.to)).await?);
        stream.get_ref().set_nodelay(true)?;
        let mut name = String::new();
        within_deadline(stream.read_line(&mut name)).await?;
        let name = name.strip_suffix('\n').ok_or(Failure::Short)?;
        if !self.exchange(&mut stream).await? {
            return Err(Failure::Short);
        }
        self.note(|tally| *tally.opened.entry(name.to_owned()).or_default() += 1);
        Ok(stream)
    }

    async fn converse(&mut self, stream: &mut BufReader<TcpStream>) -> Result<End, Failure> {
        loop {
            tokio::select! {
                () = time::sleep(LONGEST_PAUSE.mul_f64(fastrand::f64())) => {}
                unasked = stream.fill_buf() => return match unasked?.len() {
                    0 => Ok(End::ByServer),
                    _ => Err(Failure::WrongBytes),
                },
                _ = self.stopped.wait_for(|stopped| *stopped) => return Ok(End::Stopped),
            }
            if !self.exchange(stream).await? {
                return Ok(End::ByServer);
            }
        }
    }

    /// A verified exchange, or `false` where the server has ended the connection before.
    async fn exchange(&mut self, stream: &mut BufReader<TcpStream>) -> Result<bool, Failure> {
        let request = payload::bytes(self.seed, SHORT_EXCHANGE);
        within_deadline(stream.write_all(&request)).await?;
        if within_deadline(stream.fill_buf()).await?.is_empty() {
            return Ok(false);
        }
        let mut answer = [0; SHORT_EXCHANGE];
        within_deadline(stream.read_exact(&mut answer)).await?;
        if answer[..] != request[..] {
            return Err(Failure::WrongBytes);
        }
        self.seed += 1;
        self.note(|tally| tally.exchanges += 1);
        Ok(true)
    }

    fn note(&self, change: impl FnOnce(&mut SessionTally)) {
        change(&mut self.shared.tally.lock().unwrap());
    }
}

/// Counts a connection while it is open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn within_deadline<T>(step: impl Future<Output = std::io::Result<T>>) -> Result<T, Failure> {
    Ok(time::timeout(DEADLINE, step).await.map_err(|_| Failure::Timeout)??)
}
