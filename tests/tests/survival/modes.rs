//! Another mode of attaching under open connections.

use std::time::Duration;

use gateway_tests::{
    Family, Gateway, Lab, Mode, Process, Topology, gateway,
    scenario::{PORT, config, servers},
    traffic::{Behaviour, Heartbeat},
};

use crate::datapath::Pinned;

const BEATS: usize = 10;
const ROUNDS: usize = 5;
const MODES: [Mode; 3] = [Mode::XdpNative, Mode::XdpGeneric, Mode::Tc];

/// The modes in force, by interface.
fn modes(gateway: &Gateway) -> Vec<String> {
    let status = gateway.json(&["status"]);
    let interfaces = status["interfaces"].as_array().unwrap();
    interfaces.iter().map(|interface| interface["mode"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn connections_outlive_every_change_of_the_mode() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let mut gateway = Gateway::start(&lab, &config(&lab, Mode::Tc));
    let connection = Heartbeat::start(&lab.client, lab.front.at(Family::V4, PORT));
    for mode in [MODES; ROUNDS].concat() {
        connection.expect_beats(BEATS);
        gateway.stop().success();
        gateway = Gateway::start(&lab, &config(&lab, mode));
        assert_eq!(modes(&gateway), [mode.name(); 2]);
    }
    connection.expect_beats(BEATS);
    connection.stop().unwrap();
}

#[test]
fn interface_keeps_its_mode_where_another_is_refused() {
    let lab = Topology::two_arm(1).build();
    lab.front.ip(&["link add br9 type bridge", "link set br9 up"]);
    let _servers = servers(&lab, &Behaviour::Echo);
    // A bridge has no native XDP.
    let of_bridge = |mode: Mode| {
        let bridge = format!("[[interface]]\nname = \"br9\"\nmode = {:?}\n\n[snat]", mode.name());
        config(&lab, Mode::XdpNative).to_toml().replace("[snat]", &bridge)
    };
    let attached = |lab: &Lab| Pinned::of(lab).links.into_keys().collect::<Vec<_>>();
    let start = || Gateway::start_with(&lab, &of_bridge(Mode::XdpGeneric), &[]);
    let gateway = start();
    let connection = Heartbeat::start(&lab.client, lab.front.at(Family::V4, PORT));
    let before = attached(&lab);
    gateway.stop().success();

    let refused = &mut gateway::run(&lab, &gateway::program(), &of_bridge(Mode::XdpNative));
    let output = Process::start(refused).wait(Duration::from_secs(30));
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("br9 refuses xdp-native"), "{output:?}");
    assert_eq!(attached(&lab), before);
    let shown = lab.front.output("ip", &["link", "show", "br9"]).success().stdout;
    assert!(shown.contains("xdpgeneric"), "{shown}");
    connection.expect_beats(BEATS);

    let gateway = start();
    assert_eq!(modes(&gateway), ["xdp-native", "xdp-native", "xdp-generic"]);
    connection.expect_beats(BEATS);
    connection.stop().unwrap();
}
