//! The machine that the daemon runs on, as far as it needs one.

use anyhow::Result;

use crate::{
    config::Config,
    lifecycle::{PacketTables, Site},
};

/// Where services can listen here, and the datapath.
pub trait Host: Send + 'static {
    type Tables: PacketTables;

    /// Where services can listen, by this configuration on this host. Touches nothing.
    fn site(&self, config: &Config) -> Result<Site>;

    /// Loads and attaches the datapath, or adopts the one that is pinned.
    fn attach(&mut self, config: &Config) -> Result<Self::Tables>;

    /// Takes the datapath off and removes what is pinned.
    fn detach(&mut self) -> Result<()>;
}
