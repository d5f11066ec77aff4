//! The host around the datapath: where a client's packets come in, and where translated ones go.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
};

use anyhow::{Context, Result};
use tokio::runtime::Handle;

use crate::host::{
    links::{Interface, Kind},
    route::{Route, Routes, Unroutable},
};

/// Routes, each asked for once. Waits for the kernel's answers, so not for an async thread.
pub struct Way {
    runtime: Handle,
    routes: Routes,
    /// The interface that the client's packets come in by: of a VLAN, its parent, as XDP sees it.
    pub ingress: Option<Interface>,
    found: RefCell<HashMap<(IpAddr, IpAddr), Result<Route, Unroutable>>>,
    failure: Cell<Option<anyhow::Error>>,
}

impl Way {
    pub fn of(client: IpAddr) -> Result<Self> {
        let runtime = Handle::try_current().context("ask for routes")?;
        let routes = runtime.block_on(Routes::new())?;
        let ingress = match runtime.block_on(routes.towards(client))? {
            Some(Interface { kind: Kind::Vlan { parent, .. }, .. }) => routes.interface(parent).cloned(),
            other => other,
        };
        Ok(Self { runtime, routes, ingress, found: RefCell::default(), failure: Cell::new(None) })
    }

    /// The route of packets from a source address to a backend. None, and noted, where the kernel could not be asked.
    pub fn find(&self, source: IpAddr, backend: IpAddr) -> Option<Result<Route, Unroutable>> {
        if let Some(known) = self.found.borrow().get(&(source, backend)) {
            return Some(known.clone());
        }
        let asked = self.runtime.block_on(self.routes.find(self.ingress.as_ref(), source, backend));
        let route = self.noted(asked)?;
        self.found.borrow_mut().insert((source, backend), route.clone());
        Some(route)
    }

    /// A route towards a backend that was asked for.
    pub fn known(&self, backend: IpAddr) -> Option<Route> {
        let found = self.found.borrow();
        found.iter().find(|((_, to), _)| *to == backend).and_then(|(_, route)| route.clone().ok())
    }

    /// None, and noted, where something could not be asked.
    pub fn noted<T>(&self, asked: Result<T>) -> Option<T> {
        asked.map_err(|error| self.failure.set(Some(error))).ok()
    }

    /// An error if something could not be asked, so that what was decided counts for nothing.
    pub fn check(&self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}
