//! What the gateway's tables hold while its programs are measured.

use gateway::{datapath::Capacity, model::flow::FlowMap};
use gateway_common::abi::Egress;

use super::plan::Shape;

/// What the tables hold.
#[derive(Clone, Copy)]
pub struct World {
    pub capacity: Capacity,
    /// Services and their backends; ports from [`SERVICE_PORT`] on.
    pub services: u32,
    pub backends: u32,
    /// Source addresses for new flows.
    pub snat: u32,
    /// The family of the established flows.
    pub v6: bool,
    /// Identifier of the VLAN that packets leave by, or 0.
    pub vlan: u16,
}

/// Port of the first service.
pub const SERVICE_PORT: u32 = 10_000;

impl World {
    /// One service with one backend, in tables of the default size.
    pub const SMALL: Self = Self {
        capacity: Capacity { flows: 1 << 20, half_open: 1 << 16, backends: 1 << 10, flow_map: FlowMap::Buckets },
        services: 1,
        backends: 1,
        snat: 64,
        v6: false,
        vlan: 0,
    };

    /// The services as a driver is told of them.
    pub fn shape(&self) -> Shape {
        Shape { services: self.services, backends: self.backends, first_port: SERVICE_PORT }
    }

    /// How packets leave.
    pub fn egress(&self) -> Egress {
        Egress::native(self.vlan)
    }
}
