//! The host's network interfaces.

use std::{collections::HashMap, fs};

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::{
    address::{AddressFlags, AddressMessage, AddressScope},
    link::{InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, LinkXdp},
};
use rtnetlink::Handle;

use super::netlink::{address_flags, connect, own_address};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    pub kind: Kind,
    /// None where the link layer is not Ethernet.
    pub mac: Option<[u8; 6]>,
    /// In bytes, without the link layer's header.
    pub mtu: u32,
    /// Set up by the administrator; its carrier can still be missing.
    pub up: bool,
    /// Index of the bridge or bond it is a port of.
    pub master: Option<u32>,
    /// Addresses of global scope that can be used at present.
    pub addresses: Vec<IpNet>,
}

impl Interface {
    /// The driver of a network card.
    pub fn driver(&self) -> Option<String> {
        let link = fs::read_link(format!("/sys/class/net/{}/device/driver", self.name)).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }
}

/// What kind of device an interface is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A network card, also one of a virtual machine.
    Physical,
    Veth,
    Bridge,
    /// 802.1Q interface with this VLAN id, on top of the interface with the index `parent`.
    Vlan {
        parent: u32,
        id: u16,
    },
    Dummy,
    Loopback,
    /// TUN or TAP.
    Tun,
    Bond,
    /// Another kind, by the kernel's name of it.
    Other(String),
}

/// Every interface, as it is at present.
pub async fn snapshot() -> Result<Vec<Interface>> {
    try_snapshot(&connect()?).await.context("list the network interfaces")
}

/// The number of the XDP program on each interface that has one, by the interface's index.
pub async fn xdp_programs() -> Result<HashMap<u32, u32>> {
    let links: Vec<_> = connect()?.link().get().execute().try_collect().await.context("list the network interfaces")?;
    let program = |link: &LinkMessage| {
        link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Xdp(facts) => facts.iter().find_map(|fact| match fact {
                LinkXdp::ProgId(number) => Some(*number),
                _ => None,
            }),
            _ => None,
        })
    };
    Ok(links.iter().filter_map(|link| Some((link.header.index, program(link)?))).collect())
}

/// The interface of this name, if there is one.
pub async fn find(name: &str) -> Result<Option<Interface>> {
    Ok(snapshot().await?.into_iter().find(|interface| interface.name == name))
}

async fn try_snapshot(handle: &Handle) -> Result<Vec<Interface>> {
    let links: Vec<_> = handle.link().get().execute().try_collect().await?;
    let messages: Vec<_> = handle.address().get().execute().try_collect().await?;
    let mut addresses: HashMap<u32, Vec<IpNet>> = HashMap::new();
    for message in messages.iter().filter(|message| is_usable(message)) {
        addresses.entry(message.header.index).or_default().extend(own_address(message));
    }
    Ok(links.into_iter().map(|link| interface(&link, addresses.remove(&link.header.index))).collect())
}

fn is_usable(address: &AddressMessage) -> bool {
    address.header.scope == AddressScope::Universe
        && !address_flags(address).intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
}

fn interface(message: &LinkMessage, addresses: Option<Vec<IpNet>>) -> Interface {
    let header = &message.header;
    let mut interface = Interface {
        index: header.index,
        name: String::new(),
        kind: kind(message),
        mac: None,
        mtu: 0,
        up: header.flags.contains(LinkFlags::Up),
        master: None,
        addresses: addresses.unwrap_or_default(),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::Controller(index) => interface.master = Some(*index),
            LinkAttribute::Address(bytes) if header.link_layer_type == LinkLayerType::Ether => {
                interface.mac = bytes.as_slice().try_into().ok();
            }
            _ => {}
        }
    }
    interface
}

fn kind(message: &LinkMessage) -> Kind {
    if message.header.flags.contains(LinkFlags::Loopback) {
        return Kind::Loopback;
    }
    let info = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(info) => Some(info.as_slice()),
        _ => None,
    });
    let named = info.unwrap_or_default().iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    });
    match named {
        None => Kind::Physical,
        Some(InfoKind::Veth) => Kind::Veth,
        Some(InfoKind::Bridge) => Kind::Bridge,
        Some(InfoKind::Vlan) => vlan(message, info.unwrap_or_default()),
        Some(InfoKind::Dummy) => Kind::Dummy,
        Some(InfoKind::Tun) => Kind::Tun,
        Some(InfoKind::Bond) => Kind::Bond,
        Some(other) => Kind::Other(other.to_string()),
    }
}

fn vlan(message: &LinkMessage, info: &[LinkInfo]) -> Kind {
    let parent = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Link(index) => Some(*index),
        _ => None,
    });
    let data = info.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(data)) => Some(data.as_slice()),
        _ => None,
    });
    let id = data.unwrap_or_default().iter().find_map(|data| match data {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    });
    match (parent, id) {
        (Some(parent), Some(id)) => Kind::Vlan { parent, id },
        _ => Kind::Other(InfoKind::Vlan.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.attributes = attributes;
        message
    }

    #[test]
    fn vlan_names_its_parent_and_id() {
        let data = InfoData::Vlan(vec![InfoVlan::Id(200)]);
        let info = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(data)]);
        assert_eq!(kind(&link(vec![LinkAttribute::Link(3), info])), Kind::Vlan { parent: 3, id: 200 });
    }

    #[test]
    fn device_without_a_kind_is_physical_and_an_unlisted_kind_keeps_its_name() {
        assert_eq!(kind(&link(vec![])), Kind::Physical);
        let vxlan = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vxlan)]);
        assert_eq!(kind(&link(vec![vxlan])), Kind::Other("vxlan".to_owned()));
    }
}
