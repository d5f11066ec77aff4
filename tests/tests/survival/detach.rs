//! What `gateway detach` leaves of the datapath: nothing.

use gateway_tests::{
    Family, Gateway, Lab, Mode, Topology,
    gateway::cli,
    leftovers::leftovers_of,
    scenario::{PORT, config, servers},
    traffic::{Behaviour, Failure, client},
};

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
