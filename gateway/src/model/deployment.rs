//! One set of backends replacing another.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{duration, instant};

/// The latest deployment of a service: what it does and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Counts the deployments of a service.
    pub number: u64,
    #[serde(with = "instant")]
    pub started: SystemTime,
    pub options: DeploymentOptions,
    /// Backends that come in.
    pub new: Vec<SocketAddr>,
    /// Backends that go.
    pub old: Vec<SocketAddr>,
    pub phase: Phase,
}

/// How to deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentOptions {
    /// How many of the new backends have to answer before connections go to them.
    pub wait: Wait,
    /// How long they have to do so.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How long the old ones keep their open flows; absent: as the service has it.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Duration>,
    /// How long after the switch errors of the new backends bring the old ones back; as long, the old ones are not
    /// signalled. Zero: not at all.
    #[serde(with = "duration")]
    pub rollback_window: Duration,
}

impl Default for DeploymentOptions {
    fn default() -> Self {
        Self {
            wait: Wait::Any,
            timeout: Duration::from_secs(60),
            drain_timeout: None,
            rollback_window: Duration::from_secs(10),
        }
    }
}

/// How many new backends a switch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    All,
    Any,
    Count(usize),
}

impl Wait {
    /// As a number, of `new` backends.
    pub fn count(self, new: usize) -> usize {
        match self {
            Self::All => new,
            Self::Any => new.min(1),
            Self::Count(count) => count.min(new),
        }
    }
}

/// How far a deployment has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Phase {
    /// The new backends are handshaken; connections go to the old ones.
    Starting {
        #[serde(with = "instant")]
        deadline: SystemTime,
    },
    /// Connections go to the new ones; errors would bring the old ones back.
    Confirming {
        #[serde(with = "instant")]
        until: SystemTime,
    },
    /// The old backends drain, or have drained.
    Done {
        #[serde(with = "instant")]
        at: SystemTime,
    },
    /// The old backends are in again, and the new ones out.
    RolledBack {
        #[serde(with = "instant")]
        at: SystemTime,
        reason: String,
    },
    /// Nothing was switched.
    Failed {
        #[serde(with = "instant")]
        at: SystemTime,
        reason: String,
        /// Why a new backend did not answer.
        errors: BTreeMap<SocketAddr, String>,
    },
}

impl Deployment {
    /// Whether it may still be undone, so that no other can begin.
    pub fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. } | Phase::Confirming { .. })
    }
}
