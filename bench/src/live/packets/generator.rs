//! The client's side: live frames of one kind after the other, from one core.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use aya::programs::{TestRun as _, TestRunOptions};
use gateway_tests::{Lab, packets::raw_host::mac_of};
use nix::{
    net::if_::if_nametoindex,
    time::{ClockId, clock_gettime},
};

use super::{
    frame::{Ends, Flows, Kind},
    programs::Programs,
};
use crate::live::{cpu::SoftirqThread, processors::pin_here};

/// Where all is done.
const CPU: usize = 0;
/// Frames at once: what a driver takes in one go.
const BATCH: u32 = 64;

/// Frames from the client of a lab to one address.
pub struct Generator {
    ends: Ends,
    softirq: SoftirqThread,
}

impl Generator {
    pub fn new(lab: &Lab, to: SocketAddr) -> Result<Self> {
        let device = lab.client.run(|| if_nametoindex("eth0")).context("find the client's device")?;
        let ends = Ends { from: mac_of(&lab.client, "eth0"), through: mac_of(&lab.front, "eth0"), to, device };
        Ok(Self { ends, softirq: SoftirqThread::of(CPU)? })
    }

    /// Sends, and gives the processor time of all that came of it.
    pub fn send(&self, programs: &mut Programs, lab: &Lab, kind: Kind, flows: Flows, count: u32) -> Result<Duration> {
        programs.set_frames(&self.ends.frames(kind, flows))?;
        let program = programs.xdp("send_xdp")?;
        let frame = self.ends.template(kind);
        lab.client.run(|| {
            pin_here(CPU)?;
            let mut options = TestRunOptions::new();
            options.data_in = Some(&frame);
            options.repeat = count;
            options.attrs = options.attrs.xdp_live_frames(BATCH);
            let before = self.used()?;
            program.test_run(options).with_context(|| format!("send {count} frames"))?;
            Ok(self.used()?.saturating_sub(before))
        })
    }

    /// Of the calling thread, which receives for all devices on its way, and of the kernel's thread that does so when
    /// there is more than it may do.
    fn used(&self) -> Result<Duration> {
        let own = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("read the thread's clock")?;
        Ok(Duration::from(own) + self.softirq.time()?)
    }
}
