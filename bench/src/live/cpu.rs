//! What work costs in processor time: that of the front server alone, and that of the whole path.
//!
//! With threaded NAPI every device's receiving end is a kernel thread of its own. On the front server these threads do
//! all that the kernel does there for forwarded packets, up to handing them to the next wire; with the time of the
//! programs in its namespace, that is the whole cost. The other ends have threads too, or their work would be done on
//! the time of whoever sends to them. The front server has a processor of its own meanwhile: how often its threads are
//! woken for how many packets would otherwise depend on who runs beside them.
//!
//! A veth whose sender's device has TSO goes past NAPI, so this is for connections and requests, with TSO off. Of bulk
//! transfers the whole path is measured, with both ends, which are the same for every subject.

use std::{collections::HashSet, fs, time::Duration};

use anyhow::{Context, Result, ensure};
use gateway_tests::Namespace;

use super::{
    network::{self, Path},
    processors::{ENDS, front, pin},
    stand::Stand,
};

/// Measures until it is dropped; the network is slower meanwhile, as packets wake threads.
pub struct Meter<'stand> {
    stand: &'stand Stand<'stand>,
    threads: Vec<u32>,
    programs: Vec<u32>,
}

impl<'stand> Meter<'stand> {
    pub fn start(stand: &'stand Stand<'stand>) -> Result<Self> {
        set_tso(stand, false);
        let mut meter = Self { stand, threads: Vec::new(), programs: stand.programs()? };
        for (namespace, device) in network::ends(stand.lab, stand.path) {
            let prefix = format!("napi/{device}-");
            let before = kernel_threads(&prefix)?;
            set_threaded(namespace, device, true);
            let of_front = namespace.name() == stand.lab.front.name();
            let own: Vec<u32> = kernel_threads(&prefix)?.difference(&before).copied().collect();
            ensure!(!own.is_empty(), "{device} has no thread: NAPI is not threaded on it");
            for thread in &own {
                pin(*thread, &[if of_front { front() } else { ENDS }])?;
            }
            if of_front {
                meter.threads.extend(own);
            }
        }
        meter.keep_programs_on(&[front()])?;
        Ok(meter)
    }

    fn keep_programs_on(&self, cpus: &[usize]) -> Result<()> {
        for program in &self.programs {
            for thread in threads_of(*program)? {
                pin(thread, cpus)?;
            }
        }
        Ok(())
    }

    /// The time used so far.
    pub fn read(&self) -> Result<Duration> {
        let threads = self.threads.iter().map(|id| run_time(&format!("/proc/{id}/schedstat")));
        let kernel = threads.sum::<Result<Duration>>()?;
        Ok(kernel + self.programs.iter().map(|id| program_time(*id)).sum::<Result<Duration>>()?)
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        for (namespace, device) in network::ends(self.stand.lab, self.stand.path) {
            set_threaded(namespace, device, false);
        }
        // Fails when one has ended, which its subject's next turn will show.
        let _ = self.keep_programs_on(&[ENDS, front()]);
        set_tso(self.stand, true);
    }
}

/// The time used so far by both ends, which are this process, the front server's programs, and the kernel's threads that
/// receive packets when they are too many for whoever sends them.
pub fn whole_path(stand: &Stand) -> Result<Duration> {
    let kernel = kernel_threads("ksoftirqd/")?;
    let kernel = kernel.iter().map(|id| run_time(&format!("/proc/{id}/schedstat"))).sum::<Result<Duration>>()?;
    let programs = stand.programs()?.into_iter().chain([std::process::id()]);
    Ok(kernel + programs.map(program_time).sum::<Result<Duration>>()?)
}

/// The kernel's thread that receives packets on one processor when they are too many for whoever sends them.
pub struct SoftirqThread(u32);

impl SoftirqThread {
    pub fn of(cpu: usize) -> Result<Self> {
        let name = format!("ksoftirqd/{cpu}");
        Ok(Self(kernel_threads(&name)?.into_iter().next().with_context(|| format!("find {name}"))?))
    }

    /// The time used so far.
    pub fn time(&self) -> Result<Duration> {
        run_time(&format!("/proc/{}/schedstat", self.0))
    }
}

/// Where XDP is at work there is no TSO at any time.
fn set_tso(stand: &Stand, on: bool) {
    if stand.path == Path::Container {
        for (namespace, device) in network::ends(stand.lab, stand.path) {
            network::offload(namespace, device, &["tso", if on { "on" } else { "off" }]);
        }
    }
}

fn set_threaded(namespace: &Namespace, device: &str, on: bool) {
    let write = format!("echo {} > /sys/class/net/{device}/threaded", u8::from(on));
    namespace.output("sh", &["-c", &write]).success();
}

fn kernel_threads(prefix: &str) -> Result<HashSet<u32>> {
    let mut found = HashSet::new();
    for entry in fs::read_dir("/proc").context("list /proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that has ended meanwhile has no name.
        if fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.starts_with(prefix)) {
            found.insert(id);
        }
    }
    Ok(found)
}

fn program_time(id: u32) -> Result<Duration> {
    threads_of(id)?.into_iter().map(|thread| run_time(&format!("/proc/{id}/task/{thread}/schedstat"))).sum()
}

fn threads_of(program: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{program}/task");
    let tasks = fs::read_dir(&path).with_context(|| format!("list {path}"))?;
    Ok(tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect())
}

/// The first number of a `schedstat`, nanoseconds on a processor.
fn run_time(path: &str) -> Result<Duration> {
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let first = text.split_whitespace().next().context("schedstat is empty")?;
    Ok(Duration::from_nanos(first.parse().with_context(|| format!("read {path}"))?))
}
