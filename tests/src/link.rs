//! Wires between namespaces: veth pairs, switches, VLANs, and the device settings that make a veth behave like
//! a network card.

use crate::Namespace;

/// Connects `a` and `b` with a veth pair. `b` is given `(namespace, device)`, like `a`.
#[track_caller]
pub fn connect(a: (&Namespace, &str), b: (&Namespace, &str)) {
    let ((a, a_device), (b, b_device)) = (a, b);
    a.ip(&[format!("link add {a_device} type veth peer name {b_device} netns {}", b.name())]);
    let ends = [(a, a_device), (b, b_device)];
    // Both ends first: a veth learns only when it is brought up that its peer polls, and XDP may redirect to it then.
    for (namespace, device) in ends {
        behave_like_a_network_card(namespace, device);
    }
    for (namespace, device) in ends {
        namespace.ip(&[format!("link set {device} up")]);
    }
}

/// Settings without which a veth shows XDP programs what no wire carries:
/// - `tx off`: the sender completes checksums, and so cuts segments to the MTU. A veth otherwise hands over
///   frames with a partial checksum, which direct arithmetic cannot repair.
/// - `txvlan off rxvlan off`: VLAN tags stand in the frame instead of beside it.
/// - `gro on`: the receiver polls (NAPI); frames that XDP redirects or reflects to a veth without it are dropped.
#[track_caller]
pub fn behave_like_a_network_card(namespace: &Namespace, device: &str) {
    let settings = ["-K", device, "tx", "off", "txvlan", "off", "rxvlan", "off", "gro", "on"];
    namespace.output("ethtool", &settings).success();
}

/// Lets every received segment reach sockets and captures as it was sent. GRO stays on for its polling, but
/// merges nothing.
#[track_caller]
pub fn never_merge_received_segments(namespace: &Namespace, device: &str) {
    namespace.ip(&[format!("link set {device} gro_max_size 1")]);
}

/// Gives `device` an address of each family.
#[track_caller]
pub fn assign(namespace: &Namespace, device: &str, v4: &str, v6: &str) {
    namespace.ip(&[format!("addr add {v4} dev {device}"), format!("addr add {v6} dev {device} nodad")]);
}

/// Sends everything without a better route to these gateways.
#[track_caller]
pub fn default_route(namespace: &Namespace, v4: &str, v6: &str) {
    namespace.ip(&[format!("route replace default via {v4}"), format!("route replace default via {v6}")]);
}

/// Turns the namespace into a router.
#[track_caller]
pub fn forward(namespace: &Namespace) {
    namespace.sysctl("net/ipv4/ip_forward", "1");
    namespace.sysctl("net/ipv6/conf/all/forwarding", "1");
}

/// Creates a bridge that forwards at once and floods multicast, as IPv6 neighbour discovery needs.
#[track_caller]
pub fn bridge(namespace: &Namespace, device: &str) {
    namespace.ip(&[
        format!("link add {device} type bridge forward_delay 0 mcast_snooping 0"),
        format!("link set {device} up"),
    ]);
}

/// Adds the 802.1Q interface `device.ID` on top of `device` and gives its name.
#[track_caller]
pub fn vlan(namespace: &Namespace, device: &str, id: u16) -> String {
    let name = format!("{device}.{id}");
    namespace.ip(&[format!("link add link {device} name {name} type vlan id {id}"), format!("link set {name} up")]);
    name
}

/// Whether 802.1Q interfaces can be made, tried in `scratch`.
pub fn kernel_has_vlans(scratch: &Namespace) -> bool {
    let try_one = ["link", "add", "link", "lo", "name", "lo.1", "type", "vlan", "id", "1"];
    !scratch.output("ip", &try_one).stderr.contains("Unknown device type")
}
