//! The packet path outlives the daemon: connections go on and new ones open while it is stopped, crashed or
//! started anew; only `gateway detach` takes it off.

use gateway_tests::{
    Family, Gateway, Lab, Mode, Topology,
    gateway::cli,
    leftovers::leftovers_of,
    scenario::{PORT, cases, config, servers},
    traffic::{Behaviour, Failure, Heartbeat, client},
};

const BEATS: usize = 30;

/// A connection from before and one from during the pause live on under the next daemon.
#[track_caller]
fn connections_outlive(end: impl Fn(Gateway)) {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let to = lab.front.at(family, PORT);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let before = Heartbeat::start(&lab.client, to);
        before.expect_beats(BEATS);
        end(gateway);
        before.expect_beats(BEATS);
        let during = Heartbeat::start(&lab.client, to);
        during.expect_beats(BEATS);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let after = Heartbeat::start(&lab.client, to);
        let connections = [before, during, after];
        connections.iter().for_each(|connection| connection.expect_beats(BEATS));
        assert_eq!(gateway.json(&["flows"])["total"], 3, "{mode:?} {family:?}");
        for connection in connections {
            connection.stop().unwrap_or_else(|e| panic!("{mode:?} {family:?}: {e}"));
        }
    }
}

#[test]
fn connections_outlive_a_stopped_daemon() {
    connections_outlive(|gateway| {
        assert_eq!(gateway.stop().code, Some(0));
    });
}

#[test]
fn connections_outlive_a_crashed_daemon() {
    connections_outlive(|gateway: Gateway<'_>| gateway.kill());
}

#[test]
fn detach_leaves_the_host_as_it_was() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let untouched = attachments(&lab);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        assert!(!pins(&lab).is_empty(), "{mode:?}: nothing is attached");
        gateway.stop();
        cli(&lab, &["detach"]).success();
        assert_eq!(attachments(&lab), untouched, "{mode:?}");
        assert_eq!(pins(&lab), Vec::<String>::new(), "{mode:?}");
        let to = lab.front.at(Family::V4, PORT);
        assert_eq!(client::connect(&lab.client, to).unwrap_err(), Failure::Refused);
    }
}

/// What is pinned for the lab. A tool of the kernel before TCX does not list TCX programs, but they are pinned.
fn pins(lab: &Lab) -> Vec<String> {
    leftovers_of(lab.id()).into_iter().filter(|thing| thing.contains("/bpf/")).collect()
}

/// The programs and queueing disciplines on the front server's devices.
#[track_caller]
fn attachments(lab: &Lab) -> String {
    let of = |program: &str, arguments: &[&str]| lab.front.output(program, arguments).success().stdout;
    of("bpftool", &["net", "list"]) + &of("tc", &["qdisc", "show"])
}
