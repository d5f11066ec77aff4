//! Many connections that carry data all the time, each byte of it compared as it comes back.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime,
    sync::watch,
    task::JoinSet,
    time,
};

use super::{DEADLINE, client::Failure};
use crate::{Namespace, eventually};

/// What a connection sends at once, and how often: 5 KiB a second each way.
const CHUNK: usize = 1024;
const INTERVAL: Duration = Duration::from_millis(200);

/// Clients of [`Identify`](super::Behaviour::Identify) servers. They begin at moments of their own, so that the load is
/// steady.
#[derive(Debug)]
pub struct Transfers {
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What came of the transfers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferTally {
    /// Transfers whose bytes all came back, up to a FIN that answered the client's.
    pub whole: usize,
    /// The others, by what broke them.
    pub broken: BTreeMap<Failure, usize>,
    /// Bytes that came back as they were sent.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Shared {
    /// Transfers of which something came back.
    under_way: AtomicUsize,
    whole: AtomicUsize,
    bytes: AtomicU64,
    broken: Mutex<BTreeMap<Failure, usize>>,
}

impl Transfers {
    /// Starts `count` transfers and waits until data comes back on each.
    #[track_caller]
    pub fn start(namespace: &Namespace, to: SocketAddr, count: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::<Shared>::default();
        let all = {
            let shared = Arc::clone(&shared);
            async move {
                let transfer = |seed| run(to, seed, shared.clone(), stopped.clone());
                (0..count as u64).map(transfer).collect::<JoinSet<()>>().join_all().await;
            }
        };
        let thread = namespace.spawn(move || {
            runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts").block_on(all);
        });
        let transfers = Self { stop, shared, thread: Some(thread) };
        eventually(DEADLINE, || match transfers.tally() {
            tally if !tally.broken.is_empty() => panic!("transfers broke at once: {tally:?}"),
            tally => match transfers.shared.under_way.load(Ordering::Relaxed) {
                under_way if under_way == count => Ok(()),
                under_way => Err(format!("{under_way} of {count} are under way; so far: {tally:?}")),
            },
        });
        transfers
    }

    /// What came of them so far.
    pub fn tally(&self) -> TransferTally {
        TransferTally {
            whole: self.shared.whole.load(Ordering::Relaxed),
            broken: self.shared.broken.lock().unwrap().clone(),
            bytes: self.shared.bytes.load(Ordering::Relaxed),
        }
    }

    /// Closes the client's half of each connection and waits for what is still to come back.
    #[track_caller]
    pub fn stop(mut self) -> TransferTally {
        self.stop.send_replace(true);
        self.thread.take().expect("transfers are stopped once").join().expect("transfers do not panic");
        self.tally()
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn run(to: SocketAddr, seed: u64, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    match transfer(to, seed, &shared, stopped).await {
        Ok(()) => drop(shared.whole.fetch_add(1, Ordering::Relaxed)),
        Err(failure) => *shared.broken.lock().unwrap().entry(failure).or_default() += 1,
    }
}

async fn transfer(to: SocketAddr, seed: u64, shared: &Shared, stopped: watch::Receiver<bool>) -> Result<(), Failure> {
    let stream = within_deadline(TcpStream::connect(to)).await?;
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    within_deadline(reader.read_line(&mut String::new())).await?;
    let sent = AtomicU64::new(0);
    let (receiving, sending) = tokio::join!(receive(reader, seed, shared), send(writer, seed, stopped, &sent));
    sending?;
    if receiving? == sent.load(Ordering::Relaxed) { Ok(()) } else { Err(Failure::Short) }
}

/// Sends the stream of `seed` until it is to stop.
async fn send(
    mut writer: OwnedWriteHalf,
    seed: u64,
    mut stopped: watch::Receiver<bool>,
    sent: &AtomicU64,
) -> Result<(), Failure> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chunk = [0; CHUNK];
    let mut pause = INTERVAL.mul_f64(fastrand::f64());
    while !*stopped.borrow() {
        random.fill(&mut chunk);
        within_deadline(writer.write_all(&chunk)).await?;
        sent.fetch_add(CHUNK as u64, Ordering::Relaxed);
        // Fails at the time limit, which is the pause.
        let _ = time::timeout(pause, stopped.wait_for(|stopped| *stopped)).await;
        pause = INTERVAL;
    }
    within_deadline(writer.shutdown()).await
}

/// Compares what comes with the stream of `seed`, to its end, and gives its length.
async fn receive(mut reader: BufReader<OwnedReadHalf>, seed: u64, shared: &Shared) -> Result<u64, Failure> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut expected, mut chunk) = ([0; CHUNK], [0; CHUNK]);
    let mut length = 0;
    while !within_deadline(reader.fill_buf()).await?.is_empty() {
        within_deadline(reader.read_exact(&mut chunk)).await?;
        random.fill(&mut expected);
        if chunk != expected {
            return Err(Failure::WrongBytes);
        }
        shared.bytes.fetch_add(CHUNK as u64, Ordering::Relaxed);
        if length == 0 {
            shared.under_way.fetch_add(1, Ordering::Relaxed);
        }
        length += CHUNK as u64;
    }
    Ok(length)
}

async fn within_deadline<T>(step: impl Future<Output = std::io::Result<T>>) -> Result<T, Failure> {
    Ok(time::timeout(DEADLINE, step).await.map_err(|_| Failure::Timeout)??)
}
