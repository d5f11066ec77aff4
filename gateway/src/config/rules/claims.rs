//! Which names and listens are taken, and by which service.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use crate::model::{Listen, Service};

/// The names and listens of a set of services; look-ups take constant time per public address.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    names: HashSet<String>,
    /// Service names by port.
    every_address: HashMap<u16, String>,
    addresses: HashMap<SocketAddr, String>,
    /// A service with a listen on one address at this port.
    ports: HashMap<u16, String>,
}

impl Claims {
    /// What these services hold.
    pub fn of<'a>(services: impl IntoIterator<Item = &'a Service>) -> Self {
        let mut claims = Self::default();
        for service in services {
            claims.add(service);
        }
        claims
    }

    /// Adds a service's name and listens; what is taken stays with its holder.
    pub fn add(&mut self, service: &Service) {
        self.names.insert(service.name.clone());
        for listen in &service.listen {
            self.add_listen(listen, &service.name);
        }
    }

    pub(super) fn add_listen(&mut self, listen: &Listen, name: &str) {
        match listen {
            Listen::Address(address) => {
                self.addresses.entry(*address).or_insert_with(|| name.to_owned());
                self.ports.entry(address.port()).or_insert_with(|| name.to_owned());
            }
            Listen::EveryAddress(port) => {
                self.every_address.entry(*port).or_insert_with(|| name.to_owned());
            }
        }
    }

    pub fn has_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The service that holds a listen which overlaps this one.
    pub fn holder(&self, listen: &Listen, public_addresses: &[IpAddr]) -> Option<&str> {
        let every = self.every_address.get(&listen.port());
        let holder = match listen {
            Listen::Address(address) => {
                let is_public = public_addresses.is_empty() || public_addresses.contains(&address.ip());
                self.addresses.get(address).or(every.filter(|_| is_public))
            }
            Listen::EveryAddress(port) if public_addresses.is_empty() => every.or_else(|| self.ports.get(port)),
            Listen::EveryAddress(port) => every.or_else(|| {
                public_addresses.iter().find_map(|address| self.addresses.get(&SocketAddr::new(*address, *port)))
            }),
        };
        holder.map(String::as_str)
    }
}
