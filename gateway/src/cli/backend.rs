//! `gateway backend`: the backends of services.

use std::net::SocketAddr;

use anyhow::Result;
use clap::{Subcommand, builder::NonEmptyStringValueParser};

use super::output::{backend_state, bytes, cell, health, table};
use crate::control::{Client, views::BackendView};

mod add;
pub mod answer;
mod drain;
mod list;
mod remove;
mod set;
pub mod spec;

/// Add, list, change, drain and remove backends
#[derive(Debug, Subcommand)]
pub enum Backend {
    Add(add::Add),
    List(list::List),
    Set(set::Set),
    Drain(drain::Drain),
    Remove(remove::Remove),
}

impl Backend {
    pub async fn execute(self, client: &Client) -> Result<()> {
        match self {
            Self::Add(verb) => verb.execute(client).await,
            Self::List(verb) => verb.execute(client).await,
            Self::Set(verb) => verb.execute(client).await,
            Self::Drain(verb) => verb.execute(client).await,
            Self::Remove(verb) => verb.execute(client).await,
        }
    }
}

/// A backend as arguments.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The service
    #[arg(value_name = "SERVICE", value_parser = NonEmptyStringValueParser::new())]
    pub service: String,
    /// The backend's address and port
    #[arg(value_name = "A:P")]
    pub address: SocketAddr,
}

/// Backends with their state and counters.
pub fn table_of(backends: &[BackendView]) -> String {
    #[rustfmt::skip]
    let header = [
        "SERVICE", "BACKEND", "STATE", "HEALTH", "WEIGHT", "OPEN FLOWS", "CONNECTIONS", "TO BACKEND", "TO CLIENTS",
    ];
    let row = |backend: &BackendView| {
        let counters = backend.counters.unwrap_or_default();
        vec![
            cell(&backend.service),
            cell(backend.address),
            backend_state(backend.state),
            health(backend.health.as_ref()),
            cell(backend.weight),
            cell(counters.open_flows),
            cell(counters.connections),
            cell(bytes(counters.original.bytes)),
            cell(bytes(counters.reply.bytes)),
        ]
    };
    table(&header, backends.iter().map(row))
}
