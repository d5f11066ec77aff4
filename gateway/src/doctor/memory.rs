//! Memory for the tables, which the kernel charges to the control group of the daemon.

use super::{Check, Finding, Scope};
use crate::{
    datapath::{self, Capacity},
    host::memory,
    model::flow::FlowMap,
};

const TABLES: Check = Check {
    name: "memory",
    why: "the gateway starts only if its tables fit; limits of locked memory (RLIMIT_MEMLOCK) do not apply since Linux 5.11",
};

const MIB: u64 = 1 << 20;

pub(super) fn tables(scope: &Scope) -> Finding {
    if scope.pins.exist() {
        return TABLES.ok("the tables are there");
    }
    let config = &scope.config;
    let capacity = Capacity {
        flows: config.flows.capacity,
        half_open: config.flows.half_open,
        backends: config.backends.capacity,
        flow_map: config.flows.table,
    };
    match (datapath::table_memory(capacity), memory::available()) {
        (Ok(needed), Ok(available)) => judge(capacity, needed, available),
        (Err(error), _) | (_, Err(error)) => TABLES.unseen(format!("{error:#}")),
    }
}

fn judge(capacity: Capacity, needed: u64, available: u64) -> Finding {
    let takes = match capacity.flow_map {
        FlowMap::Buckets => "the tables take",
        FlowMap::Hash => "the tables take, when they are full,",
    };
    let detail = format!("{takes} {} MiB of {} MiB that are available", needed.div_ceil(MIB), available / MIB);
    if needed <= available {
        return TABLES.ok(detail);
    }
    // In proportion, and with some room.
    let flows = u128::from(capacity.flows) * u128::from(available) * 3 / u128::from(needed) / 4;
    TABLES.warning(detail, format!("[flows] capacity = {flows}, or more memory"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    fn capacity(flows: u32) -> Capacity {
        Capacity { flows, half_open: 65536, backends: 65536, flow_map: FlowMap::Buckets }
    }

    #[test]
    fn tables_take_what_is_promised() {
        let bytes = datapath::table_memory(capacity(1 << 20)).unwrap();
        assert!((400 << 20..560 << 20).contains(&bytes), "{bytes}");
    }

    #[test]
    fn capacity_of_the_fix_fits() {
        let available = 300 << 20;
        let finding = judge(capacity(1 << 20), datapath::table_memory(capacity(1 << 20)).unwrap(), available);
        assert_eq!(finding.result, Outcome::Warning);
        let fix = finding.fix.unwrap();
        let flows = fix.split(['=', ',']).nth(1).unwrap().trim().parse().unwrap();
        assert!(datapath::table_memory(capacity(flows)).unwrap() <= available, "{fix}");
    }
}
