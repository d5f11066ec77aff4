//! The options that say how a service's backends are probed.

use std::time::Duration;

use crate::model::{Health, HealthKind, Statuses};

/// What is not given stays as it is, or is the default for a new service.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = true)]
pub struct HealthOptions {
    /// How backends are probed (tcp)
    #[arg(long, value_name = "KIND")]
    health: Option<HealthKind>,
    /// Time between two probes of a backend (2s)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    health_interval: Option<Duration>,
    /// Time that a backend has to answer (1s)
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    health_timeout: Option<Duration>,
    /// Successes in a row that bring a backend in (1)
    #[arg(long, value_name = "N")]
    health_rise: Option<u32>,
    /// Failures in a row that take a backend out (3)
    #[arg(long, value_name = "N")]
    health_fall: Option<u32>,
    /// What HTTP probes ask for (/)
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,
    /// Host header of HTTP probes (the backend's address)
    #[arg(long, value_name = "HOST")]
    health_host: Option<String>,
    /// Statuses that HTTP probes take for good, as in 200-299,404 (200-399)
    #[arg(long, value_name = "STATUSES")]
    health_expect: Option<Statuses>,
    /// Service that gRPC probes ask about (the server as a whole)
    #[arg(long, value_name = "NAME")]
    health_service: Option<String>,
}

impl HealthOptions {
    /// The options' names within clap.
    pub const IDS: [&str; 9] = [
        "health",
        "health_interval",
        "health_timeout",
        "health_rise",
        "health_fall",
        "health_path",
        "health_host",
        "health_expect",
        "health_service",
    ];

    /// `health` with these options. Another kind takes over nothing that only the kind before has, and a shorter
    /// interval shortens the timeout.
    pub fn on(self, health: Health) -> Health {
        let kind = self.health.unwrap_or(health.kind);
        let before = if kind == health.kind { health.clone() } else { Health::default() };
        let interval = self.health_interval.unwrap_or(health.interval);
        Health {
            kind,
            interval,
            timeout: self.health_timeout.unwrap_or(health.timeout.min(interval)),
            rise: self.health_rise.unwrap_or(health.rise),
            fall: self.health_fall.unwrap_or(health.fall),
            path: self.health_path.or(before.path),
            host: self.health_host.or(before.host),
            expect: self.health_expect.or(before.expect),
            service: self.health_service.or(before.service),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        health: Option<HealthOptions>,
    }

    fn set(health: Health, line: &str) -> Health {
        let line = Line::try_parse_from(std::iter::once("set").chain(line.split_whitespace())).expect("a command line");
        line.health.map_or(health.clone(), |options| options.on(health))
    }

    #[test]
    fn what_is_not_given_stays() {
        let before = set(Health::default(), "--health http --health-path /ready --health-fall 5");
        assert_eq!(set(before.clone(), ""), before);
        let after = set(before.clone(), "--health-expect 204 --health-interval 500ms");
        let half = Duration::from_millis(500);
        assert_eq!(after, Health { expect: "204".parse().ok(), interval: half, timeout: half, ..before });
    }

    #[test]
    fn another_kind_begins_without_the_options_of_the_one_before() {
        let http = set(Health::default(), "--health http --health-path /ready --health-host a --health-expect 204");
        assert_eq!(set(http, "--health tcp"), Health::default());
    }
}
