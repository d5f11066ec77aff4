//! Any sequence of packets, timer ticks and changes of routes and backends: no pair is ever half, no tuple belongs to
//! two flows, counts agree with the entries, and what is forwarded or answered has right checksums.

use gateway_common::host::{Step, Traffic};

/// Long enough to fill the small tables of that world.
const MAX_STEPS: usize = 400;

/// Panics if a guarantee is broken.
pub fn attack(bytes: &[u8]) {
    let mut traffic = Traffic::new(1);
    for (number, step) in Step::decode(bytes).iter().take(MAX_STEPS).enumerate() {
        if let Err(problem) = traffic.step(step) {
            panic!("step {number}, {step:?}: {problem}");
        }
    }
}
