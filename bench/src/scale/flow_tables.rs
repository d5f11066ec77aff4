//! Flow tables of any size, filled without packets.

use std::ops::Range;

use anyhow::Result;
use aya::maps::MapData;
use gateway::{
    datapath::{self, Capacity, Datapath, Pins},
    host::bpffs,
    model::flow::FlowMap,
};
use gateway_common::abi::ticks_from_secs;
use gateway_tests::LabId;

use crate::harness::{World, flow_table};

/// Maps of their own that no packet reaches, pinned in a folder that goes with them.
pub struct FlowTables {
    pins: Pins,
    datapath: Datapath,
}

impl FlowTables {
    pub fn new(flows: u32) -> Result<Self> {
        bpffs::ensure_mounted("/sys/fs/bpf".as_ref())?;
        let pins = Pins::at(LabId::new().pin_directory());
        let capacity = Capacity { flows, half_open: 1 << 10, backends: 16, flow_map: FlowMap::Buckets };
        let datapath = Datapath::load(pins.clone(), capacity).inspect_err(|_| remove(&pins))?;
        Ok(Self { pins, datapath })
    }

    pub fn map(&self, name: &str) -> Result<MapData> {
        self.datapath.map(name)
    }

    /// Adds the flows with these numbers, last seen so many seconds ago.
    pub fn fill(&self, numbers: Range<u32>, idle: impl Fn(u32) -> u64) -> Result<()> {
        fill(&|name| self.map(name), numbers, idle)
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
pub fn fill(open: &dyn Fn(&str) -> Result<MapData>, numbers: Range<u32>, idle: impl Fn(u32) -> u64) -> Result<()> {
    let now = flow_table::now()?;
    flow_table::write(open, &World::SMALL, numbers, |number| now.wrapping_sub(ticks_from_secs(idle(number))))
}
