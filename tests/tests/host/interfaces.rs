//! The list of interfaces.

use gateway::host::links::{Interface, Kind, find, snapshot};
use gateway_tests::link;

use crate::{Wire, on};

fn named(interfaces: &[Interface], name: &str) -> Interface {
    interfaces.iter().find(|interface| interface.name == name).unwrap_or_else(|| panic!("no {name}")).clone()
}

#[test]
fn interfaces_have_their_kind_and_place() {
    let wire = Wire::new();
    link::bridge(&wire.host, "br0");
    wire.host.ip(&[
        "link add port0 type veth peer name port1",
        "link set port0 master br0",
        "tuntap add tun0 mode tun",
    ]);
    let interfaces = on(&wire.host, || Box::pin(snapshot())).unwrap();
    assert_eq!(named(&interfaces, "lo").kind, Kind::Loopback);
    assert_eq!(named(&interfaces, "lo").mac, None);
    assert_eq!(named(&interfaces, "eth0").kind, Kind::Veth);
    assert_eq!(named(&interfaces, "tun0").kind, Kind::Tun);
    let bridge = named(&interfaces, "br0");
    assert_eq!(bridge.kind, Kind::Bridge);
    assert_eq!(named(&interfaces, "port0").master, Some(bridge.index));
}

#[test]
fn vlan_names_its_parent_and_id() {
    let wire = Wire::new();
    if !link::kernel_has_vlans(&wire.peer) {
        return eprintln!("skipped: this kernel has no 802.1Q interfaces");
    }
    let name = link::vlan(&wire.host, "eth0", 5);
    let interfaces = on(&wire.host, || Box::pin(snapshot())).unwrap();
    let parent = named(&interfaces, "eth0").index;
    assert_eq!(named(&interfaces, &name).kind, Kind::Vlan { parent, id: 5 });
}

#[test]
fn interface_shows_its_mac_mtu_state_and_global_addresses() {
    let wire = Wire::new();
    wire.host.ip(&["link set eth0 mtu 1400 address 02:00:00:00:00:07", "addr add 169.254.0.1/16 dev eth0 scope link"]);
    let eth0 = on(&wire.host, || Box::pin(find("eth0"))).unwrap().expect("eth0 exists");
    assert_eq!((eth0.mac, eth0.mtu, eth0.up), (Some([2, 0, 0, 0, 0, 7]), 1400, true));
    assert_eq!(eth0.addresses, ["10.0.0.1/24", "fd00::1/64"].map(|address| address.parse().unwrap()));

    wire.host.ip(&["link set eth0 down"]);
    let eth0 = on(&wire.host, || Box::pin(find("eth0"))).unwrap().expect("eth0 exists");
    assert!(!eth0.up);
    assert_eq!(on(&wire.host, || Box::pin(find("eth7"))).unwrap(), None);
}

#[test]
fn tentative_address_is_not_listed() {
    let wire = Wire::new();
    wire.host.sysctl("net/ipv6/conf/eth0/accept_dad", "1");
    wire.host.sysctl("net/ipv6/conf/eth0/dad_transmits", "100");
    wire.host.ip(&["addr add fd00::99/64 dev eth0"]);
    let eth0 = on(&wire.host, || Box::pin(find("eth0"))).unwrap().expect("eth0 exists");
    assert!(!eth0.addresses.contains(&"fd00::99/64".parse().unwrap()), "{:?}", eth0.addresses);
}
