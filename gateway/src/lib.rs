//! The gateway's control plane and datapath loader.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod host;
pub mod lifecycle;
pub mod model;
pub mod store;
