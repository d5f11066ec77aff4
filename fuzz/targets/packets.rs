//! Any sequence of packets, timer ticks and changes of routes and backends: no pair is ever half, no tuple belongs to
//! two flows, counts agree with the entries, and what is forwarded or answered has right checksums.

#![no_main]

use gateway_common::host::{Step, Traffic};
use libfuzzer_sys::fuzz_target;

/// Long enough to fill the small tables of that world.
const MAX_STEPS: usize = 400;

fuzz_target!(|bytes: &[u8]| {
    let mut traffic = Traffic::new(1);
    for (number, step) in Step::decode(bytes).iter().take(MAX_STEPS).enumerate() {
        if let Err(problem) = traffic.step(step) {
            panic!("step {number}, {step:?}: {problem}");
        }
    }
});
