//! The options that set a service's policy.

use std::time::Duration;

use crate::model::{Algorithm, Answer, change::PolicyChange};

/// What is not given stays as it is, or as `[defaults]` has it for a new service.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = true)]
pub struct PolicyOptions {
    /// How a new connection gets its backend
    #[arg(long, value_name = "NAME")]
    algorithm: Option<Algorithm>,
    /// Close a connection that is silent for so long (2h4m)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    idle_timeout: Option<Duration>,
    /// Time that open connections get when their backend is drained (30s)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    drain_timeout: Option<Duration>,
    /// What happens to connections still open when a drain ends
    #[arg(long, value_name = "ANSWER")]
    on_deadline: Option<Answer>,
    /// Answer to a new connection when there is no backend for it
    #[arg(long, value_name = "ANSWER")]
    no_backend: Option<Answer>,
    /// Answer to a segment that belongs to no connection
    #[arg(long, value_name = "ANSWER")]
    unknown_flow: Option<Answer>,
}

impl From<PolicyOptions> for PolicyChange {
    fn from(options: PolicyOptions) -> Self {
        let PolicyOptions { algorithm, idle_timeout, drain_timeout, on_deadline, no_backend, unknown_flow } = options;
        Self { algorithm, idle_timeout, drain_timeout, on_deadline, no_backend, unknown_flow }
    }
}
