//! `gateway service show`.

use anyhow::Result;
use clap::ValueEnum;

use super::{Name, list::owner};
use crate::{
    cli::{
        backend,
        output::{Format, cell, table},
    },
    control::{Client, views::ServiceView},
    model::{Health, HealthKind, Listen},
};

/// Show a service with its policy and backends
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  gateway service show mqtt")]
pub struct Show {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    format: Format,
}

impl Show {
    pub async fn execute(self, client: &Client) -> Result<()> {
        let service = client.service(&self.name.name).await?;
        self.format.print(&service, text)
    }
}

fn text(service: &ServiceView) -> String {
    let policy = &service.policy;
    let listens: Vec<String> = service.listen.iter().map(Listen::to_string).collect();
    let limits = &service.limits;
    let limit = |limit: Option<u64>| limit.map_or("none".to_owned(), |limit| limit.to_string());
    let facts = [
        ("owner", owner(service.owner).to_owned()),
        ("url", service.url.clone()),
        ("listen", listens.join(", ")),
        ("algorithm", name(policy.algorithm)),
        ("idle timeout", humantime::format_duration(policy.idle_timeout).to_string()),
        ("drain timeout", humantime::format_duration(policy.drain_timeout).to_string()),
        ("on deadline", name(policy.on_deadline)),
        ("no backend", name(policy.no_backend)),
        ("unknown flow", name(policy.unknown_flow)),
        ("health", probes(&service.health)),
        ("max connections", limit(limits.connections)),
        ("max connections per source", limit(limits.connections_per_source)),
        ("max new per second", limit(limits.new_per_second)),
        ("max new per second, per source", limit(limits.new_per_second_per_source)),
        ("max share", limits.share.map_or("none".to_owned(), |share| share.to_string())),
        ("limit answer", name(limits.answer)),
    ];
    let facts = table(&["SERVICE", &service.name], facts.map(|(fact, value)| vec![cell(fact), cell(value)]));
    format!("{facts}\n\n{}", backend::table_of(&service.backends))
}

/// `http /healthz, expects 204; every 2s, timeout 1s, rise 1, fall 3`.
fn probes(health: &Health) -> String {
    if health.kind == HealthKind::None {
        return "not probed".to_owned();
    }
    let mut what = health.kind.name().to_owned();
    what.extend([&health.path, &health.service].into_iter().flatten().map(|option| format!(" {option}")));
    what.extend(health.host.iter().map(|host| format!(" of {host}")));
    what.extend(health.expect.iter().map(|expect| format!(", expects {expect}")));
    let [interval, timeout] = [health.interval, health.timeout].map(humantime::format_duration);
    format!("{what}; every {interval}, timeout {timeout}, rise {}, fall {}", health.rise, health.fall)
}

/// The name of a choice, as the options and the file have it.
fn name(choice: impl ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
