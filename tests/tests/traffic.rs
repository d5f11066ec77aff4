//! Real programs and loads through the gateway: whole files, many connections, every way a connection ends.

use std::{io::Read, sync::Arc, time::Duration};

use gateway_tests::{
    BackendSide, Family, Gateway, Lab, Mode, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, config, numbered_servers, servers, service_name},
    traffic::{
        Behaviour, Churn, Failure, FirstToClose, Server,
        client::{self, reset_on_close},
        crowd,
        http::HttpServer,
        payload,
    },
};
use socket2::{SockRef, TcpKeepalive};

const FILE: usize = 100_000_000;

/// curl fetches a file of 100 MB and sends it back.
#[track_caller]
fn carries_a_large_file(topology: Topology, mode: Mode, family: Family) {
    let lab = topology.build();
    let file = payload::bytes(5, FILE);
    let digest = payload::digest(&file);
    let path = lab.directory().join("file");
    std::fs::write(&path, &file).unwrap();
    let _server = HttpServer::start(&lab.backends[0], BACKEND_PORT, Arc::from(file));
    let _gateway = Gateway::start(&lab, &config(&lab, mode));
    let fetched = lab.directory().join("fetched");
    let url = format!("http://{}/file", lab.front.at(family, PORT));
    let curl = ["-sS", "--fail", "--max-time", "60", &url];
    lab.client.output("curl", &[&curl[..], &["-o", fetched.to_str().unwrap()]].concat()).success();
    assert_eq!(payload::digest(&std::fs::read(fetched).unwrap()), digest);
    let sent = lab.client.output("curl", &[&curl[..], &["-T", path.to_str().unwrap()]].concat()).success();
    assert_eq!(sent.stdout, digest);
}

#[test]
fn a_large_file_goes_through_xdp() {
    carries_a_large_file(Topology::two_arm(1), Mode::XdpNative, Family::V4);
}

#[test]
fn a_large_file_goes_through_tc() {
    carries_a_large_file(Topology::two_arm(1), Mode::Tc, Family::V6);
}

#[test]
fn a_large_file_goes_to_and_from_a_container_behind_a_bridge() {
    carries_a_large_file(Topology::new(BackendSide::Bridge, 1), Mode::XdpNative, Family::V4);
}

#[test]
fn iperf3_runs_both_ways_at_once() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            let mut server =
                lab.backends[0].start("iperf3", &["-s", "-1", "--forceflush", "-p", &BACKEND_PORT.to_string()]);
            server.wait_for_line("Server listening", Duration::from_secs(5));
            let (to, port) = (lab.front.at(family, PORT).ip().to_string(), PORT.to_string());
            let arguments = ["-c", &to, "-p", &port, "-t", "1", "-P", "4", "--bidir", "--json"];
            let report = lab.client.output("iperf3", &arguments).success().json();
            for direction in ["sum_received", "sum_received_bidir_reverse"] {
                let rate = report["end"][direction]["bits_per_second"].as_f64().unwrap_or_default();
                assert!(rate > 10e6, "{mode:?} {family:?}: {direction} is {rate} bit/s: {}", report["end"]);
            }
        }
    }
}

#[test]
fn a_thousand_connections_are_open_at_once() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(3).build();
        let servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let crowds = Family::ALL.map(|family| {
            let crowd = crowd::open(&lab.client, lab.front.at(family, PORT), 1_000).unwrap();
            crowd::exchange_on_all(&crowd).unwrap();
            let flows = gateway.json(&["flows", service_name(family), "--limit", "5", "--state", "established"]);
            assert_eq!(flows["total"], 1_000, "{mode:?} {family:?}");
            crowd
        });
        assert_eq!(servers.iter().map(Server::open).sum::<usize>(), 2_000, "{mode:?}");
        crowds.iter().for_each(|crowd| crowd::exchange_on_all(crowd).unwrap());
    }
}

#[track_caller]
fn survives_churn(topology: Topology, mode: Mode, family: Family, per_second: u32, duration: Duration) {
    let lab = topology.build();
    let _servers = numbered_servers(&lab);
    let _gateway = Gateway::start(&lab, &config(&lab, mode));
    let tally = Churn::start(&lab.client, lab.front.at(family, PORT), per_second).run_for(duration);
    assert_eq!(tally.failed(), 0, "{mode:?} {family:?}: {tally:?}");
    assert_eq!(tally.served_by.len(), lab.backends.len(), "{tally:?}");
    let least = duration.as_secs_f64() * f64::from(per_second) / 2.0;
    assert!(tally.served() as f64 > least, "the load was {} connections in {duration:?}", tally.served());
}

#[test]
fn a_minute_of_churn_has_no_failure() {
    survives_churn(Topology::two_arm(3), Mode::XdpNative, Family::V4, 400, Duration::from_secs(60));
}

#[test]
fn churn_to_containers_has_no_failure() {
    survives_churn(Topology::new(BackendSide::Bridge, 3), Mode::Tc, Family::V6, 400, Duration::from_secs(10));
}

#[test]
fn churn_of_servers_that_close_first_has_no_failure() {
    for (mode, family) in [(Mode::XdpNative, Family::V6), (Mode::Tc, Family::V4)] {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::IdentifyAndClose("0".to_owned()));
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        let to = lab.front.at(family, PORT);
        let churn = Churn::start_closing(&lab.client, to, 400, FirstToClose::Server);
        let tally = churn.run_for(Duration::from_secs(5));
        assert_eq!(tally.failed(), 0, "{mode:?} {family:?}: {tally:?}");
        assert!(tally.served() > 1_000, "{mode:?} {family:?}: {tally:?}");
    }
}

#[test]
fn half_closed_connections_carry_the_answer() {
    each_case(&Behaviour::Digest, |lab, family| {
        client::upload(&lab.client, lab.front.at(family, PORT), 1, 1_000_000).unwrap();
    });
}

#[test]
fn a_server_that_closes_first_is_heard_to_the_end() {
    let download = Behaviour::Download { seed: 2, length: 1_000_000 };
    each_case(&download, |lab, family| {
        client::download(&lab.client, lab.front.at(family, PORT), 2, 1_000_000).unwrap();
    });
}

#[test]
fn a_reset_by_the_client_reaches_the_server() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let servers = servers(&lab, &Behaviour::Echo);
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for (family, resets) in Family::ALL.into_iter().zip(1..) {
            let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
            client::exchange(&stream, 1, 1_000).unwrap();
            reset_on_close(&stream);
            drop(stream);
            eventually(Duration::from_secs(2), || {
                let seen = servers[0].resets_seen();
                if seen == resets { Ok(()) } else { Err(format!("{mode:?} {family:?}: the server saw {seen} resets")) }
            });
        }
    }
}

#[test]
fn a_reset_by_the_server_reaches_the_client() {
    each_case(&Behaviour::ResetOnData, |lab, family| {
        let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
        assert_eq!(client::exchange_short(&stream, 1), Err(Failure::Reset));
    });
}

#[test]
fn an_idle_connection_lives_by_its_keepalives() {
    each_case(&Behaviour::Echo, |lab, family| {
        let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
        let keepalive =
            TcpKeepalive::new().with_time(Duration::from_secs(1)).with_interval(Duration::from_secs(1)).with_retries(2);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive).unwrap();
        // A read that ends by its time limit: the probes of the three seconds were answered.
        stream.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
        let error = (&stream).read(&mut [0]).unwrap_err();
        assert_eq!(Failure::from(error), Failure::Timeout);
        client::exchange(&stream, 1, 1_000).unwrap();
    });
}

#[test]
fn a_closed_backend_port_refuses_at_once() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            assert_refused_at_once(&lab, family);
        }
    }
}

#[test]
fn a_service_without_backends_refuses_at_once() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(0).build();
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            assert_refused_at_once(&lab, family);
        }
    }
}

#[track_caller]
fn assert_refused_at_once(lab: &Lab, family: Family) {
    let (failure, after) = client::failure_to_connect(&lab.client, lab.front.at(family, PORT));
    assert_eq!(failure, Failure::Refused, "{family:?}");
    assert!(after < Duration::from_millis(500), "{family:?}: refused only after {after:?}");
}

/// Runs a scenario with one backend in every mode and family.
#[track_caller]
fn each_case(behaviour: &Behaviour, scenario: impl Fn(&Lab, Family)) {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, behaviour);
        let _gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            println!("{mode:?} {family:?}");
            scenario(&lab, family);
        }
    }
}
