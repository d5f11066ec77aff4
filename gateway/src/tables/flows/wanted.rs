//! Which flows a listing is about.

use gateway_common::abi::{Address, Flow as Entry, Port};

use crate::{model::flow::FlowFilter, tables::backends::Backends};

/// A filter in the terms of the maps, all but the state, which takes both directions.
pub struct Wanted {
    client: Option<Address>,
    backend: Option<(Address, Port)>,
    /// By the backend's index; absent: every service.
    of_service: Option<Vec<bool>>,
}

impl Wanted {
    pub fn new(backends: &Backends, filter: &FlowFilter) -> Self {
        let of_service = filter.service.as_ref().map(|service| {
            let mut of_service = Vec::new();
            for (index, _) in backends.names().filter(|(_, name)| name.service == *service) {
                let index = index as usize;
                of_service.resize(of_service.len().max(index + 1), false);
                of_service[index] = true;
            }
            of_service
        });
        Self {
            client: filter.client.map(Address::from),
            backend: filter.backend.map(|backend| (backend.ip().into(), backend.port().to_be_bytes())),
            of_service,
        }
    }

    /// Whether an original direction belongs to a flow that is wanted, as far as it can tell.
    pub fn matches(&self, original: &Entry) -> bool {
        let of_service = |wanted: &Vec<bool>| wanted.get(original.backend as usize).copied().unwrap_or_default();
        self.of_service.as_ref().is_none_or(of_service)
            && self.client.is_none_or(|client| client == original.from.src)
            && self.backend.is_none_or(|backend| backend == (original.to.dst, original.to.dst_port))
    }
}
