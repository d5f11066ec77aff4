//! `gateway backend add`.

use anyhow::Result;

use super::{Target, answer::WaitOptions};
use crate::{cli::output::print, control::Client, model::NewBackend};

/// Add a backend to a service; it gets new connections once it answers
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway backend add mqtt 10.0.1.4:1883 --weight 2")]
pub struct Add {
    #[command(flatten)]
    target: Target,
    /// Share of new connections, relative to the other backends
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    weight: u16,
    #[command(flatten)]
    wait: WaitOptions,
}

impl Add {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Target { service, address } = self.target;
        let backend = NewBackend { weight: self.weight, ..NewBackend::new(address) };
        client.add_backend(&service, &backend).await?;
        let answers = self.wait.answers(client, &service, &[address]).await?;
        let answer = answers.first().map(|(_, answer)| format!("; it {answer}")).unwrap_or_default();
        print(&format!("backend {address} added to {service}{answer}"))
    }
}
