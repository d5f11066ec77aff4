//! The machine that the daemon runs on, as far as it needs one.

use std::{pin::Pin, sync::Arc};

use anyhow::Result;

use crate::{
    config::Config,
    lifecycle::{Engine, PacketTables, Site},
    providers::docker::Bridges,
};

/// What goes on in the background while the gateway runs.
pub type Upkeep = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Where services can listen here, and the datapath.
pub trait Host: Send + 'static {
    type Tables: PacketTables;

    /// Where services can listen, by this configuration on this host. Touches nothing.
    fn site(&self, config: &Config) -> impl Future<Output = Result<Site>> + Send;

    /// Loads and attaches the datapath, or adopts the one that is pinned.
    fn attach(&mut self, config: &Config, site: &Site) -> impl Future<Output = Result<Self::Tables>> + Send;

    /// Keeps the tables in step with the host for as long as the future is polled; it never ends by itself.
    fn attend(&mut self, engine: Arc<Engine<Self::Tables>>) -> Upkeep;

    /// The interfaces of local containers, which come and go while the gateway runs.
    fn bridges(&self, engine: Arc<Engine<Self::Tables>>) -> impl Bridges;

    /// Takes the datapath off and removes what is pinned.
    fn detach(&mut self) -> impl Future<Output = Result<()>> + Send;
}
