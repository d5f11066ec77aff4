//! The kernel's hash maps as flow tables.

use aya_ebpf::bindings::BPF_NOEXIST;
use gateway_common::{
    abi::{Flow, Tuple},
    nat::{FlowTable, InsertError},
};

use crate::maps::{FLOWS, HALF_OPEN};

const EEXIST: i32 = 17;

/// Established flows.
pub struct Flows;
/// Half-open flows.
pub struct HalfOpen;

macro_rules! flow_table {
    ($table:ident, $map:ident) => {
        impl FlowTable for $table {
            #[inline(always)]
            fn get(&self, tuple: &Tuple) -> Option<&mut Flow> {
                let flow = $map.get_ptr_mut(tuple)?;
                // SAFETY: map memory that RCU keeps alive while the program runs. An entry is written by
                // packets of its own direction, in the usual case on one CPU; where they race, a count is lost.
                Some(unsafe { &mut *flow })
            }

            #[inline(always)]
            fn insert(&self, flow: &Flow) -> Result<(), InsertError> {
                $map.insert(&flow.from, flow, u64::from(BPF_NOEXIST))
                    .map_err(|error| if error == -EEXIST { InsertError::Exists } else { InsertError::Full })
            }

            #[inline(always)]
            fn remove(&self, tuple: &Tuple) {
                // Already gone is what was wanted.
                let _ = $map.remove(tuple);
            }
        }
    };
}

flow_table!(Flows, FLOWS);
flow_table!(HalfOpen, HALF_OPEN);
