//! The wires between clients and the front server.

use super::{ClientSide, Lab};
use crate::{Namespace, link};

/// Wires the client to `eth0` of the front server through a switch, so that more hosts can join the segment.
pub(super) fn wire(lab: &mut Lab, side: ClientSide) {
    let switch = Namespace::new(lab.id(), "lan0");
    link::bridge(&switch, "br0");
    plug(&switch, &lab.front, "eth0", "front");
    match side {
        ClientSide::Direct => {
            plug(&switch, &lab.client, "eth0", "client");
            assign_public(lab, "eth0");
            link::assign(&lab.client, "eth0", "203.0.113.2/24", "2001:db8:1::2/64");
            link::default_route(&lab.client, "203.0.113.10", "2001:db8:1::10");
        }
        ClientSide::Vlan(id) => {
            plug(&switch, &lab.client, "eth0", "client");
            let device = link::vlan(&lab.front, "eth0", id);
            assign_public(lab, &device);
            let device = link::vlan(&lab.client, "eth0", id);
            link::assign(&lab.client, &device, "203.0.113.2/24", "2001:db8:1::2/64");
            link::default_route(&lab.client, "203.0.113.10", "2001:db8:1::10");
        }
        ClientSide::Routed => wire_router(lab, &switch),
    }
    lab.switches.push(switch);
}

fn wire_router(lab: &mut Lab, switch: &Namespace) {
    let router = Namespace::new(lab.id(), "internet");
    link::forward(&router);
    plug(switch, &router, "eth0", "router");
    link::connect((&router, "eth1"), (&lab.client, "eth0"));
    assign_public(lab, "eth0");
    link::assign(&router, "eth0", "203.0.113.1/24", "2001:db8:1::1/64");
    link::assign(&router, "eth1", "198.51.100.1/24", "2001:db8:2::1/64");
    link::assign(&lab.client, "eth0", "198.51.100.2/24", "2001:db8:2::2/64");
    link::default_route(&lab.front, "203.0.113.1", "2001:db8:1::1");
    link::default_route(&lab.client, "198.51.100.1", "2001:db8:2::1");
    lab.client.v4 = "198.51.100.2".parse().expect("an address");
    lab.client.v6 = "2001:db8:2::2".parse().expect("an address");
    lab.client_router = Some(router);
}

fn assign_public(lab: &Lab, device: &str) {
    for (v4, v6) in lab.front.public_v4.iter().zip(lab.front.public_v6) {
        link::assign(&lab.front, device, &format!("{v4}/24"), &format!("{v6}/64"));
    }
}

/// Connects `device` of a host to the port `port` of a switch.
pub(super) fn plug(switch: &Namespace, host: &Namespace, device: &str, port: &str) {
    link::connect((host, device), (switch, port));
    switch.ip(&[format!("link set {port} master br0")]);
}
