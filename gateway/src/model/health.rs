//! How a service's backends are probed, and what came of it.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Statuses, duration, instant};

/// How a service's backends are probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    pub kind: HealthKind,
    #[serde(with = "duration")]
    pub interval: Duration,
    /// Not longer than the interval.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Successes in a row that bring a backend in.
    pub rise: u32,
    /// Failures in a row that take a backend out.
    pub fall: u32,
    /// Of HTTP probes: what is asked for; `/` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of HTTP probes: the Host header; the backend's address if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Of HTTP probes: the statuses of a backend that is well; 200 to 399 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Statuses>,
    /// Of gRPC probes: the service that is asked about; the server as a whole if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        let (interval, timeout) = (Duration::from_secs(2), Duration::from_secs(1));
        let (path, host, expect, service) = (None, None, None, None);
        Self { kind: HealthKind::Tcp, interval, timeout, rise: 1, fall: 3, path, host, expect, service }
    }
}

/// What a probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum HealthKind {
    /// A TCP handshake.
    Tcp,
    /// An HTTP request.
    Http,
    /// The gRPC health checking protocol.
    Grpc,
    /// Backends are not probed, and taken for well.
    None,
}

impl HealthKind {
    /// The name used in the configuration file and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::None => "none",
        }
    }
}

/// What probes say of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// Not probed yet, and taken for well: it was there before this daemon.
    Unknown,
    /// Has not answered yet, and gets no connections until it does.
    Starting,
    Up,
    Down,
}

/// A backend's health and how long it has been so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    pub status: HealthStatus,
    /// When it became so.
    #[serde(with = "instant")]
    pub since: SystemTime,
    /// What went wrong at the last probe that failed; absent if none has failed since it last was up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl HealthStatus {
    /// Whether a backend that is so can be given connections.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Unknown | Self::Up)
    }
}

impl HealthReport {
    /// A status that begins now.
    pub fn now(status: HealthStatus) -> Self {
        Self { status, since: SystemTime::now(), error: None }
    }
}
