//! What has happened to the gateway, as values: events of services, backends, deployments, limits and the daemon itself.
//!
//! An event is one line of `GET /v1/events` and one line of the log; both the kinds and the field names are part of the
//! outward contract. Kinds are only ever added: a reader that meets one it does not know has [`Happening::Unknown`].

use std::{collections::BTreeMap, net::SocketAddr, time::SystemTime};

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use super::{BackendState, Owner, Process, instant, status::AttachMode};

mod text;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts the events of a daemon, from 1.
    pub number: u64,
    #[serde(with = "instant")]
    pub at: SystemTime,
    #[serde(flatten)]
    pub what: Happening,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Happening {
    /// The daemon serves.
    DaemonStarted {
        version: String,
        services: usize,
    },
    DaemonStopping,
    /// The file was read again and is in force.
    FileReloaded {
        file: String,
        services: usize,
    },
    /// The file was read again and is not in force.
    FileRefused {
        file: String,
        error: String,
    },

    InterfaceAttached {
        interface: String,
        mode: AttachMode,
    },
    InterfaceDetached {
        interface: String,
    },

    ServiceAdded {
        service: String,
        owner: Owner,
        addresses: Vec<SocketAddr>,
        backends: Vec<SocketAddr>,
    },
    /// `changed` names the fields that differ.
    ServiceChanged {
        service: String,
        changed: Vec<String>,
    },
    ServiceRemoved {
        service: String,
    },

    BackendAdded {
        service: String,
        backend: SocketAddr,
        weight: u16,
        state: BackendState,
    },
    /// Another weight, process or label.
    BackendChanged {
        service: String,
        backend: SocketAddr,
        weight: u16,
        state: BackendState,
    },
    /// It gets new connections, if it is well.
    BackendActive {
        service: String,
        backend: SocketAddr,
    },
    /// It gets no new connections; what is open is cut at the deadline.
    BackendDraining {
        service: String,
        backend: SocketAddr,
        #[serde(with = "instant")]
        deadline: SystemTime,
    },
    /// The process behind it was told to end, or could not be.
    BackendSignalled {
        service: String,
        backend: SocketAddr,
        process: Option<Process>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Its open connections were ended at its deadline.
    BackendCut {
        service: String,
        backend: SocketAddr,
        connections: u64,
    },
    /// It has no open connections any more.
    BackendDrained {
        service: String,
        backend: SocketAddr,
    },
    BackendRemoved {
        service: String,
        backend: SocketAddr,
    },
    /// Probes say that it answers.
    BackendUp {
        service: String,
        backend: SocketAddr,
        state: BackendState,
    },
    /// Probes say that it does not answer.
    BackendDown {
        service: String,
        backend: SocketAddr,
        state: BackendState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },

    /// The new backends are handshaken.
    DeploymentStarted {
        service: String,
        deployment: u64,
        new: Vec<SocketAddr>,
        old: Vec<SocketAddr>,
    },
    /// New connections go to the new backends.
    DeploymentSwitched {
        service: String,
        deployment: u64,
    },
    /// The switch is for good.
    DeploymentDone {
        service: String,
        deployment: u64,
    },
    DeploymentRolledBack {
        service: String,
        deployment: u64,
        reason: String,
    },
    /// Nothing was switched.
    DeploymentFailed {
        service: String,
        deployment: u64,
        reason: String,
        errors: BTreeMap<SocketAddr, String>,
    },

    /// Packets that met a limit since the last event of this reason: its name in the status' `reasons`.
    LimitHit {
        reason: String,
        packets: u64,
    },
    /// A sentence of the status' `warnings`.
    WarningRaised {
        warning: String,
    },
    WarningCleared {
        warning: String,
    },

    /// Of a stream: so many events came too fast for its reader, or are too old to be known.
    Lost {
        events: u64,
    },
    /// Of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl Happening {
    /// The names of all kinds.
    pub const KINDS: &'static [&'static str] = Self::VARIANTS;

    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        self.into()
    }

    /// The service that it is about, if it is about one.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::ServiceAdded { service, .. }
            | Self::ServiceChanged { service, .. }
            | Self::ServiceRemoved { service }
            | Self::BackendAdded { service, .. }
            | Self::BackendChanged { service, .. }
            | Self::BackendActive { service, .. }
            | Self::BackendDraining { service, .. }
            | Self::BackendSignalled { service, .. }
            | Self::BackendCut { service, .. }
            | Self::BackendDrained { service, .. }
            | Self::BackendRemoved { service, .. }
            | Self::BackendUp { service, .. }
            | Self::BackendDown { service, .. }
            | Self::DeploymentStarted { service, .. }
            | Self::DeploymentSwitched { service, .. }
            | Self::DeploymentDone { service, .. }
            | Self::DeploymentRolledBack { service, .. }
            | Self::DeploymentFailed { service, .. } => Some(service),
            Self::DaemonStarted { .. }
            | Self::DaemonStopping
            | Self::FileReloaded { .. }
            | Self::FileRefused { .. }
            | Self::InterfaceAttached { .. }
            | Self::InterfaceDetached { .. }
            | Self::LimitHit { .. }
            | Self::WarningRaised { .. }
            | Self::WarningCleared { .. }
            | Self::Lost { .. }
            | Self::Unknown => None,
        }
    }

    /// A warning where somebody ought to have a look.
    pub fn level(&self) -> log::Level {
        match self {
            Self::FileRefused { .. }
            | Self::BackendCut { .. }
            | Self::BackendSignalled { error: Some(_), .. }
            // One that does not get connections is not missed.
            | Self::BackendDown { state: BackendState::Active, .. }
            | Self::DeploymentRolledBack { .. }
            | Self::DeploymentFailed { .. }
            | Self::LimitHit { .. }
            | Self::WarningRaised { .. }
            | Self::Lost { .. } => log::Level::Warn,
            _ => log::Level::Info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_one_flat_object() {
        let (service, backend) = ("web".to_owned(), "10.0.1.2:80".parse().unwrap());
        let error = Some("connection refused".to_owned());
        let what = Happening::BackendDown { service, backend, state: BackendState::Active, error };
        let event = Event { number: 7, at: SystemTime::UNIX_EPOCH, what };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(
            json,
            r#"{"number":7,"at":"1970-01-01T00:00:00.000Z","kind":"backend-down","service":"web","backend":"10.0.1.2:80","state":"active","error":"connection refused"}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }

    #[test]
    fn kind_of_a_newer_daemon_is_read() {
        let line = r#"{"number":1,"at":"2026-01-31T12:00:00.000Z","kind":"flow-mislaid","client":"198.51.100.7:1"}"#;
        assert_eq!(serde_json::from_str::<Event>(line).unwrap().what, Happening::Unknown);
    }

    #[test]
    fn name_of_a_kind_is_the_one_in_json() {
        let errors = BTreeMap::from([("10.0.1.2:80".parse().unwrap(), "refused".to_owned())]);
        let (service, reason) = ("web".to_owned(), "no".to_owned());
        let what = Happening::DeploymentFailed { service, deployment: 3, reason, errors };
        let json = serde_json::to_value(&what).unwrap();
        assert_eq!(json["kind"], what.kind());
        assert!(Happening::KINDS.contains(&what.kind()));
        assert_eq!(serde_json::from_value::<Happening>(json).unwrap(), what);
    }
}
