//! Events as sentences, for the log and for people.

use std::{fmt, net::SocketAddr};

use super::Happening;

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DaemonStarted { version, services } => write!(f, "gateway {version} is ready, services: {services}"),
            Self::DaemonStopping => f.write_str("stopping"),
            Self::FileReloaded { file, services } => write!(f, "reloaded {file}, services: {services}"),
            Self::FileRefused { file, error } => write!(f, "{file} is not reloaded, nothing is changed: {error}"),
            Self::InterfaceAttached { interface, mode } => write!(f, "attached to {interface} in mode {}", mode.name()),
            Self::InterfaceDetached { interface } => write!(f, "no longer attached to {interface}"),
            Self::ServiceAdded { service, addresses, backends, .. } => {
                write!(f, "service {service} added: listens on {}, backends: {}", list(addresses), list(backends))
            }
            Self::ServiceChanged { service, changed } => write!(f, "service {service} changed: {}", changed.join(", ")),
            Self::ServiceRemoved { service } => write!(f, "service {service} removed"),
            Self::BackendAdded { service, backend, weight, state } => {
                write!(f, "service {service}: backend {backend} added, {}, weight {weight}", state.name())
            }
            Self::BackendChanged { service, backend, weight, state } => {
                write!(f, "service {service}: backend {backend} changed, {}, weight {weight}", state.name())
            }
            Self::BackendActive { service, backend } => write!(f, "service {service}: backend {backend} is active"),
            Self::BackendDraining { service, backend, deadline } => {
                let deadline = humantime::format_rfc3339_seconds(*deadline);
                write!(f, "service {service}: backend {backend} draining, until {deadline} at most")
            }
            Self::BackendSignalled { service, backend, process, error } => {
                let process = process.as_ref().map_or_else(|| "the process".to_owned(), ToString::to_string);
                match error {
                    None => write!(f, "service {service}: {process} behind backend {backend} is told to end"),
                    Some(error) => {
                        write!(f, "service {service}: cannot tell {process} behind backend {backend} to end: {error}")
                    }
                }
            }
            Self::BackendCut { service, backend, connections } => {
                write!(f, "service {service}: cut {connections} connections of backend {backend} at its deadline")
            }
            Self::BackendDrained { service, backend } => write!(f, "service {service}: backend {backend} has drained"),
            Self::BackendRemoved { service, backend } => write!(f, "service {service}: backend {backend} removed"),
            Self::BackendUp { service, backend, .. } => write!(f, "service {service}: backend {backend} is up"),
            Self::BackendDown { service, backend, error, .. } => {
                write!(f, "service {service}: backend {backend} is down")?;
                error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
            Self::DeploymentStarted { service, deployment, new, old } => {
                let (new, old) = (list(new), list(old));
                write!(f, "service {service}: deployment {deployment} begins: {new} in place of {old}")
            }
            Self::DeploymentSwitched { service, deployment } => {
                write!(f, "service {service}: deployment {deployment}: new connections go to the new backends")
            }
            Self::DeploymentDone { service, deployment } => {
                write!(f, "service {service}: deployment {deployment} is confirmed")
            }
            Self::DeploymentRolledBack { service, deployment, reason } => {
                write!(f, "service {service}: deployment {deployment} is rolled back: {reason}")
            }
            Self::DeploymentFailed { service, deployment, reason, .. } => {
                write!(f, "service {service}: deployment {deployment} has failed, nothing was switched: {reason}")
            }
            Self::LimitHit { reason, packets } => write!(f, "{packets} packets met a limit: {reason}"),
            Self::WarningRaised { warning } => f.write_str(warning),
            Self::WarningCleared { warning } => write!(f, "no longer: {warning}"),
            Self::Lost { events } => write!(f, "{events} events are lost"),
            Self::Unknown => f.write_str("something that this version has no words for; --json shows it"),
        }
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    /// Addresses that are named; the others are only counted.
    const NAMED: usize = 4;

    let mut words: Vec<String> = addresses.iter().take(NAMED).map(ToString::to_string).collect();
    match addresses.len().saturating_sub(NAMED) {
        0 if words.is_empty() => words.push("none".to_owned()),
        0 => {}
        others => words.push(format!("{others} more")),
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_short() {
        let addresses: Vec<SocketAddr> = (1..=6).map(|port| SocketAddr::from(([10, 0, 0, 1], port))).collect();
        assert_eq!(list(&addresses[..2]), "10.0.0.1:1, 10.0.0.1:2");
        assert!(list(&addresses).ends_with("10.0.0.1:4, 2 more"), "{}", list(&addresses));
        assert_eq!(list(&[]), "none");
    }
}
