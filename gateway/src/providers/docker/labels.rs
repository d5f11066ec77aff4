//! The labels by which a container says that it is a backend.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::SystemTime,
};

use super::container::{Activity, Container, Endpoint, Network};
use crate::config::{rules::unusable_service_name, suggestion::did_you_mean};

const ENABLE: &str = "gateway.enable";
const SERVICE: &str = "gateway.service";
const PORT: &str = "gateway.port";
const WEIGHT: &str = "gateway.weight";
const DEPLOYMENT: &str = "gateway.deployment";
const NETWORK: &str = "gateway.network";
const KNOWN: [&str; 6] = [ENABLE, SERVICE, PORT, WEIGHT, DEPLOYMENT, NETWORK];

/// Only containers with this label are looked at.
pub const MARK: &str = ENABLE;

/// A container that is, or was until it was told to stop, a backend of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id of the container.
    pub container: String,
    pub name: String,
    pub service: String,
    pub deployment: String,
    pub address: SocketAddr,
    pub weight: u16,
    pub created: SystemTime,
    pub started: SystemTime,
    pub activity: Activity,
}

/// The networks that this host routes to.
pub type Networks = [Network];

impl Member {
    /// What the labels of a container ask for; nothing if it is not to be a backend.
    ///
    /// # Errors
    /// What is wrong with them, in a sentence.
    pub fn from_container(container: &Container, networks: &Networks) -> Result<Option<Self>, String> {
        if !is_enabled(container)? {
            return Ok(None);
        }
        let service = label(container, SERVICE).ok_or(format!("it has no label {SERVICE}, which names the service"))?;
        if let Some(fault) = unusable_service_name(service) {
            return Err(format!("label {SERVICE}: {}; {}", fault.message, fault.remedy));
        }
        let port = match (label(container, PORT), container.port.as_deref()) {
            (Some(port), _) => number(PORT, port)?,
            (None, Some(port)) => number("its environment variable PORT", port)?,
            (None, None) => return Err(format!("it has neither a label {PORT} nor an environment variable PORT")),
        };
        let weight = label(container, WEIGHT).map_or(Ok(1), |weight| number(WEIGHT, weight))?;
        let deployment = label(container, DEPLOYMENT).unwrap_or(&container.image);
        let address = address(container, networks)?;
        Ok(Some(Self {
            container: container.id.clone(),
            name: container.name.clone(),
            service: service.to_owned(),
            deployment: deployment.to_owned(),
            address: SocketAddr::new(address, port),
            weight,
            created: container.created,
            started: container.started,
            activity: container.activity,
        }))
    }
}

/// The labels of the gateway's that mean nothing, each with a sentence.
pub fn unknown(container: &Container) -> Vec<String> {
    let is_unknown = |label: &&String| label.starts_with("gateway.") && !KNOWN.contains(&label.as_str());
    let mut unknown: Vec<_> = container.labels.keys().filter(is_unknown).collect();
    unknown.sort_unstable();
    let otherwise = || format!("the labels are {}", KNOWN.join(", "));
    unknown
        .into_iter()
        .map(|label| format!("unknown label {label}; {}", did_you_mean(label, &KNOWN, otherwise())))
        .collect()
}

fn is_enabled(container: &Container) -> Result<bool, String> {
    match label(container, ENABLE) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(format!("label {ENABLE} is `{other}`; it can be `true` or `false`")),
    }
}

/// The container's address in the network that its label names, or else in the first by name that this host routes
/// to, which is the one that Docker gives a container's default route to.
fn address(container: &Container, networks: &Networks) -> Result<IpAddr, String> {
    let is_routed = |endpoint: &Endpoint| networks.iter().any(|network| network.id == endpoint.network);
    let names = || container.endpoints.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let endpoint = match label(container, NETWORK) {
        Some(name) => {
            let endpoint = container.endpoints.get(name);
            let endpoint = endpoint
                .ok_or_else(|| format!("it is not in the network {name} of label {NETWORK}, but in {}", names()))?;
            if !is_routed(endpoint) {
                return Err(format!("network {name} of label {NETWORK} is not a bridge that this host routes to"));
            }
            Some(endpoint)
        }
        None => container.endpoints.values().find(|endpoint| is_routed(endpoint) && endpoint.address.is_some()),
    };
    endpoint.and_then(|endpoint| endpoint.address).ok_or_else(|| {
        format!("it has no address on a bridge that this host routes to (networks: {}); join it to one", names())
    })
}

fn label<'a>(container: &'a Container, key: &str) -> Option<&'a str> {
    container.labels.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn number(what: &str, text: &str) -> Result<u16, String> {
    let number = u16::from_str(text.trim()).ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("{what} is `{text}`; it has to be a number from 1 to 65535"))
}
