//! The backends of a service, and what their part in it is.

use std::collections::HashMap;

use gateway_common::abi::Service;

use super::view::Maps;
use crate::{
    lifecycle::ResolvedService,
    model::{
        Backend, BackendState,
        explanation::{Candidate, Unused},
    },
    tables::backends::Backends,
};

/// All backends of `service`, which listens on an address of one family, in the order they were added.
pub fn of(maps: &Maps, service: &Service, resolved: &ResolvedService, backends: &Backends, v6: bool) -> Vec<Candidate> {
    let mut places: HashMap<u32, u32> = HashMap::new();
    for place in service.first_slot..service.first_slot.saturating_add(service.slots).min(maps.slots.len()) {
        *places.entry(maps.slots.get(place).0).or_default() += 1;
    }
    let name = &resolved.service.name;
    let candidate = |backend: &Backend| {
        let index = backends.indices(name, backend.address).next();
        Candidate {
            backend: backend.address,
            weight: backend.weight,
            state: backend.state,
            places: index.and_then(|index| places.get(&index)).copied().unwrap_or(0),
            open_flows: index.map_or(0, |index| backends.open_flows(index)),
            unused: unused(backend, resolved, v6),
        }
    };
    resolved.service.backends.iter().map(candidate).collect()
}

fn unused(backend: &Backend, resolved: &ResolvedService, v6: bool) -> Option<Unused> {
    match backend.state {
        _ if backend.address.is_ipv6() != v6 => Some(Unused::OtherFamily),
        BackendState::Starting => Some(Unused::Starting),
        BackendState::Draining => Some(Unused::Draining),
        BackendState::Active if resolved.down.contains(&backend.address) => Some(Unused::Down),
        BackendState::Active => None,
    }
}
