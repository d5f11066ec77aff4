//! The control plane through its public doors, over packet tables in memory.

mod engine;
mod support;
