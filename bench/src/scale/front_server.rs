//! The gateway with many services on the laboratory's front server, and a look at the maps behind its back.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use aya::maps::{HashMap, Map, MapData};
use gateway::{control::Client, datapath::Pins};
use gateway_common::abi::{Service, ServiceKey};
use gateway_tests::{Family, GatewayConfig, Lab, Mode, ServiceConfig, scenario::BACKEND_PORT};

/// Ports of the services, from here on.
const FIRST_PORT: u16 = 10_000;
/// Backends of each service.
pub const BACKENDS: u16 = 10;

/// The listen address of a service.
pub fn listen(lab: &Lab, number: u16) -> SocketAddr {
    lab.front.at(Family::V4, FIRST_PORT + number)
}

/// The name of a service; they are put into force in the order of their names.
pub fn name(number: u16) -> String {
    format!("s{number:05}")
}

/// A backend of every service. The first one is where the laboratory's server listens.
pub fn backend(lab: &Lab, number: u16) -> SocketAddr {
    lab.backends[0].at(Family::V4, BACKEND_PORT + number)
}

/// Services with these numbers; the first backend of each has this weight.
pub fn config(lab: &Lab, numbers: std::ops::Range<u16>, weight: u16) -> GatewayConfig {
    let backends: Vec<_> = (0..BACKENDS).map(|number| backend(lab, number)).collect();
    let mut weights = [1; BACKENDS as usize];
    weights[0] = weight;
    numbers
        .map(|number| ServiceConfig::new(&name(number), listen(lab, number), &backends).weights(&weights))
        .fold(GatewayConfig::new(lab, Mode::XdpNative), GatewayConfig::service)
}

/// A client of the daemon's control socket.
pub fn client(lab: &Lab) -> Client {
    Client::new(lab.directory().join("gateway.sock"))
}

/// A pinned map of the running gateway.
pub fn map(lab: &Lab, name: &str) -> Result<MapData> {
    let pins = Pins::at(lab.id().pin_directory());
    MapData::from_pin(pins.map(name)).with_context(|| format!("open the pinned map {name}"))
}

/// The services that packets are matched against.
pub struct ServiceMap(HashMap<MapData, ServiceKey, Service>);

impl ServiceMap {
    pub fn open(lab: &Lab) -> Result<Self> {
        Ok(Self(HashMap::try_from(Map::HashMap(map(lab, "SERVICES")?)).context("open the service map")?))
    }

    /// The place of the service's table of backends, which is another one after every change.
    pub fn place(&self, listen: SocketAddr) -> Option<u32> {
        let key = ServiceKey::new(listen.ip().into(), listen.port().to_be_bytes());
        self.0.get(&key, 0).ok().map(|service| service.first_slot)
    }

    pub fn len(&self) -> usize {
        self.0.keys().flatten().count()
    }
}
