//! What userspace tells the programs.

use aya_ebpf::{
    macros::map,
    maps::{Array, DevMap, ProgramArray},
};

use crate::plan::Plan;

#[map]
pub static PLAN: Array<Plan> = Array::with_max_entries(1, 0);

/// The XDP program under test.
#[map]
pub static XDP_UNDER_TEST: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The TC program under test.
#[map]
pub static TC_UNDER_TEST: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Where XDP's redirects go.
#[map]
pub static DEVICES: DevMap = DevMap::with_max_entries(1, 0);

/// Where TC's redirects go: an interface's index.
#[map]
pub static TC_DEVICE: Array<u32> = Array::with_max_entries(1, 0);
