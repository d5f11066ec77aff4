//! The connection to rtnetlink and the facts that its messages carry.

use anyhow::{Context, Result};
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::Handle;

/// Opens a connection in the network namespace of the calling thread; it ends with the last clone of the handle.
pub(super) fn connect() -> Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection().context("open a netlink socket")?;
    tokio::spawn(connection);
    Ok(handle)
}

/// The host's own address in the message, with the length of its network's prefix.
///
/// On a point-to-point link `IFA_ADDRESS` is the peer's, so `IFA_LOCAL` goes first.
pub(super) fn own_address(message: &AddressMessage) -> Option<IpNet> {
    let attributes = &message.attributes;
    let local = attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let address = attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    });
    IpNet::new(local.or(address)?, message.header.prefix_len).ok()
}

/// All flags of the address; its header has room for the first eight only.
pub(super) fn address_flags(message: &AddressMessage) -> AddressFlags {
    let flags = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    flags.unwrap_or_else(|| AddressFlags::from_bits_retain(message.header.flags.bits().into()))
}
