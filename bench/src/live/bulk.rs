//! Large transfers: how fast, and what a gigabyte costs.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::{self, Scope},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    cpu,
    echo::listen,
    network::{Path, Service, ends, offload},
    rounds::{Named as _, Samples},
    stand::Stand,
};
use crate::names::live::Bulk;

const CHUNK: usize = 256 * 1024;
/// Until the windows have opened.
const WARM_UP: Duration = Duration::from_millis(250);
/// Reads and writes give up after this, so that they see the end of the slice.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is transferred.
#[derive(Clone, Copy)]
pub struct Transfer {
    pub streams: usize,
    /// Whether the sender's device takes segments larger than its MTU. Frames of a wire are never larger, and a veth with
    /// native XDP takes none.
    pub tso: bool,
}

impl Transfer {
    pub const ALL: [Self; 4] = [
        Self { streams: 1, tso: true },
        Self { streams: 4, tso: true },
        Self { streams: 1, tso: false },
        Self { streams: 4, tso: false },
    ];
    /// What shows most in little time.
    pub const QUICK: [Self; 2] = [Self::ALL[0], Self::ALL[2]];

    pub fn cases(self, path: Path) -> &'static Bulk {
        let cases = path.cases();
        match (self.streams, self.tso) {
            (1, true) => &cases.bulk,
            (1, false) => &cases.bulk_without_tso,
            (_, true) => &cases.bulk_streams,
            (_, false) => &cases.bulk_streams_without_tso,
        }
    }

    /// Checksums are complete and segments fit the MTU wherever XDP is at work, so only TC sees more.
    pub fn is_possible(self, path: Path) -> bool {
        !self.tso || path == Path::Container
    }
}

/// One slice of one subject.
pub fn measure(stand: &Stand, transfer: Transfer, slice: Duration, samples: &mut Samples) -> Result<()> {
    let cases = transfer.cases(stand.path);
    if stand.path == Path::Container {
        let [client, _, _, backend] = ends(stand.lab, stand.path);
        for (namespace, device) in [client, backend] {
            offload(namespace, device, &["tso", if transfer.tso { "on" } else { "off" }]);
        }
    }
    let Sent { bytes, time, used } = send(stand, transfer.streams, slice)?;
    samples.take(cases.rate, stand.name(), "Gbit/s", bytes as f64 * 8e-9 / time.as_secs_f64());
    samples.take(cases.cpu, stand.name(), "s/GB", used.as_secs_f64() / (bytes as f64 * 1e-9));
    Ok(())
}

/// What has come in a time, and the processor time of the whole path.
struct Sent {
    bytes: u64,
    time: Duration,
    used: Duration,
}

/// Sends on all streams and measures once windows have opened.
fn send(stand: &Stand, streams: usize, slice: Duration) -> Result<Sent> {
    let port = Service::Sink.backend_ports().start;
    let listener = stand.lab.backends[0].run(|| listen(port)).context("listen on the backend")?;
    let to = stand.targets(Service::Sink)[0];
    let received = AtomicU64::new(0);
    let stop = Stop::default();
    thread::scope(|scope| {
        let _stop = stop.at_end();
        for _ in 0..streams {
            let client = stand.lab.client.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(3)));
            let client = client.with_context(|| format!("connect to {to}"))?;
            let server = accept(&listener)?;
            start(scope, client, server, &received, &stop.0)?;
        }
        thread::sleep(WARM_UP);
        let before = cpu::whole_path(stand)?;
        let (start, first) = (Instant::now(), received.load(Ordering::Relaxed));
        thread::sleep(slice);
        let bytes = received.load(Ordering::Relaxed) - first;
        let time = start.elapsed();
        let used = cpu::whole_path(stand)?.saturating_sub(before);
        ensure!(bytes > 0, "nothing has come within {slice:?}");
        Ok(Sent { bytes, time, used })
    })
}

fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    ensure!(poll(&mut ready, PollTimeout::from(3_000_u16))? > 0, "no connection has come to the backend");
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// A sender and a receiver, each on a thread of its own.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut client: TcpStream,
    mut server: TcpStream,
    received: &'scope AtomicU64,
    stop: &'scope AtomicBool,
) -> io::Result<()> {
    client.set_write_timeout(Some(PATIENCE))?;
    server.set_read_timeout(Some(PATIENCE))?;
    scope.spawn(move || {
        let chunk = vec![0x5a; CHUNK];
        // An error is a time limit, or the subject's end of the connection; then nothing comes any more.
        while !stop.load(Ordering::Relaxed) {
            let _ = client.write(&chunk);
        }
    });
    scope.spawn(move || {
        let mut chunk = vec![0; CHUNK];
        while !stop.load(Ordering::Relaxed) {
            if let Ok(read) = server.read(&mut chunk) {
                received.fetch_add(read as u64, Ordering::Relaxed);
            }
        }
    });
    Ok(())
}

/// Ends the threads, also when the slice fails.
#[derive(Default)]
struct Stop(AtomicBool);

struct AtEnd<'a>(&'a AtomicBool);

impl Stop {
    fn at_end(&self) -> AtEnd<'_> {
        AtEnd(&self.0)
    }
}

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
