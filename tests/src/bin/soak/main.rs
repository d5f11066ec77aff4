//! The gateway for as long as one likes: everything that happens to a front server happens at random, under connections
//! that are judged one by one; in the end nothing may be left over.
//!
//! Two front servers at once: one with native XDP, IPv4 and backends on other hosts, one with TC, IPv6 and containers
//! behind a bridge. What happens, and in which order, follows from the seed; when exactly, from the machine.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use clap::Parser;
use gateway_tests::{BackendSide, Family, Mode, Topology, interrupt};

mod action;
mod client;
mod fleet;
mod flood;
mod journal;
mod leaks;
mod progress;
mod site;
mod summary;

use progress::Progress;
use site::Site;
use summary::Outcome;

/// Run two gateways under load while everything happens to them, and judge every connection
#[derive(Debug, Parser)]
struct Arguments {
    /// How long; to find everything removed takes up to 5 minutes more
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// What happens in which order; printed, and chosen at random if absent
    #[arg(long)]
    seed: Option<u64>,
}

/// A network, how the gateway is attached in it, and what clients speak.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub topology: Topology,
    pub mode: Mode,
    pub family: Family,
}

fn main() -> ExitCode {
    interrupt::clean_up_on_signals();
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let duration = Duration::from_secs_f64(arguments.minutes * 60.0);
    println!("{} minutes with seed {seed}", arguments.minutes);
    let settings = [
        Setting {
            name: "XDP, IPv4, other hosts",
            topology: Topology::two_arm(3),
            mode: Mode::XdpNative,
            family: Family::V4,
        },
        Setting {
            name: "TC, IPv6, containers",
            topology: Topology::new(BackendSide::Bridge, 3),
            mode: Mode::Tc,
            family: Family::V6,
        },
    ];
    let progress = Arc::new(Progress::new(duration));
    let broken = Arc::new(AtomicBool::new(false));
    let mut random = fastrand::Rng::with_seed(seed);
    let sites = settings.into_iter().map(|setting| {
        let (progress, broken, random) = (progress.clone(), broken.clone(), random.fork());
        thread::spawn(move || {
            let _announce = Announce(broken.clone());
            let lab = setting.topology.build();
            Site::new(&lab, setting, random, &progress).live(duration, &broken)
        })
    });
    let outcomes: Vec<_> = sites.collect::<Vec<_>>().into_iter().map(thread::JoinHandle::join).collect();
    progress.finish();
    let sites = outcomes.len();
    // A panic has been printed, and its lab is gone.
    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
    println!("\n{}", summary::table(&outcomes));
    if outcomes.len() < sites {
        println!("\nA site came to no end, see above. Seed {seed}.");
        return ExitCode::FAILURE;
    }
    let findings: Vec<_> = outcomes.iter().flat_map(Outcome::findings).collect();
    if findings.is_empty() {
        println!("\nEvery failure is explained and nothing is left over. Seed {seed}.");
        return ExitCode::SUCCESS;
    }
    println!("\nFound, with seed {seed}:\n{}", findings.join("\n"));
    ExitCode::FAILURE
}

/// Tells the other site when this one panics.
struct Announce(Arc<AtomicBool>);

impl Drop for Announce {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
