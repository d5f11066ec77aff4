//! Why a change is refused, in sentences for the operator.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{
    config::{PortRange, rules::Problem},
    model::{Listen, Owner},
};

/// A change that cannot be; nothing was touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no service `{0}`")]
    NoSuchService(String),
    #[error("service `{service}` has no backend {backend}")]
    NoSuchBackend { service: String, backend: SocketAddr },
    #[error("there is already a service `{name}`{}", origin(*.owner))]
    NameTaken { name: String, owner: Owner },
    #[error("service `{service}` cannot listen on {listen}: service `{holder}`{} does", origin(*.owner))]
    ListenTaken { service: String, listen: SocketAddr, holder: String, owner: Owner },
    #[error("service `{service}` listens on `{listen}`, every public address, but the front server has none")]
    NoPublicAddress { service: String, listen: Listen },
    #[error("service `{service}` already has the backend {backend}")]
    BackendExists { service: String, backend: SocketAddr },
    #[error("service `{service}` belongs to the configuration file, which is where to {action}")]
    OwnedByFile { service: String, action: &'static str },
    #[error("service `{service}`: {}", summary(.problems))]
    Invalid { service: String, problems: Vec<Problem> },
    #[error("a deployment of service `{0}` is under way")]
    DeploymentUnderWay(String),
    #[error("a deployment of service `{0}` needs backends")]
    EmptyDeployment(String),
    #[error("service `{0}` has not been deployed yet")]
    NeverDeployed(String),
    #[error("no deployment of service `{0}` is under way")]
    NoDeployment(String),
    #[error("the deployment of service `{0}` has switched already")]
    AlreadySwitched(String),
    #[error("no port can be chosen for service `{0}`: the configuration has no [public] ports")]
    NoPublicPorts(String),
    #[error("no port is free for service `{service}`: all of {ports} are taken")]
    PortsExhausted { service: String, ports: PortRange },
}

/// What sort of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    NotFound,
    Conflict,
    OwnedByFile,
    Invalid,
    Limit,
}

impl Refusal {
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoSuchService(_) | Self::NoSuchBackend { .. } | Self::NeverDeployed(_) | Self::NoDeployment(_) => {
                Kind::NotFound
            }
            Self::NameTaken { .. }
            | Self::ListenTaken { .. }
            | Self::BackendExists { .. }
            | Self::DeploymentUnderWay(_)
            | Self::AlreadySwitched(_) => Kind::Conflict,
            Self::OwnedByFile { .. } => Kind::OwnedByFile,
            Self::NoPublicAddress { .. } | Self::Invalid { .. } | Self::EmptyDeployment(_) => Kind::Invalid,
            Self::NoPublicPorts(_) | Self::PortsExhausted { .. } => Kind::Limit,
        }
    }

    /// What the operator can do about it.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::NoSuchService(_) => Some("`gateway service list` shows the services".into()),
            Self::NoSuchBackend { service, .. } => Some(format!("`gateway backend list {service}` shows its backends")),
            Self::NameTaken { name, owner } => Some(match owner {
                Owner::File => "choose another name, or take it out of the file".into(),
                Owner::Control => {
                    format!("choose another name, or remove that one with `gateway service remove {name}`")
                }
            }),
            Self::ListenTaken { .. } => Some("listen on another port, or let --auto-port choose one".into()),
            Self::NoPublicAddress { .. } => {
                Some("name an address, or set `address` in the [public] section and reload".into())
            }
            Self::BackendExists { service, backend } => {
                Some(format!("`gateway backend set {service} {backend}` changes it"))
            }
            Self::OwnedByFile { .. } => {
                Some("edit the file and reload it: send the daemon SIGHUP (`systemctl reload gateway`)".into())
            }
            Self::Invalid { problems, .. } => match problems.as_slice() {
                [problem] => Some(problem.remedy.clone()),
                _ => None,
            },
            Self::DeploymentUnderWay(service) => {
                Some(format!("`gateway service show {service}` shows how far it is; deploy again when it is done"))
            }
            Self::EmptyDeployment(_) => Some("name one or more with --backend".into()),
            Self::NeverDeployed(_) | Self::NoDeployment(_) => None,
            Self::AlreadySwitched(_) => Some("deploy the backends of before to go back to them".into()),
            Self::NoPublicPorts(_) => {
                Some("set `ports = \"20000-29999\"` in the [public] section, or name the port with --listen".into())
            }
            Self::PortsExhausted { .. } => {
                Some("widen `ports` in the [public] section, or remove services that are not in use".into())
            }
        }
    }
}

fn origin(owner: Owner) -> &'static str {
    match owner {
        Owner::File => " in the configuration file",
        Owner::Control => "",
    }
}

/// The message of the only problem (its remedy is told apart), or all of them with their remedies.
fn summary(problems: &[Problem]) -> String {
    match problems {
        [problem] => problem.message.clone(),
        _ => problems.iter().map(Problem::to_string).collect::<Vec<_>>().join(". "),
    }
}
