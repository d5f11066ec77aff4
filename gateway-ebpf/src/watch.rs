//! Packets and flows, shown to whoever watches. Nobody does, usually: then a packet costs one look at the settings, which it has
//! at hand.
//!
//! A frame is copied before anything is decided, because afterwards it is another one, and shown when it is known whose it was.

use core::{mem::size_of, slice};

use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_get_smp_processor_id, bpf_ktime_get_ns};
use gateway_common::{
    abi::{Address, Change, Direction, Flow, SNAP, Settings, Sighting, SightingKind, Tuple, Volume, Watch, Watched},
    nat::{Action, FlowTable, Network, Reason, Tables, Verdict},
};

use crate::{
    maps::{Hook, SHOWN, SIGHTINGS, WATCH},
    tables::KernelTables,
};

/// A sighting, and the bytes of its frame.
#[repr(C)]
pub struct Shown {
    sighting: Sighting,
    bytes: [u8; SNAP + 1],
}

/// A ring that holds more than this many bytes is short of room: of flows only some are shown then.
const CROWDED: u64 = 1 << 21;
/// One in so many.
const SAMPLE: u32 = 16;

/// `BPF_RB_AVAIL_DATA`: how much the reader has still to read.
const UNREAD: u64 = 0;

/// A frame of either hook, to be copied.
pub trait Copied {
    const HOOK: Hook;

    /// The device that it came in by.
    fn ingress(&self) -> u32;

    /// Bytes, in all buffers.
    fn frame_len(&self) -> u32;

    /// Copies the first `len` bytes, which are there.
    ///
    /// # Safety
    ///
    /// `to` has room for them.
    unsafe fn copy(&self, to: *mut u8, len: u32) -> bool;
}

/// Whether anybody watches.
///
/// Volatile: where the compiler keeps the answer from before a packet is handled until after, the verifier goes all ways of a
/// packet twice.
#[inline(always)]
pub fn is_on(settings: &Settings) -> bool {
    // SAFETY: a live field of map memory.
    unsafe { (&raw const settings.watched).read_volatile() != Watched::NOTHING }
}

/// Keeps the frame as it came.
#[inline(never)]
pub fn came<F: Copied>(frame: &F, ip: &mut Network) {
    // Of a packet whose headers are not read, nothing is known.
    ip.tuple = Tuple::EMPTY;
    if let (Some(shown), Some(watch)) = (shown(), watch()) {
        copy(frame, shown, watch.snap);
    }
}

/// Shows what has become of the packet, and of its flow.
#[inline(always)]
pub fn decided<F: Copied>(frame: &F, verdict: Verdict) {
    let ingress = frame.ingress();
    if show_decision(F::HOOK as u32, ingress, verdict.reason as u32) == 0 {
        return;
    }
    if let (Some(shown), Some(watch)) = (shown(), watch()) {
        copy(frame, shown, watch.snap);
        shown.sighting.kind = SightingKind::Leaves;
        shown.sighting.ifindex = if verdict.reason.action() == Action::Answer { ingress } else { verdict.ifindex };
        show(watch, shown);
    }
}

/// Shows the frame as it came, and the change of its flow. 1: the frame as it leaves is wanted too. A global function, which the
/// verifier looks at once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn show_decision(hook: u32, ingress: u32, reason: u32) -> u32 {
    let Some((tables, ip)) = KernelTables::new() else { return 0 };
    let (Some(shown), Some(watch), Some(scratch)) = (shown(), watch(), tables.scratch()) else { return 0 };
    let Some(action) = Reason::ALL.get(reason as usize).map(|reason| reason.action()) else { return 0 };
    let sighting = &mut shown.sighting;
    // SAFETY: no preconditions.
    (sighting.time_ns, sighting.cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id() as u32) };
    (sighting.hook, sighting.reason, sighting.ifindex) = (hook as u8, reason as u8, ingress);
    describe(&tables, sighting, &ip.tuple);
    let change = scratch.change;
    scratch.change = Change::Nothing;
    let watched = tables.settings().watched;
    let wanted = watched.contains(Watched::PACKETS) && is_wanted(watch, sighting, action);
    if wanted {
        shown.sighting.kind = SightingKind::Came;
        show(watch, shown);
    }
    if watched.contains(Watched::FLOWS) && change != Change::Nothing {
        let opened = change == Change::Opened;
        shown.sighting.kind = if opened { SightingKind::FlowOpened } else { SightingKind::FlowClosed };
        shown.sighting.shown = 0;
        // SAFETY: no preconditions.
        if SIGHTINGS.query(UNREAD) > CROWDED && unsafe { bpf_get_prandom_u32() } % SAMPLE != 0 {
            lose(watch);
        } else {
            show(watch, shown);
        }
    }
    u32::from(wanted && matches!(action, Action::Forward | Action::Answer))
}

/// Whether it is a packet of the client that is watched.
#[inline(always)]
fn is_wanted(watch: &Watch, sighting: &Sighting, action: Action) -> bool {
    let original = &sighting.original;
    if watch.client.equals(&Address::UNSPECIFIED) {
        return !matches!(action, Action::Pass);
    }
    let port = u16::from_ne_bytes(watch.client_port);
    watch.client.equals(&original.src) && (port == 0 || port == u16::from_ne_bytes(original.src_port))
}

/// What is known of the flow that packets with `tuple` belong to.
#[inline(always)]
fn describe(tables: &KernelTables, sighting: &mut Sighting, tuple: &Tuple) {
    (sighting.backend, sighting.established) = (0, 0);
    (sighting.original, sighting.reply) = (*tuple, Tuple::EMPTY);
    (sighting.seen, sighting.traffic) = ([0; 2], [Volume::EMPTY; 2]);
    sighting.direction = Direction::Original as u8;
    if let Some(flow) = tables.flows().get(tuple) {
        sighting.established = 1;
        fill(sighting, flow);
        if let Some(twin) = tables.flows().get(&flow.to.reversed()) {
            fill_twin(sighting, twin);
        }
    } else if let Some(flow) = tables.half_open().get(tuple) {
        fill(sighting, flow);
        if let Some(twin) = tables.half_open().get(&flow.to.reversed()) {
            fill_twin(sighting, twin);
        }
    }
}

#[inline(always)]
fn fill(sighting: &mut Sighting, flow: &Flow) {
    sighting.backend = flow.backend;
    sighting.direction = flow.direction_index() as u8;
    (sighting.original, sighting.reply) = match flow.direction {
        Direction::Original => (flow.from, flow.to.reversed()),
        Direction::Reply => (flow.to.reversed(), flow.from),
    };
    fill_twin(sighting, flow);
}

#[inline(always)]
fn fill_twin(sighting: &mut Sighting, flow: &Flow) {
    let index = flow.direction_index();
    (sighting.seen[index], sighting.traffic[index]) = (flow.seen.0, flow.traffic);
}

#[inline(always)]
fn copy<F: Copied>(frame: &F, shown: &mut Shown, snap: u32) {
    let frame_len = frame.frame_len();
    let wanted = if frame_len < snap { frame_len } else { snap };
    // Itself, if it is not 0: on Linux 6.1 the verifier does not learn from a comparison that it is at least 1.
    let len = (wanted.wrapping_sub(1) & SNAP as u32) + 1;
    // SAFETY: the mask keeps it within the room.
    let copied = wanted != 0 && unsafe { frame.copy(shown.bytes.as_mut_ptr(), len) };
    (shown.sighting.frame_len, shown.sighting.shown) = (frame_len, if copied { len } else { 0 });
}

#[inline(always)]
fn show(watch: &mut Watch, shown: &Shown) {
    let len = size_of::<Sighting>() + (shown.sighting.shown as usize & SNAP);
    // SAFETY: the mask keeps it within the room; padding is spelled out, so that every byte is written.
    let bytes = unsafe { slice::from_raw_parts((&raw const *shown).cast::<u8>(), len) };
    if SIGHTINGS.output::<[u8]>(bytes, 0).is_err() {
        lose(watch);
    }
}

#[inline(always)]
fn lose(watch: &mut Watch) {
    // CPUs that lose at the same time may count one for two.
    watch.lost = watch.lost.wrapping_add(1);
}

#[inline(always)]
fn shown() -> Option<&'static mut Shown> {
    let shown = SHOWN.get_ptr_mut(0)?;
    // SAFETY: a per-CPU value, and a program does not interrupt another on its CPU.
    Some(unsafe { &mut *shown })
}

#[inline(always)]
fn watch() -> Option<&'static mut Watch> {
    let watch = WATCH.get_ptr_mut(0)?;
    // SAFETY: map memory, of which only the count is written.
    Some(unsafe { &mut *watch })
}
