//! Waiting for a condition with a deadline; nothing in the tests sleeps and hopes.

use std::{
    fmt::Debug,
    thread,
    time::{Duration, Instant},
};

const INTERVAL: Duration = Duration::from_millis(10);

/// Repeats `attempt` until it gives a value, and panics with the last reason when `timeout` is over.
#[track_caller]
pub fn eventually<T, E: Debug>(timeout: Duration, mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(reason) if Instant::now() >= deadline => panic!("not within {timeout:?}: {reason:?}"),
            Err(_) => thread::sleep(INTERVAL),
        }
    }
}
