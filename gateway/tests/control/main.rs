//! The control plane through its public doors, over packet tables in memory.

mod api;
mod cli;
mod daemon;
mod dashboard;
mod deployments;
mod engine;
mod events;
mod health;
mod hostile;
mod metrics;
mod ports;
mod sightings;
mod socket;
mod support;
mod usage;
