//! Rules about health checks.

use std::{ops::RangeInclusive, time::Duration};

use http::uri::{Authority, PathAndQuery};
use humantime::format_duration;

use super::{Field, Problem};
use crate::model::{Health, HealthKind};

const LONGEST: Duration = Duration::from_secs(3600);
/// More often would be an attack on the backend.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=LONGEST;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST;

/// Results in a row that a health check can wait for.
pub const STREAK: RangeInclusive<u32> = 1..=100;

/// Longest name of a gRPC service.
const MAX_SERVICE: usize = 255;

/// What is wrong with how backends are probed.
pub(super) fn check(health: &Health, problems: &mut Vec<Problem>) {
    let mut problem = |field, message: String, remedy: String| {
        problems.push(Problem::new(Field::Health(field), format!("health {field}: {message}"), remedy));
    };
    for (field, value, bounds) in [("interval", health.interval, INTERVAL), ("timeout", health.timeout, TIMEOUT)] {
        if !bounds.contains(&value) {
            let [value, least, most] = [value, *bounds.start(), *bounds.end()].map(format_duration);
            problem(field, format!("{value} is out of range"), format!("use {least} to {most}"));
        }
    }
    if health.timeout > health.interval {
        let [timeout, interval] = [health.timeout, health.interval].map(format_duration);
        let remedy = "use a shorter timeout or a longer interval".to_owned();
        problem("timeout", format!("{timeout} is longer than the interval of {interval}"), remedy);
    }
    for (field, value) in [("rise", health.rise), ("fall", health.fall)] {
        if !STREAK.contains(&value) {
            let remedy = format!("use a whole number from {} to {}", STREAK.start(), STREAK.end());
            problem(field, format!("{value} is out of range"), remedy);
        }
    }
    let options = [
        ("path", health.path.is_some(), HealthKind::Http),
        ("host", health.host.is_some(), HealthKind::Http),
        ("expect", health.expect.is_some(), HealthKind::Http),
        ("service", health.service.is_some(), HealthKind::Grpc),
    ];
    for (field, is_there, kind) in options {
        if is_there && health.kind != kind {
            let [kind, present] = [kind, health.kind].map(HealthKind::name);
            let message = format!("a probe of kind {present} has none");
            problem(field, message, format!("set kind to {kind}, or leave {field} out"));
        }
    }
    if let Some(path) = health.path.as_ref().filter(|path| !is_path(path)) {
        problem("path", format!("`{path}` is not the path of a URL"), "write it as in \"/healthz?full=1\"".to_owned());
    }
    if let Some(host) = health.host.as_ref().filter(|host| host.parse::<Authority>().is_err()) {
        let remedy = "write a name, with a port where it needs one, as in \"www.example.com\"".to_owned();
        problem("host", format!("`{host}` is not the host of a URL"), remedy);
    }
    if health.service.as_ref().is_some_and(|service| service.is_empty() || service.len() > MAX_SERVICE) {
        let remedy = "leave it out to ask about the server as a whole".to_owned();
        problem("service", format!("a name has 1 to {MAX_SERVICE} bytes"), remedy);
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains('#') && text.parse::<PathAndQuery>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields that are wrong with `health`.
    fn wrong(health: Health) -> Vec<&'static str> {
        let mut problems = Vec::new();
        check(&health, &mut problems);
        let field = |problem: Problem| match problem.field {
            Field::Health(field) => field,
            other => panic!("{other} is not part of a health check"),
        };
        problems.into_iter().map(field).collect()
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn sound_checks_have_no_problems() {
        let http = Health { kind: HealthKind::Http, path: text("/healthz?a=b"), ..Health::default() };
        let http = Health { host: text("www.example.com:8080"), expect: "204".parse().ok(), ..http };
        let grpc = Health { kind: HealthKind::Grpc, service: text("shop.v1.Cart"), ..Health::default() };
        for health in [Health::default(), http, grpc] {
            assert_eq!(wrong(health), [""; 0]);
        }
    }

    #[test]
    fn options_belong_to_their_kind() {
        let options = Health { path: text("/"), host: text("a"), expect: "204".parse().ok(), ..Health::default() };
        let all = Health { service: text("a.B"), ..options };
        for (kind, fields) in [
            (HealthKind::Tcp, vec!["path", "host", "expect", "service"]),
            (HealthKind::Http, vec!["service"]),
            (HealthKind::Grpc, vec!["path", "host", "expect"]),
        ] {
            assert_eq!(wrong(Health { kind, ..all.clone() }), fields, "{kind:?}");
        }
    }

    #[test]
    fn values_are_within_bounds() {
        let hour = Duration::from_secs(3601);
        assert_eq!(wrong(Health { interval: hour, timeout: hour, ..Health::default() }), ["interval", "timeout"]);
        let none = Duration::ZERO;
        assert_eq!(wrong(Health { interval: none, timeout: none, ..Health::default() }), ["interval", "timeout"]);
        assert_eq!(wrong(Health { timeout: hour, ..Health::default() }), ["timeout", "timeout"]);
        assert_eq!(wrong(Health { rise: 0, fall: 101, ..Health::default() }), ["rise", "fall"]);
    }

    #[test]
    fn paths_hosts_and_services_are_such() {
        for path in ["", "healthz", "/a b", "/#top", "http://example.com/"] {
            let health = Health { kind: HealthKind::Http, path: text(path), ..Health::default() };
            assert_eq!(wrong(health), ["path"], "{path}");
        }
        for host in ["", "a b", "http://example.com"] {
            let health = Health { kind: HealthKind::Http, host: text(host), ..Health::default() };
            assert_eq!(wrong(health), ["host"], "{host}");
        }
        assert_eq!(wrong(Health { kind: HealthKind::Grpc, service: text(""), ..Health::default() }), ["service"]);
    }
}
