//! The wires between clients and the front server.

use super::{ClientSide, Lab};
use crate::{Namespace, link};

/// Wires the client to `eth0` of the front server.
pub(super) fn wire(lab: &mut Lab, side: ClientSide) {
    match side {
        ClientSide::Wire => {
            link::connect((&lab.client, "eth0"), (&lab.front, "eth0"));
            assign_neighbours(lab);
        }
        ClientSide::Direct => {
            let switch = first_card(lab);
            plug(&switch, &lab.client, "eth0", "client");
            assign_neighbours(lab);
            lab.switches.push(switch);
        }
        ClientSide::Vlan(id) => {
            let switch = first_card(lab);
            plug(&switch, &lab.client, "eth0", "client");
            let device = link::vlan(&lab.front, "eth0", id);
            assign_public(lab, &device);
            let device = link::vlan(&lab.client, "eth0", id);
            link::assign(&lab.client, &device, "203.0.113.2/24", "2001:db8:1::2/64");
            link::default_route(&lab.client, "203.0.113.10", "2001:db8:1::10");
            lab.switches.push(switch);
        }
        ClientSide::Routed => {
            let switch = first_card(lab);
            wire_routers(lab, &switch);
            lab.switches.push(switch);
        }
    }
}

/// A switch, so that more hosts can join the segment, with `eth0` of the front server plugged in.
fn first_card(lab: &Lab) -> Namespace {
    let switch = Namespace::new(lab.id(), "lan0");
    link::bridge(&switch, "br0");
    plug(&switch, &lab.front, "eth0", "front");
    switch
}

/// Client and front server on one segment, untagged.
fn assign_neighbours(lab: &Lab) {
    assign_public(lab, "eth0");
    link::assign(&lab.client, "eth0", "203.0.113.2/24", "2001:db8:1::2/64");
    link::default_route(&lab.client, "203.0.113.10", "2001:db8:1::10");
}

/// Two routers: neither client nor front server sees the MTU of the link between them.
fn wire_routers(lab: &mut Lab, switch: &Namespace) {
    let [near, far] = ["internet0", "internet1"].map(|role| Namespace::new(lab.id(), role));
    link::forward(&near);
    link::forward(&far);
    plug(switch, &near, "eth0", "router");
    link::connect((&near, "eth1"), (&far, "eth0"));
    link::connect((&far, "eth1"), (&lab.client, "eth0"));
    assign_public(lab, "eth0");
    link::assign(&near, "eth0", "203.0.113.1/24", "2001:db8:1::1/64");
    link::assign(&near, "eth1", "192.0.2.1/24", "2001:db8:3::1/64");
    link::assign(&far, "eth0", "192.0.2.2/24", "2001:db8:3::2/64");
    link::assign(&far, "eth1", "198.51.100.1/24", "2001:db8:2::1/64");
    link::assign(&lab.client, "eth0", "198.51.100.2/24", "2001:db8:2::2/64");
    link::default_route(&lab.front, "203.0.113.1", "2001:db8:1::1");
    near.ip(&["route add 198.51.100.0/24 via 192.0.2.2", "route add 2001:db8:2::/64 via 2001:db8:3::2"]);
    link::default_route(&far, "192.0.2.1", "2001:db8:3::1");
    link::default_route(&lab.client, "198.51.100.1", "2001:db8:2::1");
    lab.client.v4 = "198.51.100.2".parse().expect("an address");
    lab.client.v6 = "2001:db8:2::2".parse().expect("an address");
    lab.client_routers = vec![near, far];
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
