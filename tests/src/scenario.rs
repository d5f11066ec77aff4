//! What most scenarios begin with: a service of each family on every backend, and the cases to go through.

use crate::{
    Family, GatewayConfig, Lab, Mode, ServiceConfig,
    traffic::{Behaviour, Server},
};

/// Where the scenarios' service listens on the front server.
pub const PORT: u16 = 20_000;
/// Where its backends listen.
pub const BACKEND_PORT: u16 = 8_000;

/// Every mode of attachment with every family.
pub fn cases() -> impl Iterator<Item = (Mode, Family)> {
    Mode::ALL.into_iter().flat_map(|mode| Family::ALL.map(|family| (mode, family)))
}

/// The name of the service of a family.
pub fn service_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}

/// The scenarios' service of one family: [`PORT`] of the first public address, all backends.
pub fn service(lab: &Lab, family: Family) -> ServiceConfig {
    ServiceConfig::new(service_name(family), lab.front.at(family, PORT), &lab.backends_at(family, BACKEND_PORT))
}

/// A configuration with the scenarios' service of both families.
pub fn config(lab: &Lab, mode: Mode) -> GatewayConfig {
    GatewayConfig::new(lab, mode).service(service(lab, Family::V4)).service(service(lab, Family::V6))
}

/// The same server on every backend.
#[track_caller]
pub fn servers(lab: &Lab, behaviour: &Behaviour) -> Vec<Server> {
    lab.backends.iter().map(|backend| Server::start(backend, BACKEND_PORT, behaviour.clone())).collect()
}

/// Servers that say their backend's number before they echo.
#[track_caller]
pub fn numbered_servers(lab: &Lab) -> Vec<Server> {
    let start = |(index, backend): (usize, &crate::Host)| {
        Server::start(backend, BACKEND_PORT, Behaviour::Identify(index.to_string()))
    };
    lab.backends.iter().enumerate().map(start).collect()
}
