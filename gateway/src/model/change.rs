//! What an operator asks for at run time: new services and changes of existing ones.
//!
//! These are the request bodies of the control API. Unknown fields are refused; an absent field leaves the value as
//! it is (or as `[defaults]` has it, for a new service).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Algorithm, Answer, DeploymentOptions, Health, Limits, Listen, NewBackend, Policy, duration};

/// A service to add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewService {
    pub name: String,
    #[serde(default)]
    pub listen: Vec<Listen>,
    /// Listen on a free port of `[public] ports` as well, on every public address.
    #[serde(default)]
    pub auto_port: bool,
    #[serde(flatten)]
    pub policy: PolicyChange,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    #[serde(default)]
    pub backends: Vec<NewBackend>,
}

/// The fields of a service to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceChange {
    #[serde(flatten)]
    pub policy: PolicyChange,
    /// In place of all that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// In place of all that they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// The fields of a [`Policy`] to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::optional")]
    pub idle_timeout: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::optional")]
    pub drain_timeout: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_deadline: Option<Answer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_backend: Option<Answer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_flow: Option<Answer>,
}

impl PolicyChange {
    /// `policy` with these fields set.
    pub fn on(&self, policy: &Policy) -> Policy {
        Policy {
            algorithm: self.algorithm.unwrap_or(policy.algorithm),
            idle_timeout: self.idle_timeout.unwrap_or(policy.idle_timeout),
            drain_timeout: self.drain_timeout.unwrap_or(policy.drain_timeout),
            on_deadline: self.on_deadline.unwrap_or(policy.on_deadline),
            no_backend: self.no_backend.unwrap_or(policy.no_backend),
            unknown_flow: self.unknown_flow.unwrap_or(policy.unknown_flow),
        }
    }
}

/// The fields of a backend to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<WantedState>,
}

/// The states that an operator can put a backend into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WantedState {
    Active,
    Draining,
}

/// How to drain a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainOrder {
    /// How long its open flows go on; absent: as the service has it.
    #[serde(with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Signal its process.
    pub signal: bool,
    /// Remove it from the service in the end.
    pub remove: bool,
}

impl Default for DrainOrder {
    fn default() -> Self {
        Self { timeout: None, signal: true, remove: false }
    }
}

/// Backends to put in the place of a service's present ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDeployment {
    pub backends: Vec<NewBackend>,
    #[serde(flatten)]
    pub options: DeploymentOptions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_service_refuses_an_unknown_field_beside_the_policy() {
        let known = r#"{"name": "a", "auto_port": true, "algorithm": "source", "idle_timeout": "5m"}"#;
        let service: NewService = serde_json::from_str(known).unwrap();
        assert_eq!(service.policy.idle_timeout, Some(Duration::from_secs(300)));

        let unknown = r#"{"name": "a", "auto_port": true, "algorithm": "source", "colour": "red"}"#;
        let error = serde_json::from_str::<NewService>(unknown).unwrap_err().to_string();
        assert!(error.contains("colour"), "{error}");
    }

    #[test]
    fn absent_fields_keep_the_policy() {
        let change = PolicyChange { no_backend: Some(Answer::Drop), ..PolicyChange::default() };
        let policy = Policy::default();
        assert_eq!(change.on(&policy), Policy { no_backend: Answer::Drop, ..policy });
    }
}
