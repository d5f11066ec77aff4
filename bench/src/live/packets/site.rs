//! The subjects of this part: the gateway, its peers in the kernel, and bare programs in their place.

use std::time::Duration;

use anyhow::{Context, Result};
use gateway_tests::Lab;

use super::{
    frame::{Flows, Kind},
    generator::Generator,
    programs::Programs,
};
use crate::{
    live::{
        network::{self, Path, Service},
        rounds::Named,
        stand::{Stand, Subject},
    },
    names::live as names,
};

/// Who forwards, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// Drops frames where they come in.
    Drop,
    RedirectXdp,
    GatewayXdp,
    RedirectTc,
    GatewayTc,
    Routing,
    Nftables,
}

impl Contestant {
    pub const ALL: [Self; 7] = [
        Self::Drop,
        Self::RedirectXdp,
        Self::GatewayXdp,
        Self::RedirectTc,
        Self::GatewayTc,
        Self::Routing,
        Self::Nftables,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => names::DROP_XDP,
            Self::RedirectXdp => names::REDIRECT_XDP,
            Self::GatewayXdp => names::GATEWAY_XDP,
            Self::RedirectTc => names::REDIRECT_TC,
            Self::GatewayTc => names::GATEWAY_TC,
            Self::Routing => names::ROUTING,
            Self::Nftables => names::NFTABLES,
        }
    }

    pub fn path(self) -> Path {
        match self {
            Self::RedirectTc | Self::GatewayTc => Path::Container,
            _ => Path::TwoArm,
        }
    }

    /// Those that know no flows are measured with one. A machine's conntrack table holds 262,144 at most by default. To
    /// open a million through TC takes longer than a quick run has.
    pub fn most_flows(self, quick: bool) -> u32 {
        match self {
            Self::GatewayXdp => 1_000_000,
            Self::GatewayTc if !quick => 1_000_000,
            Self::GatewayTc => 30_000,
            Self::Nftables => 30_000,
            _ => 1,
        }
    }

    fn subject(self) -> Option<Subject> {
        match self {
            Self::GatewayXdp | Self::GatewayTc => Some(Subject::Gateway),
            Self::Routing => Some(Subject::Routing),
            Self::Nftables => Some(Subject::Nftables),
            Self::Drop | Self::RedirectXdp | Self::RedirectTc => None,
        }
    }

    /// Whether frames leave as they came, without an skb.
    fn is_xdp(self) -> bool {
        matches!(self, Self::Drop | Self::RedirectXdp | Self::GatewayXdp)
    }
}

/// A contestant at work.
pub struct Site<'lab> {
    pub contestant: Contestant,
    lab: &'lab Lab,
    programs: Programs,
    generator: Generator,
    flows: u32,
    /// So far, and the seed of the next.
    runs: u64,
    _stand: Option<Stand<'lab>>,
}

/// What a run has given.
pub struct Run {
    pub seen: u64,
    pub used: Duration,
}

impl Named for Site<'_> {
    fn name(&self) -> &'static str {
        self.contestant.name()
    }
}

impl<'lab> Site<'lab> {
    pub fn start(contestant: Contestant, lab: &'lab Lab) -> Result<Self> {
        let path = contestant.path();
        let stand = contestant.subject().map(|subject| Stand::start(subject, path, lab));
        let mut programs = Programs::load()?;
        lab.front.ip(&[format!("route add 100.64.0.0/10 via {}", lab.client.v4)]);
        if path == Path::Container {
            for (namespace, device) in network::ends(lab, path) {
                network::offload(namespace, device, &["tso", "off"]);
            }
        }
        let inner = lab.front.run(|| nix::net::if_::if_nametoindex(path.inner_device()));
        programs.redirect_to(&lab.front, inner.context("find the device towards the backend")?)?;
        match contestant {
            Contestant::Drop => programs.attach_xdp("answer_xdp", &lab.front, "eth0")?,
            Contestant::RedirectXdp => programs.attach_xdp("redirect_xdp", &lab.front, "eth0")?,
            Contestant::RedirectTc => programs.attach_tc("redirect_tc", &lab.front, "eth0")?,
            // A network card has verified the checksum when conntrack sees a packet.
            Contestant::Nftables => lab.front.sysctl("net/netfilter/nf_conntrack_checksum", "0"),
            _ => {}
        }
        let forwarding = Service::Packets.forwarding(lab);
        let to = if contestant == Contestant::Routing { forwarding.backends[0] } else { forwarding.listen };
        let mut site =
            Self { contestant, lab, programs, generator: Generator::new(lab, to)?, flows: 0, runs: 0, _stand: stand };
        if contestant != Contestant::Drop {
            site.end_frames()?;
        }
        Ok(site)
    }

    pub fn flows(&self) -> u32 {
        self.flows
    }

    /// Where frames end when no flows are being opened.
    fn end_frames(&mut self) -> Result<()> {
        let backend = &self.lab.backends[0];
        if self.contestant.is_xdp() {
            self.programs.attach_xdp("answer_xdp", backend, "eth0")
        } else {
            self.programs.attach_tc("sink_tc", backend, "eth0")
        }
    }

    /// Sees to it that there are so many flows, by handshakes; there is no way back to fewer.
    pub fn open(&mut self, flows: u32) -> Result<()> {
        /// Half-open at once.
        const CHUNK: u32 = 16_384;
        if self.contestant.subject().is_none() || self.contestant == Contestant::Routing {
            self.flows = flows;
            return Ok(());
        }
        if !self.contestant.is_xdp() {
            self.programs.attach_xdp("answer_xdp", &self.lab.backends[0], "eth0")?;
        }
        while self.flows < flows {
            let count = CHUNK.min(flows - self.flows);
            for kind in [Kind::Syn, Kind::Ack] {
                self.generator.send(&mut self.programs, self.lab, kind, Flows::InTurn(self.flows), count)?;
            }
            self.flows += count;
        }
        if !self.contestant.is_xdp() {
            self.programs.detach_xdp("answer_xdp")?;
        }
        Ok(())
    }

    /// Sends data of flows drawn at random.
    pub fn run(&mut self, frames: u32) -> Result<Run> {
        let before = self.programs.seen()?;
        self.runs += 1;
        let flows = Flows::Random { flows: self.flows, seed: self.runs };
        let used = self.generator.send(&mut self.programs, self.lab, Kind::Data, flows, frames)?;
        Ok(Run { seen: self.programs.seen()? - before, used })
    }
}
