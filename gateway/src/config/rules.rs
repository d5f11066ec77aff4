//! What a service may be, whoever asks for it: the configuration file or the control API.
//!
//! [`check_service`] holds for a service at any time; [`unserved_families`] holds for one that is described
//! completely, as in a file, and not while its backends come one by one. Neither knows where a service came from:
//! a [`Problem`] names the field, and the caller adds the place.

use std::{fmt, net::IpAddr};

use serde::{Serialize, Serializer};

use super::{PortRange, finding::Fault};
use crate::model::Service;

mod address;
mod backends;
mod claims;
mod health;
mod limits;
mod listens;
mod name;
mod policy;

pub use address::{unusable_address, unusable_endpoint};
pub use backends::{half_served_listens, unserved_families};
pub use claims::Claims;
pub use health::STREAK;
pub use name::{unusable_hostname, unusable_interface_name, unusable_service_name};
pub use policy::{check_policy, check_waits};

/// What surrounds a service.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The front server's public addresses; empty while they are not known: then `:port` overlaps every listen with
    /// that port, and stands for both families.
    pub public_addresses: &'a [IpAddr],
    /// Empty while they are not known.
    pub snat_addresses: &'a [IpAddr],
    pub snat_ports: Option<PortRange>,
    /// What the other services hold: without the one that is checked, and without the one it replaces.
    pub others: &'a Claims,
}

/// A field of a service, by its name in the control API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    Name,
    /// By index.
    Listen(usize),
    /// The address of the backend with this index.
    BackendAddress(usize),
    /// The weight of the backend with this index.
    BackendWeight(usize),
    IdleTimeout,
    DrainTimeout,
    /// A field of the health check, by name.
    Health(&'static str),
    /// A limit, by name.
    Limit(&'static str),
    /// A time of a drain or of a deployment, by name.
    Wait(&'static str),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("name"),
            Self::Listen(index) => write!(f, "listen[{index}]"),
            Self::BackendAddress(index) => write!(f, "backends[{index}].address"),
            Self::BackendWeight(index) => write!(f, "backends[{index}].weight"),
            Self::IdleTimeout => f.write_str("idle_timeout"),
            Self::DrainTimeout => f.write_str("drain_timeout"),
            Self::Health(field) => write!(f, "health.{field}"),
            Self::Limit(name) => write!(f, "limits.{name}"),
            Self::Wait(name) => f.write_str(name),
        }
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a service is refused. Prints as `message; remedy`; the message says what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub field: Field,
    pub message: String,
    pub remedy: String,
}

impl Problem {
    fn new(field: Field, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field, message: message.into(), remedy: remedy.into() }
    }

    fn from_fault(field: Field, Fault { message, remedy }: Fault) -> Self {
        Self { field, message, remedy }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

/// Everything that is wrong with a service, in the order of its fields. Empty: it can be taken on.
pub fn check_service(service: &Service, context: &Context<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(unusable_service_name(&service.name).map(|fault| Problem::from_fault(Field::Name, fault)));
    if context.others.has_name(&service.name) {
        let message = format!("the name \"{}\" is taken by another service", service.name);
        problems.push(Problem::new(Field::Name, message, "give each service its own name"));
    }
    listens::check(service, context, &mut problems);
    problems.extend(check_policy(&service.policy));
    health::check(&service.health, &mut problems);
    limits::check(&service.limits, &mut problems);
    backends::check(service, context, &mut problems);
    problems
}

#[cfg(test)]
mod tests;
