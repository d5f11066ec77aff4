//! `gateway service add`.

use anyhow::Result;
use clap::ArgGroup;

use super::Name;
use crate::{
    cli::{
        backend::{answer::WaitOptions, spec},
        health::HealthOptions,
        limits::LimitOptions,
        output::print,
        policy::PolicyOptions,
    },
    control::Client,
    model::{Health, Limits, Listen, NewBackend, change::NewService},
};

/// Add a service; it is kept across restarts
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("where").args(["listen", "auto_port"]).required(true).multiple(true),
    after_help = "Examples:\n  \
        gateway service add mqtt --listen :1883 --backend 10.0.1.2:1883 --backend 10.0.1.3:1883,weight=2\n  \
        gateway service add web --listen :80 --backend 10.0.1.4:8080 --health http --health-path /healthz\n  \
        gateway service add game --auto-port --algorithm source --idle-timeout 10m"
)]
pub struct Add {
    #[command(flatten)]
    name: Name,
    /// Address to listen on: `A:P`, `[V6]:P`, or `:P` for every public address (repeatable)
    #[arg(long, value_name = "A:P")]
    listen: Vec<Listen>,
    /// Listen on a free port of `[public] ports`
    #[arg(long)]
    auto_port: bool,
    /// A server that takes the connections (repeatable)
    #[arg(long = "backend", value_name = spec::FORM, value_parser = spec::parse)]
    backends: Vec<NewBackend>,
    #[command(flatten)]
    policy: PolicyOptions,
    #[command(flatten)]
    health: Option<HealthOptions>,
    #[command(flatten)]
    limits: Option<LimitOptions>,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Add {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Self { name: Name { name }, listen, auto_port, backends, policy, health, limits, wait } = self;
        let addresses: Vec<_> = backends.iter().map(|backend| backend.address).collect();
        let health = health.map(|options| options.on(Health::default()));
        let limits = limits.map(|options| options.on(Limits::default()));
        let policy = policy.into();
        let new = NewService { name, listen, auto_port, policy, health, limits, backends };
        let added = client.add_service(&new).await?;
        print(&format!("service {} added: {}", added.name, added.url))?;
        for (address, answer) in wait.answers(client, &added.name, &addresses).await? {
            print(&format!("backend {address} {answer}"))?;
        }
        Ok(())
    }
}
