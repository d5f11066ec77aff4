//! Where services and backends come from besides the configuration file and the control API.

pub mod docker;
