//! What a stranger's bytes reach, and what has to hold whatever they are.
//!
//! Each module has one `attack`, which panics where a guarantee is broken. `targets` give it to libFuzzer, `tests` to
//! the ordinary test run.

pub mod configuration;
pub mod control;
pub mod packets;
