//! The packet programs that stand around a subject, or in its place.
#![expect(unsafe_code, reason = "the promise that map values have no padding and no invalid bytes")]

use anyhow::{Context, Result};
use aya::{
    Ebpf, Pod,
    maps::{Array, DevMap, PerCpuArray},
    programs::{
        Program, SchedClassifier, Xdp, XdpMode,
        tc::{TcAttachType, qdisc_add_clsact},
    },
};
use gateway_tests::Namespace;

use super::frame::Frames;
use crate::harness::PLAIN;

// SAFETY: `repr(C)` of integers whose sizes leave no padding; the programs take any values.
unsafe impl Pod for Frames {}

/// Loaded, with maps of their own. What is attached is taken off when this is dropped.
pub struct Programs(Ebpf);

impl Programs {
    pub fn load() -> Result<Self> {
        let mut programs = Ebpf::load(PLAIN).context("load the programs of the benchmarks")?;
        for (name, program) in programs.programs_mut() {
            match program {
                Program::Xdp(program) => program.load(),
                Program::SchedClassifier(program) => program.load(),
                _ => continue,
            }
            .with_context(|| format!("load {name}"))?;
        }
        Ok(Self(programs))
    }

    pub fn xdp(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = self.0.program_mut(name).with_context(|| format!("the object has no {name}"))?;
        Ok(program.try_into()?)
    }

    /// Attaches an XDP program; gives what takes it off again.
    pub fn attach_xdp(&mut self, name: &str, namespace: &Namespace, device: &str) -> Result<()> {
        let program = self.xdp(name)?;
        namespace
            .run(|| program.attach(device, XdpMode::Driver))
            .with_context(|| format!("attach {name} to {device} of {}", namespace.name()))?;
        Ok(())
    }

    /// Takes an XDP program off wherever it is.
    pub fn detach_xdp(&mut self, name: &str) -> Result<()> {
        let program = self.xdp(name)?;
        program.unload()?;
        program.load().with_context(|| format!("load {name} again"))
    }

    /// Attaches a TC program to what comes in.
    pub fn attach_tc(&mut self, name: &str, namespace: &Namespace, device: &str) -> Result<()> {
        let program = self.0.program_mut(name).with_context(|| format!("the object has no {name}"))?;
        let program: &mut SchedClassifier = program.try_into()?;
        namespace
            .run(|| {
                // Kernels before 6.6 need it; it may be there.
                let _ = qdisc_add_clsact(device);
                program.attach(device, TcAttachType::Ingress)
            })
            .with_context(|| format!("attach {name} to {device} of {}", namespace.name()))?;
        Ok(())
    }

    /// Where the plain redirects of both hooks send to: an interface of `namespace`.
    pub fn redirect_to(&mut self, namespace: &Namespace, index: u32) -> Result<()> {
        let mut devices = DevMap::try_from(self.0.map_mut("DEVICES").context("the object has no DEVICES")?)?;
        namespace.run(|| devices.set(0, index, None, 0)).context("name the device of redirects")?;
        let mut device = Array::try_from(self.0.map_mut("TC_DEVICE").context("the object has no TC_DEVICE")?)?;
        device.set(0, index, 0).context("name the device of redirects")
    }

    pub fn set_frames(&mut self, frames: &Frames) -> Result<()> {
        let mut map = Array::<_, Frames>::try_from(self.0.map_mut("FRAMES").context("the object has no FRAMES")?)?;
        map.set(0, frames, 0).context("tell the generator its frames")
    }

    /// Frames that have come to an end so far.
    pub fn seen(&self) -> Result<u64> {
        let seen = PerCpuArray::<_, u64>::try_from(self.0.map("SEEN").context("the object has no SEEN")?)?;
        Ok(seen.get(&0, 0).context("read the count of frames")?.iter().sum())
    }
}
