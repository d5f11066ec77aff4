//! The daemon itself: what keeps it from starting, and what happens without it.

use gateway_tests::traffic::{Failure, client};

use crate::{
    front_server::{self, FrontServer, TABLES},
    runbook::Section,
};

pub fn refused_start(section: &Section) {
    const CHECK: &str = "gateway check /etc/gateway/gateway.toml";
    let lab = front_server::lab();
    let right = front_server::configuration(TABLES);
    let server = FrontServer::prepare(&lab, &right.replace("[metrics]", "[metric]"));
    server.sh("systemctl start gateway");
    section.shows(&server, "systemctl status gateway --no-pager", &["code=exited, status=5"]);
    section.ends(&server, CHECK, 5, &["metric", "/etc/gateway/gateway.toml:"]);
    server.configure(&right);
    section.does(&server, CHECK);
    section.does(&server, "gateway doctor --config /etc/gateway/gateway.toml");
    section.does(&server, "systemctl restart gateway");
    server.add_web("--backend 10.0.1.11:80");
    server.serves();
}

pub fn no_daemon(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    let before = server.serves();
    server.sh("systemctl kill --signal KILL gateway; systemctl stop gateway").success();
    section.ends(&server, "gateway status", 3, &["no gateway"]);
    client::exchange(&before, 1, 1_000).unwrap();
    let (new, _) = server.connect().unwrap();
    section.does(&server, "systemctl start gateway");
    client::exchange(&before, 2, 1_000).unwrap();
    client::exchange(&new, 3, 1_000).unwrap();
    section.shows(&server, "systemctl is-active gateway", &["active"]);
    section.shows(&server, "gateway events --no-follow", &["daemon-started"]);
}

pub fn after_an_upgrade(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    let before = server.serves();
    section.does(&server, "systemctl restart gateway");
    section.shows(&server, "gateway --version", &["gateway 0.1.0", "datapath"]);
    section.shows(&server, "gateway status", &["gateway 0.1.0, up", "xdp-native"]);
    client::exchange(&before, 1, 1_000).unwrap();
}

pub fn emergency(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    let before = server.serves();
    section.does(&server, "systemctl stop gateway");
    client::exchange(&before, 1, 1_000).unwrap();
    section.ends(&server, "gateway detach", 0, &["the datapath is off"]);
    let links = lab.front.output("ip", &["-details", "link", "show"]).success().stdout;
    assert!(!links.contains("xdp"), "{links}");
    server.fails_by(Failure::Refused);
    section.does(&server, "systemctl start gateway");
    server.serves();
}
