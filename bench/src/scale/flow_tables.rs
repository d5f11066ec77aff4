//! Flow tables of any size, filled without packets.
//!
//! All that knows how flows lie in the maps is here.

use std::{
    io,
    ops::Range,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use anyhow::{Context, Result};
use aya::maps::MapData;
use gateway::{
    datapath::{self, Capacity, Datapath, Pins},
    host::bpffs,
};
use gateway_common::abi::{Direction, Flow, Hop, Seen, TICK_SHIFT, Tuple, ticks_from_secs};
use gateway_tests::LabId;
use nix::time::{ClockId, clock_gettime};

/// The maps that grow with the number of flows.
pub const MAPS: [&str; 1] = ["FLOWS"];

/// Maps of their own that no packet reaches, pinned in a folder that goes with them.
pub struct FlowTables {
    pins: Pins,
    datapath: Datapath,
}

impl FlowTables {
    pub fn new(flows: u32) -> Result<Self> {
        bpffs::ensure_mounted("/sys/fs/bpf".as_ref())?;
        let pins = Pins::at(LabId::new().pin_directory());
        let capacity = Capacity { flows, half_open: 1 << 10, backends: 16 };
        let datapath = Datapath::load(pins.clone(), capacity).inspect_err(|_| remove(&pins))?;
        Ok(Self { pins, datapath })
    }

    pub fn map(&self, name: &str) -> Result<MapData> {
        self.datapath.map(name)
    }

    /// Adds the flows with these numbers, last seen so many seconds ago.
    pub fn fill(&self, numbers: Range<u32>, idle: impl Fn(u32) -> u64) -> Result<()> {
        fill(&self.map(MAPS[0])?, numbers, idle)
    }
}

impl Drop for FlowTables {
    fn drop(&mut self) {
        remove(&self.pins);
    }
}

fn remove(pins: &Pins) {
    if let Err(error) = datapath::detach(pins) {
        eprintln!("cannot remove the pins: {error:#}");
    }
}

/// Adds the flows with these numbers to a flow table, last seen so many seconds ago.
pub fn fill(map: &MapData, numbers: Range<u32>, idle: impl Fn(u32) -> u64) -> Result<()> {
    const FLOWS_AT_ONCE: usize = 2_048;
    let now = now()?;
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for number in numbers.clone() {
        for (tuple, flow) in pair(number, now.wrapping_sub(ticks_from_secs(idle(number)))) {
            keys.push(tuple);
            values.push(flow);
        }
        if keys.len() == 2 * FLOWS_AT_ONCE || number + 1 == numbers.end {
            insert(map, &keys, &values).context("fill a flow table")?;
            keys.clear();
            values.clear();
        }
    }
    Ok(())
}

/// Both directions of an established flow.
fn pair(number: u32, last_seen: u32) -> [(Tuple, Flow); 2] {
    let [_, a, b, c] = number.to_be_bytes();
    let socket = |ip: [u8; 4], port: u16| std::net::SocketAddr::from((ip, port));
    let (client, service) = (socket([198, a, b, c], 40_000), socket([203, 0, 113, 10], 80));
    let (backend, snat) = (socket([10, 0, 1, 2], 80), socket([10, a, b, c], 50_000));
    let (original, reply) = (Tuple::from_sockets(client, service), Tuple::from_sockets(backend, snat));
    let flow = |to, direction| Flow {
        to,
        hop: Hop::default(),
        bytes: 100,
        packets: 1,
        backend: 1,
        created: last_seen,
        last_seen,
        next_seq: 0,
        acked: 0,
        direction,
        seen: Seen::SYN,
        reserved: [0; 2],
    };
    [(original, flow(reply.reversed(), Direction::Original)), (reply, flow(original.reversed(), Direction::Reply))]
}

fn now() -> Result<u32> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).context("read the clock")?;
    Ok((Duration::from(now).as_nanos() >> TICK_SHIFT) as u32)
}

/// `union bpf_attr` for batches (linux/bpf.h, `BPF_MAP_*_BATCH`).
#[repr(C)]
struct BatchAttributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Inserts many entries by one system call.
fn insert(map: &MapData, keys: &[Tuple], values: &[Flow]) -> io::Result<()> {
    const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;
    let mut attributes = BatchAttributes {
        in_batch: 0,
        out_batch: 0,
        keys: keys.as_ptr() as u64,
        values: values.as_ptr() as u64,
        count: keys.len().min(values.len()) as u32,
        map_fd: map.fd().as_fd().as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: both arrays have `count` elements of the map's key and value size.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_UPDATE_BATCH, &raw mut attributes, size_of::<BatchAttributes>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
