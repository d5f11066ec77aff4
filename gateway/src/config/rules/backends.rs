//! Rules about a service's backends: their addresses, weights and families.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
};

use super::{Context, Field, Problem, address::family, unusable_endpoint};
use crate::model::{Listen, Service};

pub(super) fn check(service: &Service, context: &Context<'_>, problems: &mut Vec<Problem>) {
    let listens: HashSet<SocketAddr> =
        service.listen.iter().flat_map(|listen| listen.resolve(context.public_addresses)).collect();
    let mut seen = HashMap::new();
    for (index, backend) in service.backends.iter().enumerate() {
        let field = Field::BackendAddress(index);
        let address = backend.address;
        problems.extend(unusable_endpoint(address).map(|mut fault| {
            fault.message = format!("backend {}", fault.message);
            Problem::from_fault(field, fault)
        }));
        if let Some(first) = seen.insert(address, index) {
            let message = format!("backend {address} is there already, as number {}", first + 1);
            problems.push(Problem::new(field, message, "remove one; a larger share is given by `weight`"));
        }
        if listens.contains(&address) {
            let message = format!("backend {address} is an address of the service itself");
            problems.push(Problem::new(field, message, "give the address and port of the server behind it"));
        }
        if !listens.contains(&address) && is_front_server(address.ip(), context) {
            let message = format!("backend {} is an address of this server itself", address.ip());
            let remedy =
                "run the server in a container or on another host: the kernel drops what comes from its own address";
            problems.push(Problem::new(field, message, remedy));
        }
        problems.extend(unreachable_family(field, service, address.ip(), context));
        if backend.weight == 0 {
            let message = format!("backend {address} has weight 0");
            let remedy = "use 1 to 65535; drain a backend that is to get no new connections";
            problems.push(Problem::new(Field::BackendWeight(index), message, remedy));
        }
    }
}

fn is_front_server(address: IpAddr, context: &Context<'_>) -> bool {
    context.public_addresses.contains(&address) || context.snat_addresses.contains(&address)
}

/// Refuses a backend that no client of the service could be sent to.
fn unreachable_family(field: Field, service: &Service, backend: IpAddr, context: &Context<'_>) -> Option<Problem> {
    let same_family = |address: &IpAddr| address.is_ipv4() == backend.is_ipv4();
    let family = family(&backend);
    if !service.listen.is_empty() && !service.listen.iter().any(|listen| has_family(listen, backend, context)) {
        let message = format!("backend {backend} is {family}, but the service has no {family} listen");
        return Some(Problem::new(
            field,
            message,
            format!("add an {family} listen or use a backend of the other family"),
        ));
    }
    let snat = context.snat_addresses;
    (!snat.is_empty() && !snat.iter().any(same_family)).then(|| {
        let message = format!("backend {backend} is {family}, but [snat] has no {family} address");
        Problem::new(field, message, format!("add this server's internal {family} address to [snat] addresses"))
    })
}

/// The listens whose clients find no backend of their address family. Says nothing while there is no backend at all.
///
/// A `:port` listen is a problem only if none of its families is served.
pub fn unserved_families(service: &Service, context: &Context<'_>) -> Vec<Problem> {
    let is_unserved =
        |listen: &Listen| !service.backends.iter().any(|backend| has_family(listen, backend.address.ip(), context));
    let unserved = service.listen.iter().enumerate().filter(|(_, listen)| is_unserved(listen));
    let problem = |(index, listen): (usize, &Listen)| {
        let family = match listen {
            Listen::Address(address) => family(&address.ip()),
            Listen::EveryAddress(_) => context.public_addresses.first().map_or("IPv4 or IPv6", family),
        };
        let message = format!("listen {listen} is {family}, but the service has no {family} backend");
        Problem::new(Field::Listen(index), message, format!("add an {family} backend or remove the listen"))
    };
    if service.backends.is_empty() { Vec::new() } else { unserved.map(problem).collect() }
}

/// The `:port` listens that have public addresses of both families, but backends of one: worth a warning.
pub fn half_served_listens(service: &Service, context: &Context<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let serves = |address: &IpAddr| service.backends.iter().any(|b| b.address.is_ipv4() == address.is_ipv4());
    let unserved = context.public_addresses.iter().find(|address| !serves(address));
    let Some(unserved) = unserved.filter(|_| context.public_addresses.iter().any(serves)) else { return problems };
    for (index, listen) in service.listen.iter().enumerate() {
        if matches!(listen, Listen::EveryAddress(_)) {
            let family = family(unserved);
            let message = format!("{family} clients of listen {listen} are refused: there is no {family} backend");
            let remedy = format!("add an {family} backend or listen on addresses of the other family only");
            problems.push(Problem::new(Field::Listen(index), message, remedy));
        }
    }
    problems
}

/// Whether a listen has an address of the same family as `address`.
fn has_family(listen: &Listen, address: IpAddr, context: &Context<'_>) -> bool {
    let public = context.public_addresses;
    matches!(listen, Listen::EveryAddress(_)) && public.is_empty()
        || listen.resolve(public).any(|own| own.is_ipv4() == address.is_ipv4())
}
