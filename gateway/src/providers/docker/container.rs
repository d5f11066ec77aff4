//! Containers and networks: what the provider takes from the Docker API's answers.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    str::FromStr,
    time::SystemTime,
};

use anyhow::{Context, Result};
use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, EndpointSettings, Network as Answer,
};
use nix::sys::signal::Signal;

use crate::host::docker::DEFAULT_STOP_SIGNAL;

/// A container, as `docker inspect` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// The id of its image.
    pub image: String,
    pub created: SystemTime,
    /// When its process was started last.
    pub started: SystemTime,
    pub activity: Activity,
    pub labels: HashMap<String, String>,
    /// The environment variable `PORT`.
    pub port: Option<String>,
    pub stop_signal: String,
    /// The networks it is in, by name.
    pub endpoints: BTreeMap<String, Endpoint>,
}

/// Whether a container works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    Running,
    /// Runs, but has been told to stop.
    Stopping,
    Paused,
    /// Not started, between two starts, or over.
    Stopped,
}

/// A container's place in a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The id of the network.
    pub network: String,
    /// IPv4 if it has such an address.
    pub address: Option<IpAddr>,
}

/// A network of containers that this host routes to: a bridge that is not internal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub id: String,
    /// The name of its interface on this host.
    pub bridge: String,
}

impl Container {
    pub fn from_inspect(answer: ContainerInspectResponse) -> Result<Self> {
        let id = answer.id.context("the container has no id")?;
        let config = answer.config.unwrap_or_default();
        let state = answer.state.unwrap_or_default();
        let environment = config.env.unwrap_or_default();
        let endpoints = answer.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        Ok(Self {
            name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            image: answer.image.unwrap_or_default(),
            created: instant(answer.created.as_deref()),
            started: instant(state.started_at.as_deref()),
            activity: activity(&state),
            labels: config.labels.unwrap_or_default(),
            port: environment
                .iter()
                .find_map(|variable| variable.strip_prefix("PORT="))
                .filter(|port| !port.is_empty())
                .map(str::to_owned),
            stop_signal: config.stop_signal.unwrap_or_else(|| DEFAULT_STOP_SIGNAL.to_owned()),
            endpoints: endpoints
                .into_iter()
                .filter_map(|(name, it)| Some((name, Endpoint::from_inspect(it)?)))
                .collect(),
            id,
        })
    }

    /// Whether a signal, by number, makes it stop.
    pub fn is_stopped_by(&self, signal: &str) -> bool {
        let stop_signal = self.stop_signal.to_ascii_uppercase();
        let named = ["", "SIG"].into_iter().find_map(|prefix| Signal::from_str(&format!("{prefix}{stop_signal}")).ok());
        let number = named.map_or(stop_signal, |named| (named as i32).to_string());
        signal == number || signal == (Signal::SIGKILL as i32).to_string()
    }
}

impl Endpoint {
    fn from_inspect(answer: EndpointSettings) -> Option<Self> {
        let parse = |text: Option<String>| text.and_then(|text| text.parse::<IpAddr>().ok());
        let address = parse(answer.ip_address).or_else(|| parse(answer.global_ipv6_address));
        Some(Self { network: answer.network_id?, address })
    }
}

impl Network {
    /// None for a network that packets cannot be routed to from this host.
    pub fn from_inspect(answer: Answer) -> Option<Self> {
        let id = answer.id?;
        if answer.driver.as_deref() != Some("bridge") || answer.internal == Some(true) {
            return None;
        }
        let named = answer.options.unwrap_or_default().remove("com.docker.network.bridge.name");
        // What Docker calls the bridge of a network that asks for no name.
        let bridge = named.unwrap_or_else(|| format!("br-{}", id.get(..12).unwrap_or(&id)));
        Some(Self { id, bridge })
    }
}

fn activity(state: &ContainerState) -> Activity {
    match state.status {
        Some(Status::RUNNING) => Activity::Running,
        Some(Status::PAUSED) => Activity::Paused,
        _ => Activity::Stopped,
    }
}

/// A point in time in the API's notation; the epoch for none, such as the start of what was not started.
fn instant(text: Option<&str>) -> SystemTime {
    text.and_then(|text| humantime::parse_rfc3339(text).ok()).unwrap_or(SystemTime::UNIX_EPOCH)
}
