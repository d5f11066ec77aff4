//! The wires between the front server and its backends.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{BackendSide, Lab, client_side::plug};
use crate::{Host, Namespace, link};

/// A network of backends: the front server, or the router before them, has host number 1.
#[derive(Clone, Copy)]
struct Subnet {
    /// Third byte of 10.0.N.0/24.
    v4: u8,
    /// Fourth group of fd00:0:0:N::/64.
    v6: u16,
}

const SEGMENT: Subnet = Subnet { v4: 0, v6: 0 };
const BEHIND_ROUTERS: Subnet = Subnet { v4: 1, v6: 1 };
const BETWEEN_ROUTERS: Subnet = Subnet { v4: 250, v6: 250 };
const BRIDGE: Subnet = Subnet { v4: 2, v6: 2 };
const FIRST_VETH: u8 = 3;

impl Subnet {
    fn v4(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, self.v4, host)
    }

    fn v6(self, host: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0, 0, self.v6, 0, 0, 0, u16::from(host))
    }

    fn assign(self, namespace: &Namespace, device: &str, host: u8) {
        link::assign(namespace, device, &format!("{}/24", self.v4(host)), &format!("{}/64", self.v6(host)));
    }

    fn route_through(self, namespace: &Namespace, host: u8) {
        link::default_route(namespace, &self.v4(host).to_string(), &self.v6(host).to_string());
    }

    /// Adds the route to this network through host number `host` of the network `via`.
    fn add_route(self, namespace: &Namespace, via: Self, host: u8) {
        namespace.ip(&[
            format!("route add {}/24 via {}", self.v4(0), via.v4(host)),
            format!("route add {}/64 via {}", self.v6(0), via.v6(host)),
        ]);
    }

    fn host(self, lab: &Lab, index: usize) -> Host {
        let number = host_number(index);
        Host {
            namespace: Namespace::new(lab.id(), &format!("backend{index}")),
            v4: self.v4(number),
            v6: self.v6(number),
        }
    }
}

/// Backends count from host number 11.
fn host_number(index: usize) -> u8 {
    11 + u8::try_from(index).expect("few backends")
}

/// Wires `count` backends to the front server.
pub(super) fn wire(lab: &mut Lab, side: BackendSide, count: usize) {
    match side {
        BackendSide::Segment => wire_segment(lab, count),
        BackendSide::Wire => wire_wire(lab, count),
        BackendSide::Vlan(id) => wire_vlan(lab, count, id),
        BackendSide::Routed => wire_routers(lab, count),
        BackendSide::OneArm => wire_one_arm(lab, count),
        BackendSide::Bridge => wire_bridge(lab, count),
        BackendSide::Veth => wire_veths(lab, count),
    }
}

fn wire_segment(lab: &mut Lab, count: usize) {
    let switch = second_card(lab);
    SEGMENT.assign(&lab.front, "eth1", 1);
    join(lab, &switch, SEGMENT, count);
    lab.switches.push(switch);
}

fn wire_wire(lab: &mut Lab, count: usize) {
    assert_eq!(count, 1, "a wire has one other end");
    let host = SEGMENT.host(lab, 0);
    link::connect((&lab.front, "eth1"), (&host, "eth0"));
    lab.front.interfaces.push("eth1".to_owned());
    SEGMENT.assign(&lab.front, "eth1", 1);
    configure(&host, SEGMENT, 0);
    lab.backends.push(host);
}

fn wire_vlan(lab: &mut Lab, count: usize, id: u16) {
    let switch = second_card(lab);
    let device = link::vlan(&lab.front, "eth1", id);
    SEGMENT.assign(&lab.front, &device, 1);
    for index in 0..count {
        let host = SEGMENT.host(lab, index);
        plug(&switch, &host, "eth0", &format!("port{index}"));
        let device = link::vlan(&host, "eth0", id);
        SEGMENT.assign(&host, &device, host_number(index));
        SEGMENT.route_through(&host, 1);
        lab.backends.push(host);
    }
    lab.switches.push(switch);
}

/// Two routers: neither front server nor backends see the MTU of the link between them.
fn wire_routers(lab: &mut Lab, count: usize) {
    const ROUTER: u8 = 254;
    const FAR: u8 = 2;
    let to_front = second_card(lab);
    SEGMENT.assign(&lab.front, "eth1", 1);
    let [near, far] = ["router0", "router1"].map(|role| Namespace::new(lab.id(), role));
    link::forward(&near);
    link::forward(&far);
    plug(&to_front, &near, "eth0", "router");
    SEGMENT.assign(&near, "eth0", ROUTER);
    SEGMENT.route_through(&near, 1);
    link::connect((&near, "eth1"), (&far, "eth0"));
    BETWEEN_ROUTERS.assign(&near, "eth1", 1);
    BETWEEN_ROUTERS.assign(&far, "eth0", FAR);
    BETWEEN_ROUTERS.route_through(&far, 1);
    let to_backends = switch(lab, "lan2");
    plug(&to_backends, &far, "eth1", "router");
    BEHIND_ROUTERS.assign(&far, "eth1", 1);
    BEHIND_ROUTERS.add_route(&lab.front, SEGMENT, ROUTER);
    BEHIND_ROUTERS.add_route(&near, BETWEEN_ROUTERS, FAR);
    join(lab, &to_backends, BEHIND_ROUTERS, count);
    lab.switches.extend([to_front, to_backends]);
    lab.backend_routers = vec![near, far];
}

fn wire_one_arm(lab: &mut Lab, count: usize) {
    SEGMENT.assign(&lab.front, "eth0", 1);
    let switch = lab.switches.pop().expect("clients are wired first");
    join(lab, &switch, SEGMENT, count);
    lab.switches.push(switch);
}

fn wire_bridge(lab: &mut Lab, count: usize) {
    internal_addresses_on_loopback(lab);
    link::bridge(&lab.front, "br0");
    BRIDGE.assign(&lab.front, "br0", 1);
    for index in 0..count {
        let host = BRIDGE.host(lab, index);
        plug(&lab.front, &host, "eth0", &format!("port{index}"));
        configure(&host, BRIDGE, index);
        lab.backends.push(host);
    }
    lab.front.interfaces.push("br0".to_owned());
}

fn wire_veths(lab: &mut Lab, count: usize) {
    internal_addresses_on_loopback(lab);
    for index in 0..count {
        let number = FIRST_VETH + u8::try_from(index).expect("few backends");
        let subnet = Subnet { v4: number, v6: number.into() };
        let host = subnet.host(lab, index);
        let device = format!("veth{index}");
        link::connect((&lab.front, &device), (&host, "eth0"));
        subnet.assign(&lab.front, &device, 1);
        configure(&host, subnet, index);
        lab.front.interfaces.push(device);
        lab.backends.push(host);
    }
}

/// A front server whose backends are all local has its internal addresses on no network card.
fn internal_addresses_on_loopback(lab: &Lab) {
    link::assign(&lab.front, "lo", &format!("{}/32", lab.front.snat_v4), &format!("{}/128", lab.front.snat_v6));
}

fn second_card(lab: &mut Lab) -> Namespace {
    let switch = switch(lab, "lan1");
    plug(&switch, &lab.front, "eth1", "front");
    lab.front.interfaces.push("eth1".to_owned());
    switch
}

fn switch(lab: &Lab, role: &str) -> Namespace {
    let switch = Namespace::new(lab.id(), role);
    link::bridge(&switch, "br0");
    switch
}

fn join(lab: &mut Lab, switch: &Namespace, subnet: Subnet, count: usize) {
    for index in 0..count {
        let host = subnet.host(lab, index);
        plug(switch, &host, "eth0", &format!("port{index}"));
        configure(&host, subnet, index);
        lab.backends.push(host);
    }
}

fn configure(host: &Namespace, subnet: Subnet, index: usize) {
    subnet.assign(host, "eth0", host_number(index));
    subnet.route_through(host, 1);
}
