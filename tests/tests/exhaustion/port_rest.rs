//! Short connections by few source ports: a port comes back while the backend's end of its last connection still rests.

use std::{net::IpAddr, time::Duration};

use gateway_tests::{
    Family, Gateway, Lab, Mode, Topology,
    scenario::{BACKEND_PORT, PORT, config},
    traffic::{Behaviour, Churn, FirstToClose, Pace, Server, syns::repeated_syns},
};

const RANGE: &str = "40000-40255";
/// Each second as many as a range of 256 ports has, were each to rest for four seconds.
const PER_SECOND: u32 = 64;
const DURATION: Duration = Duration::from_secs(15);
/// Each with clocks for timestamps of its own (RFC 7323 section 5.4), as strangers have.
const CLIENTS: u16 = 32;

/// Gives the client more addresses.
fn more_addresses(lab: &Lab, family: Family) -> Vec<IpAddr> {
    let addresses: Vec<IpAddr> = (0..CLIENTS)
        .map(|number| match family {
            Family::V4 => IpAddr::from([203, 0, 113, 100 + number as u8]),
            Family::V6 => IpAddr::from([0x2001, 0xdb8, 1, 0, 0, 0, 1, number]),
        })
        .collect();
    let length = if family == Family::V4 { 24 } else { 64 };
    let add = |address: &IpAddr| format!("addr add {address}/{length} dev eth0");
    lab.client.ip(&addresses.iter().map(add).collect::<Vec<_>>());
    addresses
}

#[track_caller]
fn reuses_ports(mode: Mode, family: Family, first_to_close: FirstToClose) {
    let lab = Topology::two_arm(1).build();
    let name = "0".to_owned();
    let behaviour = match first_to_close {
        FirstToClose::Client => Behaviour::Identify(name),
        FirstToClose::Server => Behaviour::IdentifyAndClose(name),
    };
    let _server = Server::start(&lab.backends[0], BACKEND_PORT, behaviour);
    let gateway = Gateway::start(&lab, &config(&lab, mode).sources(&[], RANGE));
    let sources = more_addresses(&lab, family);
    let pace = Pace { first_to_close, workers: 64, sources, ..Pace::new(PER_SECOND) };
    let tally = Churn::start_at(&lab.client, lab.front.at(family, PORT), pace).run_for(DURATION);
    println!(
        "{mode:?} {family:?}, {first_to_close:?} closes first: {} served, {:?}; {} SYNs repeated, {} without a port, \
         {} from another",
        tally.served(),
        tally.failures,
        repeated_syns(&lab.client),
        gateway.packets("ports_exhausted"),
        gateway.packets("port_changed"),
    );
    // A backend that closes first keeps the port in TIME-WAIT, and answers many a SYN for that.
    assert_eq!(gateway.packets("port_changed") > 0, first_to_close == FirstToClose::Server);
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert!(tally.served() > 512, "every port was used twice: {tally:?}");
}

#[test]
fn ports_are_used_again_where_clients_close_first() {
    reuses_ports(Mode::XdpNative, Family::V4, FirstToClose::Client);
}

#[test]
fn ports_are_used_again_where_servers_close_first() {
    reuses_ports(Mode::Tc, Family::V6, FirstToClose::Server);
}
