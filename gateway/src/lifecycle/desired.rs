//! The services that are wanted, from the configuration file and from the control API, as one value.
//!
//! Names are unique, no two services listen on the same address, and every service satisfies
//! [`config::rules`](crate::config::rules). The file's services are the file's: at run time their backends can be
//! drained and re-weighed, nothing else, and that holds until the file describes the service differently.
//! The next state shares all that does not change with the one before, so it costs the same however many services
//! there are.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use imbl::{OrdMap, OrdSet};

use super::{Refusal, ResolvedService, Site};
use crate::{
    config::rules::{self, Claims},
    model::{Deployment, Listen, Owner, Service},
};

mod backends;
mod deployments;
mod merge;
mod records;
mod services;
#[cfg(test)]
mod tests;

pub use records::{Record, Write};

/// Everything that is wanted of the gateway.
#[derive(Clone, Debug)]
pub struct Desired {
    site: Arc<Site>,
    services: OrdMap<Arc<str>, Arc<Entry>>,
    /// The holder of every address that is listened on, by port.
    listeners: OrdMap<u16, OrdMap<IpAddr, Arc<str>>>,
    /// The ports of `[public] ports` that nobody listens on.
    free_ports: OrdSet<u16>,
}

/// A service and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is in force.
    pub resolved: Arc<ResolvedService>,
    /// As the configuration file describes it; absent if it came through the control API.
    declared: Option<Service>,
    /// The latest one.
    deployment: Option<Deployment>,
}

impl Entry {
    pub fn service(&self) -> &Service {
        &self.resolved.service
    }

    pub fn deployment(&self) -> Option<&Deployment> {
        self.deployment.as_ref()
    }

    pub fn owner(&self) -> Owner {
        if self.declared.is_some() { Owner::File } else { Owner::Control }
    }
}

impl Desired {
    /// A state without services.
    pub fn new(site: Site) -> Self {
        let ports = site.public_ports.into_iter().flat_map(|ports| ports.first()..=ports.last());
        let free_ports = ports.filter(|port| site.gives_out(*port)).collect();
        Self { site: Arc::new(site), services: OrdMap::new(), listeners: OrdMap::new(), free_ports }
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Every service, sorted by name.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.services.values().map(|entry| &**entry)
    }

    /// What the packet tables are to hold if all backends are well, sorted by name.
    pub fn resolved(&self) -> Vec<Arc<ResolvedService>> {
        self.services.values().map(|entry| entry.resolved.clone()).collect()
    }

    pub fn entry(&self, name: &str) -> Result<&Entry, Refusal> {
        self.services.get(name).map(|entry| &**entry).ok_or_else(|| Refusal::NoSuchService(name.to_owned()))
    }

    /// The ports of `[public] ports` that nobody listens on.
    pub(super) fn free_ports(&self) -> &OrdSet<u16> {
        &self.free_ports
    }

    /// This state with one more service.
    fn with_new(&self, service: Service) -> Result<Self, Refusal> {
        let mut next = self.clone();
        next.put_in(service, None, None)?;
        Ok(next)
    }

    /// This state with `service` in the place of the one of `entry`, which has the same name.
    fn with_changed(&self, entry: &Entry, service: Service) -> Result<Self, Refusal> {
        self.with_deployed(entry, service, entry.deployment.clone())
    }

    /// The same, with another latest deployment.
    fn with_deployed(&self, entry: &Entry, service: Service, deployment: Option<Deployment>) -> Result<Self, Refusal> {
        let mut next = self.clone();
        next.take_out(&service.name);
        next.put_in(service, entry.declared.clone(), deployment)?;
        Ok(next)
    }

    fn put_in(
        &mut self,
        service: Service,
        declared: Option<Service>,
        deployment: Option<Deployment>,
    ) -> Result<(), Refusal> {
        let listen = self.checked(&service)?;
        let name: Arc<str> = service.name.as_str().into();
        for address in &listen {
            self.listeners.entry(address.port()).or_default().insert(address.ip(), name.clone());
            self.free_ports.remove(&address.port());
        }
        let resolved = Arc::new(ResolvedService { service, listen, down: BTreeSet::new() });
        self.services.insert(name, Arc::new(Entry { resolved, declared, deployment }));
        Ok(())
    }

    fn take_out(&mut self, name: &str) {
        let Some(entry) = self.services.remove(name) else { return };
        for address in &entry.resolved.listen {
            let port = address.port();
            if let Some(holders) = self.listeners.get_mut(&port) {
                holders.remove(&address.ip());
                if holders.is_empty() {
                    self.listeners.remove(&port);
                    if self.site.gives_out(port) {
                        self.free_ports.insert(port);
                    }
                }
            }
        }
    }

    /// The addresses a service listens on, if it can be one of these services.
    fn checked(&self, service: &Service) -> Result<Vec<SocketAddr>, Refusal> {
        let site = self.site();
        let context = rules::Context {
            public_addresses: &site.public,
            snat_addresses: &site.snat,
            snat_ports: Some(site.snat_ports),
            // What others hold is looked up below, in an index that outlives the check.
            others: &Claims::default(),
        };
        let problems = rules::check_service(service, &context);
        if !problems.is_empty() {
            return Err(Refusal::Invalid { service: service.name.clone(), problems });
        }
        let mut resolved = Vec::with_capacity(service.listen.len());
        for listen in &service.listen {
            resolved.extend(self.resolve(service, listen)?);
        }
        Ok(resolved)
    }

    fn resolve(&self, service: &Service, listen: &Listen) -> Result<Vec<SocketAddr>, Refusal> {
        let addresses: Vec<SocketAddr> = listen.resolve(&self.site.public).collect();
        if addresses.is_empty() {
            return Err(Refusal::NoPublicAddress { service: service.name.clone(), listen: *listen });
        }
        for address in &addresses {
            let holders = self.listeners.get(&address.port());
            if let Some(holder) = holders.and_then(|holders| holders.get(&address.ip())) {
                return Err(Refusal::ListenTaken {
                    service: service.name.clone(),
                    listen: *address,
                    holder: holder.to_string(),
                    owner: self.entry(holder)?.owner(),
                });
            }
        }
        Ok(addresses)
    }
}
