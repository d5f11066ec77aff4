//! The gateway's control plane and datapath loader.

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dashboard;
pub mod datapath;
pub mod doctor;
pub mod host;
pub mod http_server;
pub mod lifecycle;
mod logging;
pub mod metrics;
pub mod model;
pub mod providers;
pub mod store;
pub mod tables;
