//! The ring of what the packet programs show, read from this side.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use aya::maps::{Array, Map, MapData, RingBuf};
use gateway_common::{
    abi::{self, Direction, Seen, SightingKind, Watch, Watched},
    nat::Reason,
};
use nix::{
    net::if_::if_indextoname,
    time::{ClockId, clock_gettime},
};

use super::{backends::Backends, flows};
use crate::{
    datapath::Attached,
    model::{
        flow::Traffic,
        sighting::{FlowSeen, PacketSeen, Sighting, Wanted},
        status::Hook,
    },
};

/// Sightings taken at a time.
const BATCH: usize = 4096;

/// The ring, and what is put into it.
pub struct Sightings {
    ring: RingBuf<MapData>,
    watch: Array<MapData, Watch>,
    /// Of those that were lost, how many are known.
    lost: i64,
}

impl Sightings {
    pub fn new(open: impl Fn(&str) -> Result<MapData>) -> Result<Self> {
        let ring = RingBuf::try_from(Map::RingBuf(open("SIGHTINGS")?)).context("open the ring of sightings")?;
        let watch = Array::try_from(Map::Array(open("WATCH")?)).context("open what is watched")?;
        Ok(Self { ring, watch, lost: 0 })
    }

    /// Says whose packets are to be shown, and forgets what was shown to others. What the settings are to be is returned.
    pub fn begin(&mut self, wanted: &Wanted) -> Result<Watched> {
        let mut watch = self.watch.get(&0, 0).context("read what is watched")?;
        let packets = wanted.packets.unwrap_or_default();
        watch.client = packets.client.map_or(abi::Address::UNSPECIFIED, Into::into);
        watch.client_port = packets.port.unwrap_or(0).to_be_bytes();
        watch.snap = packets.snap;
        self.watch.set(0, watch, 0).context("write what is watched")?;
        let mut watched = Watched::NOTHING;
        if wanted.packets.is_some() {
            watched = watched.with(Watched::PACKETS);
        }
        if wanted.flows {
            watched = watched.with(Watched::FLOWS);
        }
        Ok(watched)
    }

    /// Empties the ring of what nobody wants any more.
    pub fn forget(&mut self) -> Result<()> {
        while self.ring.next().is_some() {}
        self.lost = self.watch.get(&0, 0).context("read what is watched")?.lost;
        Ok(())
    }

    /// What has been shown since the last call, or the first of it.
    pub fn take(&mut self, backends: &Backends, interfaces: &[Attached]) -> Result<Vec<Sighting>> {
        let epoch = epoch()?;
        let mut taken = Vec::new();
        while taken.len() < BATCH
            && let Some(entry) = self.ring.next()
        {
            let Some((seen, frame)) = abi::Sighting::read(&entry) else { continue };
            taken.extend(sighting(&seen, frame, epoch, backends, interfaces));
        }
        let lost = self.watch.get(&0, 0).context("read what is watched")?.lost;
        if let Ok(sightings @ 1..) = u64::try_from(lost.wrapping_sub(self.lost)) {
            taken.push(Sighting::Lost { sightings });
        }
        self.lost = lost;
        Ok(taken)
    }
}

/// The time of day when the programs' clock began.
fn epoch() -> Result<SystemTime> {
    let uptime = clock_gettime(ClockId::CLOCK_MONOTONIC).context("read the clock")?;
    Ok(SystemTime::now() - Duration::from(uptime))
}

fn sighting(
    seen: &abi::Sighting,
    frame: &[u8],
    epoch: SystemTime,
    backends: &Backends,
    interfaces: &[Attached],
) -> Option<Sighting> {
    let at = epoch + Duration::from_nanos(seen.time_ns);
    let flow = flow(seen, at, backends);
    let packet = |flow| {
        let reason = Reason::ALL.get(usize::from(seen.reason))?;
        let since_1970 = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Some(PacketSeen {
            flow,
            time_ns: since_1970.as_nanos() as u64,
            hook: if seen.hook == 0 { Hook::Xdp } else { Hook::Tc },
            cpu: seen.cpu,
            interface: name_of(seen.ifindex, interfaces),
            is_reply: seen.direction == Direction::Reply as u8,
            reason: reason.name().to_owned(),
            action: super::action(reason.action()),
            length: seen.frame_len,
            frame: frame.to_vec(),
        })
    };
    Some(match seen.kind {
        SightingKind::Came => Sighting::PacketIn(packet(flow)?),
        SightingKind::Leaves => Sighting::PacketOut(packet(flow)?),
        SightingKind::FlowOpened => Sighting::FlowOpened(flow),
        SightingKind::FlowClosed => Sighting::FlowClosed(flow),
    })
}

fn flow(seen: &abi::Sighting, at: SystemTime, backends: &Backends) -> FlowSeen {
    let is_known = seen.backend != 0;
    let [original, reply] = seen.seen.map(Seen);
    let traffic = |index: usize| {
        let volume = seen.traffic[index];
        Traffic { packets: volume.packets(), bytes: volume.bytes() }
    };
    FlowSeen {
        at,
        client: seen.original.source(),
        public: seen.original.destination(),
        service: backends.name(seen.backend).map(|name| name.service.clone()),
        backend: is_known.then(|| seen.reply.source()),
        snat: is_known.then(|| seen.reply.destination()),
        state: is_known.then(|| flows::flow_state(original, reply, seen.established != 0)),
        original: traffic(0),
        reply: traffic(1),
    }
}

fn name_of(ifindex: u32, interfaces: &[Attached]) -> String {
    let attached = interfaces.iter().find(|attached| attached.ifindex == ifindex);
    let known = attached.map(|attached| attached.name.clone());
    let asked = || if_indextoname(ifindex).map(|name| name.to_string_lossy().into_owned());
    known.or_else(|| asked().ok()).unwrap_or_else(|| format!("if{ifindex}"))
}
