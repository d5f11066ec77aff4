//! Connections from before, from during and from after a time without a daemon.

use gateway_tests::{
    Gateway, Topology,
    scenario::{PORT, cases, config, servers},
    traffic::{Behaviour, Heartbeat},
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
