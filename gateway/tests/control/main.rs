//! The control plane through its public doors, over packet tables in memory.

mod api;
mod engine;
mod hostile;
mod socket;
mod support;
