//! A port for a service that asks for one.

use super::{Desired, Refusal};
use crate::model::Listen;

impl Desired {
    /// The lowest port of `[public] ports` that no service listens on, for `service` on every public address.
    ///
    /// The choice becomes part of the service, so it is kept for good.
    pub(super) fn free_port(&self, service: &str) -> Result<Listen, Refusal> {
        let ports = self.site().public_ports.ok_or_else(|| Refusal::NoPublicPorts(service.to_owned()))?;
        let lowest = self.free_ports().get_min().copied();
        lowest.map(Listen::EveryAddress).ok_or_else(|| Refusal::PortsExhausted { service: service.to_owned(), ports })
    }
}
