//! Loading the programs, and running one of them many times.
#![expect(unsafe_code, reason = "the promise that map values have no padding and no invalid bytes")]

use std::time::Duration;

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, DevMap, PerCpuArray, ProgramArray},
    programs::{Program as Loaded, ProgramFd, SchedClassifier, TestRun, TestRunOptions, Xdp},
};
use gateway::datapath::{self, Capacity};
use gateway_common::nat::Reason;
use nix::time::{ClockId, clock_gettime};

use super::{katran::Katran, network::BACK, plan::Plan};

/// The compiled programs of the benchmarks.
pub static PLAIN: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/programs"));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Xdp = 0,
    Tc = 1,
}

impl Hook {
    fn suffix(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        }
    }
}

/// What is put under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Returns at once.
    Empty,
    /// Makes room before the packet; on XDP alone.
    Grow,
    /// Reads the headers.
    Parse,
    /// Sends the packet elsewhere as it is.
    Redirect,
    /// Rewrites the packet to fixed addresses and sends it elsewhere.
    Rewrite,
    Gateway,
    /// On XDP alone, and only where it was loaded.
    Katran,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Grow => "grow",
            Self::Parse => "parse",
            Self::Redirect => "redirect",
            Self::Rewrite => "rewrite",
            Self::Gateway => "gateway",
            Self::Katran => "katran",
        }
    }
}

// SAFETY: `repr(C)` without padding; written by this crate alone.
unsafe impl Pod for Plan {}

pub struct Programs {
    gateway: Ebpf,
    plain: Ebpf,
    pub katran: Option<Katran>,
}

impl Programs {
    /// Loads all of them, the gateway's with tables of their own.
    pub fn load(capacity: Capacity) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        for (map, entries) in capacity.map_sizes() {
            loader.map_max_entries(map, entries);
        }
        let mut gateway = loader.load(datapath::object(capacity.flow_map)).context("load the gateway's programs")?;
        let mut plain = Ebpf::load(PLAIN).context("load the programs of the benchmarks")?;
        for programs in [&mut gateway, &mut plain] {
            for (name, program) in programs.programs_mut() {
                match program {
                    Loaded::Xdp(program) => program.load(),
                    Loaded::SchedClassifier(program) => program.load(),
                    _ => continue,
                }
                .with_context(|| format!("load {name}"))?;
            }
        }
        let mut devices = DevMap::try_from(plain.map_mut("DEVICES").context("the object has no DEVICES")?)?;
        devices.set(0, BACK, None, 0).context("name the device of redirects")?;
        let mut device = Array::try_from(plain.map_mut("TC_DEVICE").context("the object has no TC_DEVICE")?)?;
        device.set(0, BACK, 0).context("name the device of redirects")?;
        Ok(Self { gateway, plain, katran: None })
    }

    pub fn gateway_mut(&mut self) -> &mut Ebpf {
        &mut self.gateway
    }

    /// Nanoseconds of processor time for one packet.
    pub fn run(&mut self, hook: Hook, program: Program, plan: &Plan, frame: &[u8], repeat: u32) -> Result<f64> {
        self.put_under_test(hook, program)?;
        let mut plans = Array::<_, Plan>::try_from(self.plain.map_mut("PLAN").context("the object has no PLAN")?)?;
        plans.set(0, plan, 0).context("tell the driver its plan")?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = repeat;
        let driver = format!("drive_{}", hook.suffix());
        let driver = self.plain.program_mut(&driver).with_context(|| format!("the object has no {driver}"))?;
        let start = thread_time()?;
        match hook {
            Hook::Xdp => <&mut Xdp>::try_from(driver)?.test_run(options),
            Hook::Tc => <&mut SchedClassifier>::try_from(driver)?.test_run(options),
        }
        .with_context(|| format!("run {program:?} on {hook:?} {repeat} times"))?;
        Ok((thread_time()? - start).as_nanos() as f64 / f64::from(repeat))
    }

    /// Packets by reason, as the gateway's program of a hook has counted them so far.
    pub fn reasons(&self, hook: Hook) -> Result<[u64; Reason::COUNT]> {
        let reasons = self.gateway.map("REASONS").context("the object has no REASONS")?;
        let reasons = PerCpuArray::<_, u64>::try_from(reasons)?;
        let mut counts = [0; Reason::COUNT];
        for (index, count) in counts.iter_mut().enumerate() {
            let index = (hook as usize * Reason::COUNT + index) as u32;
            *count = reasons.get(&index, 0).context("read the reason counters")?.iter().sum();
        }
        Ok(counts)
    }

    /// Packets of flows that Katran has not known so far.
    pub fn katran_misses(&self) -> Result<u64> {
        self.katran.as_ref().map_or(Ok(0), Katran::misses)
    }

    fn put_under_test(&mut self, hook: Hook, program: Program) -> Result<()> {
        let name = format!("{}_{}", program.name(), hook.suffix());
        let of = |owner: &Ebpf| fd(owner.program(&name).with_context(|| format!("there is no program {name}"))?);
        let fd = match (program, &self.katran) {
            (Program::Gateway, _) => of(&self.gateway)?,
            (Program::Katran, Some(katran)) => katran.program()?,
            _ => of(&self.plain)?,
        };
        let slot = match hook {
            Hook::Xdp => "XDP_UNDER_TEST",
            Hook::Tc => "TC_UNDER_TEST",
        };
        let mut slot =
            ProgramArray::try_from(self.plain.map_mut(slot).with_context(|| format!("there is no {slot}"))?)?;
        slot.set(0, &fd, 0).with_context(|| format!("put {name} under test"))
    }
}

fn fd(program: &Loaded) -> Result<ProgramFd> {
    let fd = match program {
        Loaded::Xdp(program) => program.fd()?,
        Loaded::SchedClassifier(program) => program.fd()?,
        _ => anyhow::bail!("a program of another type"),
    };
    fd.try_clone().context("duplicate a program's file descriptor")
}

/// Processor time of this thread: what other threads and interrupts take is not in it.
fn thread_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("read the thread's clock")?.into())
}
