//! The client's side: live frames of one kind after the other, from one core.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use aya::programs::{TestRun as _, TestRunOptions};
use gateway_tests::{
    Lab,
    packets::{Segment, raw_host::mac_of},
};
use nix::time::{ClockId, clock_gettime};

use super::programs::Programs;
use crate::live::{awake::pin, cpu};

#[path = "../../../../bench-ebpf/src/frames.rs"]
pub mod frames;

use frames::{FRAME_LEN, Frames, SERVER_SEQUENCE};

/// Where all is done.
const CPU: usize = 0;
/// Frames at once: what a driver takes in one go.
const BATCH: u32 = 64;
const CLIENT_SEQUENCE: u32 = 1_000;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Syn,
    /// Ends the handshake.
    Ack,
    Data,
}

/// Which flows.
#[derive(Clone, Copy, Debug)]
pub enum Flows {
    /// Each once, from this number on.
    InTurn(u32),
    /// Drawn from so many.
    Random(u32),
}

/// Frames from the client of a lab to one address.
pub struct Generator {
    ends: ([u8; 6], [u8; 6]),
    to: SocketAddr,
    device: u32,
    seed: u64,
}

impl Generator {
    pub fn new(lab: &Lab, to: SocketAddr) -> Result<Self> {
        let device = lab.client.run(|| nix::net::if_::if_nametoindex("eth0")).context("find the client's device")?;
        Ok(Self { ends: (mac_of(&lab.client, "eth0"), mac_of(&lab.front, "eth0")), to, device, seed: 1 })
    }

    /// Sends, and gives the processor time of all that came of it.
    pub fn send(
        &mut self,
        programs: &mut Programs,
        lab: &Lab,
        kind: Kind,
        flows: Flows,
        count: u32,
    ) -> Result<Duration> {
        let frame = self.frame(kind);
        self.seed += 1;
        programs.set_frames(&self.frames(&frame, kind, flows))?;
        let program = programs.xdp("send_xdp")?;
        lab.client.run(|| {
            pin(CPU)?;
            let mut options = TestRunOptions::new();
            options.data_in = Some(&frame);
            options.repeat = count;
            options.attrs = options.attrs.xdp_live_frames(BATCH);
            let before = used()?;
            program.test_run(options).with_context(|| format!("send {count} frames"))?;
            Ok(used()?.saturating_sub(before))
        })
    }

    /// The frame of a client whose address and port are still to be set.
    fn frame(&self, kind: Kind) -> Vec<u8> {
        let mut segment = Segment::new(SocketAddr::from(([0, 0, 0, 0], 0)), self.to);
        let tcp = &mut segment.tcp;
        (tcp.syn, tcp.ack, tcp.psh) = (kind == Kind::Syn, kind != Kind::Syn, kind == Kind::Data);
        tcp.sequence_number = CLIENT_SEQUENCE;
        if kind != Kind::Syn {
            tcp.sequence_number += 1;
            tcp.acknowledgment_number = SERVER_SEQUENCE + 1;
        }
        if kind == Kind::Data {
            segment.payload = b"ABCDEF".to_vec();
        }
        let mut frame = segment.frame(self.ends.0, self.ends.1);
        // Ethernet pads what is shorter.
        frame.resize(FRAME_LEN, 0);
        for checksum in [24, 50] {
            frame[checksum..checksum + 2].fill(0);
        }
        frame
    }

    fn frames(&self, frame: &[u8], kind: Kind, flows: Flows) -> Frames {
        const IP: usize = 14;
        const TCP: usize = 34;
        let tcp_len = if kind == Kind::Data { 26 } else { 20 };
        let (flows, next) = match flows {
            Flows::InTurn(next) => (0, next),
            Flows::Random(flows) => (flows, 0),
        };
        let mut template = [0; 7];
        for (word, bytes) in template.iter_mut().zip(frame.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
        }
        // The pseudo header's destination stands in the IP header, its source is not set yet.
        let pseudo = sum(&frame[IP + 16..TCP]) + 6 + tcp_len as u32;
        Frames {
            state: self.seed,
            template,
            template_end: u32::from_ne_bytes(frame[56..].try_into().expect("four bytes")),
            flows,
            next,
            device: self.device,
            ip_sum: sum(&frame[IP..TCP]),
            tcp_sum: sum(&frame[TCP..TCP + tcp_len]) + pseudo,
        }
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum()
}

/// Of the calling thread, which receives for all devices on its way, and of the kernel's thread that does so when there
/// is more than it may do.
fn used() -> Result<Duration> {
    let own = Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("read the thread's clock")?);
    Ok(own + cpu::softirq_time(CPU)?)
}
