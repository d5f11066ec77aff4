//! `gateway backend add`.

use anyhow::Result;
use clap::ArgGroup;

use super::{Target, answer::WaitOptions, spec};
use crate::{
    cli::output::print,
    control::Client,
    model::{NewBackend, Process},
};

/// Add a backend to a service; it gets new connections once it answers
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("process").args(["container", "pid", "unit", "command"]),
    after_help = "Examples:\n  \
        gateway backend add mqtt 10.0.1.4:1883 --weight 2\n  \
        gateway backend add mqtt 10.0.1.4:1883 --container mqtt-4"
)]
pub struct Add {
    #[command(flatten)]
    target: Target,
    /// Share of new connections, relative to the other backends
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    weight: u16,
    /// Container of Docker that gets its stop signal when the backend is drained, by name or id
    #[arg(long, value_name = "C")]
    container: Option<String>,
    /// Process of this host that gets SIGTERM when the backend is drained
    #[arg(long, value_name = "P")]
    pid: Option<u32>,
    /// Unit of systemd that is stopped when the backend is drained
    #[arg(long, value_name = "U")]
    unit: Option<String>,
    /// Command that is run when the backend is drained, with GATEWAY_SERVICE and GATEWAY_BACKEND in its environment
    #[arg(long, value_name = "CMD", value_parser = |line: &str| spec::command(line).map(Argv))]
    command: Option<Argv>,
    #[command(flatten)]
    wait: WaitOptions,
}

/// A command and its arguments.
#[derive(Clone, Debug)]
struct Argv(Vec<String>);

impl Add {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let Self { target: Target { service, address }, weight, container, pid, unit, command, wait } = self;
        let process = container
            .map(Process::Container)
            .or(pid.map(|id| Process::Pid { id, start: None }))
            .or(unit.map(Process::Unit))
            .or(command.map(|Argv(argv)| Process::Command(argv)));
        let backend = NewBackend { weight, process, ..NewBackend::new(address) };
        client.add_backend(&service, &backend).await?;
        let answers = wait.answers(client, &service, &[address]).await?;
        let answer = answers.first().map(|(_, answer)| format!("; it {answer}")).unwrap_or_default();
        print(&format!("backend {address} added to {service}{answer}"))
    }
}
