//! What is not for a service is not touched: sessions with the front server itself live through attaching,
//! loading, reloading and taking off.

use std::time::Duration;

use gateway_tests::{
    BackendSide, Family, Gateway, Mode, Topology,
    scenario::{BACKEND_PORT, PORT, config, servers},
    traffic::{Behaviour, Failure, Heartbeat, Server, client},
};
use nix::sys::signal::Signal;

const SSH: u16 = 22;
const BEATS: usize = 50;

/// A session and a ping go on while a gateway comes, works and goes.
#[track_caller]
fn host_traffic_goes_on(topology: Topology) {
    for mode in Mode::ALL {
        let lab = topology.build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let _sshd = Server::start(&lab.front, SSH, Behaviour::Echo);
        let sessions = Family::ALL.map(|family| Heartbeat::start(&lab.client, lab.front.at(family, SSH)));
        let mut pings = Family::ALL.map(|family| {
            let to = lab.front.public(family)[0].to_string();
            lab.client.start("ping", &["-n", "-q", "-i", "0.01", "-W", "1", &to])
        });
        let expect_life = || sessions.iter().for_each(|session| session.expect_beats(BEATS));
        expect_life();
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        expect_life();
        for family in Family::ALL {
            let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
            client::exchange(&stream, 1, 1_000_000).unwrap();
        }
        gateway.reload(&config(&lab, mode));
        expect_life();
        drop(gateway);
        expect_life();
        for session in sessions {
            let longest = session.stop().unwrap_or_else(|e| panic!("{mode:?}: {e}"));
            assert!(longest < Duration::from_secs(1), "{mode:?}: an exchange took {longest:?}");
        }
        for ping in &mut pings {
            ping.signal(Signal::SIGINT);
            let report = ping.wait(Duration::from_secs(5)).success().stdout;
            assert!(report.contains(" 0% packet loss"), "{mode:?}: {report}");
        }
    }
}

#[test]
fn sessions_with_a_two_armed_front_server_go_on() {
    host_traffic_goes_on(Topology::two_arm(1));
}

#[test]
fn sessions_with_a_front_server_of_containers_go_on() {
    host_traffic_goes_on(Topology::new(BackendSide::Bridge, 1));
}

#[test]
fn other_ports_of_a_service_address_are_the_hosts() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            let closed = lab.front.at(family, PORT + 1);
            assert_eq!(client::connect(&lab.client, closed).unwrap_err(), Failure::Refused);
            let _server = Server::start(&lab.front, PORT + 1, Behaviour::Echo);
            let stream = client::connect(&lab.client, closed).unwrap();
            client::exchange(&stream, 1, 100_000).unwrap();
        }
    }
}

#[test]
fn the_front_server_reaches_its_backends_itself() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for backend in Family::ALL.map(|family| lab.backends_at(family, BACKEND_PORT)[0]) {
            let stream = client::connect(&lab.front, backend).unwrap();
            client::exchange(&stream, 1, 100_000).unwrap();
        }
    }
}
