//! The addresses and usable neighbours of the host, to tell news from repetition.

use std::{collections::HashMap, hash::Hash};

use ipnet::IpNet;
use netlink_packet_route::{
    address::{AddressFlags, AddressMessage},
    neighbour::NeighbourMessage,
};

use crate::host::{
    neighbour_entry::{Entry, Neighbour},
    netlink::{address_flags, own_address},
};

/// What was reported last. Every method says whether the report is news.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Link-layer addresses of the neighbours that the kernel sends to. One that is not resolved is as good as none.
    neighbours: HashMap<Neighbour, Vec<u8>>,
    addresses: HashMap<(u32, IpNet), AddressFlags>,
}

impl Known {
    pub fn from_dump(addresses: Vec<AddressMessage>, neighbours: Vec<NeighbourMessage>) -> Self {
        let mut known = Self::default();
        for message in &addresses {
            known.address_is(message);
        }
        for message in &neighbours {
            known.neighbour_is(message);
        }
        known
    }

    pub fn neighbour_is(&mut self, message: &NeighbourMessage) -> bool {
        Entry::from_message(message).is_some_and(|entry| is_news(&mut self.neighbours, entry.neighbour, entry.resolved))
    }

    pub fn neighbour_left(&mut self, message: &NeighbourMessage) -> bool {
        Entry::from_message(message).is_some_and(|entry| is_news(&mut self.neighbours, entry.neighbour, None))
    }

    pub fn address_is(&mut self, message: &AddressMessage) -> bool {
        own_address(message).is_some_and(|address| {
            is_news(&mut self.addresses, (message.header.index, address), Some(address_flags(message)))
        })
    }

    pub fn address_left(&mut self, message: &AddressMessage) -> bool {
        own_address(message).is_some_and(|address| is_news(&mut self.addresses, (message.header.index, address), None))
    }
}

/// Keeps what `key` is at present; none is absent.
fn is_news<K: Eq + Hash, V: PartialEq>(map: &mut HashMap<K, V>, key: K, present: Option<V>) -> bool {
    if map.get(&key) == present.as_ref() {
        return false;
    }
    match present {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
    true
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use netlink_packet_route::{
        AddressFamily,
        address::AddressAttribute,
        neighbour::{NeighbourAttribute, NeighbourState},
    };

    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn neighbour(state: NeighbourState, mac: Option<[u8; 6]>) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = 3;
        message.header.state = state;
        message.attributes.push(NeighbourAttribute::Destination(IpAddr::V4(IP).into()));
        message.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
        message
    }

    fn address(flags: AddressFlags) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.index = 3;
        message.header.prefix_len = 24;
        message.attributes = vec![AddressAttribute::Address(IP.into()), AddressAttribute::Flags(flags)];
        message
    }

    #[test]
    fn confirming_a_neighbour_is_no_news() {
        let mut known = Known::from_dump(vec![], vec![neighbour(NeighbourState::Reachable, Some(MAC))]);
        for state in [
            NeighbourState::Stale,
            NeighbourState::Delay,
            NeighbourState::Probe,
            NeighbourState::Reachable,
            NeighbourState::Permanent,
        ] {
            assert!(!known.neighbour_is(&neighbour(state, Some(MAC))), "{state}");
        }
    }

    #[test]
    fn another_link_layer_address_is_news_once() {
        let mut known = Known::from_dump(vec![], vec![neighbour(NeighbourState::Reachable, Some(MAC))]);
        assert!(known.neighbour_is(&neighbour(NeighbourState::Stale, Some(OTHER_MAC))));
        assert!(!known.neighbour_is(&neighbour(NeighbourState::Reachable, Some(OTHER_MAC))));
    }

    #[test]
    fn losing_and_resolving_a_neighbour_are_news() {
        let mut known = Known::default();
        assert!(!known.neighbour_is(&neighbour(NeighbourState::Incomplete, None)));
        assert!(known.neighbour_is(&neighbour(NeighbourState::Reachable, Some(MAC))));
        assert!(known.neighbour_is(&neighbour(NeighbourState::Failed, Some(MAC))));
        assert!(!known.neighbour_left(&neighbour(NeighbourState::Failed, None)));
        assert!(known.neighbour_is(&neighbour(NeighbourState::Reachable, Some(MAC))));
        assert!(known.neighbour_left(&neighbour(NeighbourState::Stale, Some(MAC))));
    }

    #[test]
    fn forwarding_entry_of_a_bridge_is_no_news() {
        let mut entry = neighbour(NeighbourState::Reachable, Some(MAC));
        entry.header.family = AddressFamily::Bridge;
        entry.attributes.retain(|attribute| matches!(attribute, NeighbourAttribute::LinkLayerAddress(_)));
        assert!(!Known::default().neighbour_is(&entry));
    }

    #[test]
    fn renewing_an_address_is_no_news_but_its_flags_and_end_are() {
        let mut known = Known::default();
        assert!(known.address_is(&address(AddressFlags::Tentative)));
        assert!(known.address_is(&address(AddressFlags::Permanent)));
        assert!(!known.address_is(&address(AddressFlags::Permanent)));
        assert!(known.address_left(&address(AddressFlags::Permanent)));
        assert!(!known.address_left(&address(AddressFlags::Permanent)));
    }
}
