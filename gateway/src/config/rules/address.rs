//! Addresses that a host can be reached at through the gateway.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::finding::{Fault, fault};

/// Why an address cannot be a service's, a backend's, a public or a translation address; `None` if it can.
///
/// Unspecified, loopback, multicast, broadcast, reserved, IPv6 link-local (it would need an interface) and IPv4
/// addresses in IPv6 form are refused.
pub fn unusable_address(address: IpAddr) -> Option<Fault> {
    let (kind, remedy) = match address {
        _ if address.is_unspecified() => ("the unspecified address", "give the address of one host"),
        _ if address.is_loopback() => {
            ("a loopback address, which never leaves its host", "give the address the host has on the network")
        }
        _ if address.is_multicast() => ("a multicast address", "give the address of one host: TCP is unicast"),
        IpAddr::V4(Ipv4Addr::BROADCAST) => ("the broadcast address", "give the address of one host: TCP is unicast"),
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => {
            ("a reserved address", "give the address of one host")
        }
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => ("an IPv4 address in IPv6 form", "write it as IPv4"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            ("a link-local address", "give a global or unique local (fc00::/7) address")
        }
        _ => return None,
    };
    Some(fault(format!("{address} is {kind}"), remedy))
}

/// Why an address and port cannot be connected to; `None` if they can. Like [`unusable_address`], and port 0 and IPv6
/// scopes are refused.
pub fn unusable_endpoint(endpoint: SocketAddr) -> Option<Fault> {
    match endpoint {
        _ if endpoint.port() == 0 => Some(fault(format!("{endpoint} has port 0"), "give a port from 1 to 65535")),
        SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            Some(fault(format!("{endpoint} has a scope"), "leave out `%` and what follows it"))
        }
        _ => unusable_address(endpoint.ip()),
    }
}

/// `IPv4` or `IPv6`.
pub(super) fn family(address: &IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}
