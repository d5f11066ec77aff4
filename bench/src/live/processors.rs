//! Processors: which ones a thread runs on, and that an idle one does not fall asleep.
#![expect(unsafe_code, reason = "sched_setscheduler(2), which no library wraps for this class")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use nix::{
    libc,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Where both ends of connections are at work.
pub const ENDS: usize = 0;

/// Where the front server is at work while its time is measured: a processor of its own, if there is one.
pub fn front() -> usize {
    thread::available_parallelism().map_or(0, |count| (count.get() - 1).min(1))
}

/// Does `work` on a thread that stays on one processor, as all threads do that it starts.
pub fn on<T: Send>(cpu: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            pin(0, &[cpu])?;
            work()
        });
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Keeps the calling thread on one processor.
pub fn pin_here(cpu: usize) -> Result<()> {
    pin(0, &[cpu])
}

/// Keeps a thread, or the calling one for 0, on these processors.
pub fn pin(thread: u32, cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu)?;
    }
    let id = Pid::from_raw(thread.cast_signed());
    sched_setaffinity(id, &set).with_context(|| format!("keep thread {thread} on processors {cpus:?}"))
}

/// Spins on one processor whenever nobody else wants it. To wake a sleeping processor of a virtual machine costs more
/// than anything measured here, and differently each time; machines that are set up for latency do not let theirs
/// sleep.
pub struct Awake {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Awake {
    pub fn start(cpu: usize) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                if pin_here(cpu).is_ok() && yield_to_all() {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Gives the calling thread the policy that any other thread preempts.
fn yield_to_all() -> bool {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live for the call; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters) == 0 }
}
