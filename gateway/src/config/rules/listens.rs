//! Rules about where a service listens.

use super::{Claims, Context, Field, Problem, unusable_endpoint};
use crate::{
    config::{
        PortRange,
        finding::{Fault, fault},
    },
    model::{Listen, Service},
};

pub(super) fn check(service: &Service, context: &Context<'_>, problems: &mut Vec<Problem>) {
    let mut own = Claims::default();
    for (index, listen) in service.listen.iter().enumerate() {
        let field = Field::Listen(index);
        problems.extend(unusable(listen).map(|fault| Problem::from_fault(field, fault)));
        problems.extend(inside_snat_range(field, listen, context.snat_ports));
        if let Some(holder) = context.others.holder(listen, context.public_addresses) {
            let message = format!("listen {listen} overlaps service \"{holder}\"");
            problems.push(Problem::new(field, message, "choose a port or an address that is free"));
        }
        if own.holder(listen, context.public_addresses).is_some() {
            let message = format!("listen {listen} overlaps another listen of the same service");
            problems.push(Problem::new(field, message, "remove one of the two"));
        }
        own.add_listen(listen, &service.name);
    }
    if service.listen.is_empty() {
        problems.push(Problem::new(Field::Listen(0), "the service has no listen", "give it an address and port"));
    }
}

fn unusable(listen: &Listen) -> Option<Fault> {
    match listen {
        Listen::Address(address) if address.ip().is_unspecified() => {
            let remedy = format!("write \":{}\" for every public address", address.port());
            Some(fault(format!("{} is the unspecified address", address.ip()), remedy))
        }
        Listen::Address(address) => unusable_endpoint(*address),
        Listen::EveryAddress(0) => Some(fault(format!("{listen} has port 0"), "give a port from 1 to 65535")),
        Listen::EveryAddress(_) => None,
    }
}

fn inside_snat_range(field: Field, listen: &Listen, snat_ports: Option<PortRange>) -> Option<Problem> {
    let (port, range) = (listen.port(), snat_ports?);
    let remedy = match range.first() {
        1024 => format!("choose a port above {} or change [snat] ports", range.last()),
        first => format!("choose a port below {first} or change [snat] ports"),
    };
    range.contains(port).then(|| Problem::new(field, format!("port {port} is inside the snat range {range}"), remedy))
}
