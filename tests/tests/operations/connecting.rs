//! Clients that do not get in, or do not stay.

use std::time::Duration;

use gateway_tests::{
    eventually,
    traffic::{Failure, client, crowd},
};

use crate::{
    front_server::{self, FrontServer, TABLES},
    runbook::Section,
};

const DOCTOR: &str = "gateway doctor --config /etc/gateway/gateway.toml";
const EXPLAIN: &str = "gateway explain --from 198.51.100.2:51234 --to 203.0.113.10:80";
const PATIENCE: Duration = Duration::from_secs(30);

pub fn no_answer(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    server.serves();
    lab.front.sysctl("net/ipv4/conf/eth0/forwarding", "0");
    server.fails_by(Failure::Timeout);
    section.shows(&server, EXPLAIN, &["not_forwarded"]);
    section.shows(&server, "gateway status", &["drop", "not_forwarded"]);
    section.ends(&server, DOCTOR, 1, &["error", "forwarding", "sysctl -w net.ipv4.conf.eth0.forwarding=1"]);
    section.does(&server, "sysctl -w net.ipv4.conf.eth0.forwarding=1");
    server.serves();
}

pub fn refused_at_once(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    server.serves();
    (0..2).for_each(|index| server.stop_backend(index));
    section.shows(&server, "gateway backend list web", &["down", "connection refused"]);
    eventually(PATIENCE, || {
        let status = server.sh("gateway status").stdout;
        if status.contains("(2 down)") { Ok(()) } else { Err(status) }
    });
    server.fails_by(Failure::Refused);
    section.shows(&server, "gateway status", &["2 active (2 down)", "answer", "no_backend_reset"]);
    section.shows(&server, EXPLAIN, &["no_backend_reset", "it does not answer probes"]);
    section.shows(&server, "gateway service list", &["203.0.113.10:80"]);
    (0..2).for_each(|index| server.start_backend(index));
    server.serves();

    // Servers that do not speak HTTP.
    server.sh("gateway service set web --health http").success();
    eventually(PATIENCE, || {
        let status = server.sh("gateway status").stdout;
        if status.contains("(2 down)") { Ok(()) } else { Err(status) }
    });
    section.does(&server, "gateway service set web --health tcp");
    server.serves();
}

pub fn some_are_refused(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    server.sh("gateway service set web --max-connections-per-source 3").success();
    let held = crowd::open(&lab.client, server.web(), 3).unwrap();
    server.fails_by(Failure::Refused);
    section.shows(
        &server,
        "gateway events --no-follow --kind limit-hit",
        &["limit-hit", "limit_connections_per_source_reset"],
    );
    section.shows(&server, "gateway service show web", &["3"]);
    let counted = section.does(&server, "gateway flows web --client 198.51.100.2 --state established --count");
    assert_eq!(counted.stdout.trim(), "3");
    section.does(&server, "gateway service set web --max-connections-per-source 100");
    server.serves();
    drop(held);
}

pub fn idle_backend(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    server.sh("gateway backend drain web 10.0.1.12:80").success();
    (0..10).for_each(|_| assert_eq!(server.connect().unwrap().1, "0"));
    section.shows(&server, "gateway backend list web", &["10.0.1.12:80", "draining"]);
    section.shows(&server, "gateway events --no-follow --service web --kind backend", &["backend-draining"]);
    section.does(&server, "gateway backend set web 10.0.1.12:80 --active");
    server.serves_by(1);
}

pub fn broken_connections(section: &Section) {
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    server.sh("gateway backend drain web 10.0.1.12:80").success();
    server.serves_by(0);
    let (cut, _) = server.connect().unwrap();
    server.sh("gateway backend set web 10.0.1.12:80 --active").success();
    server.sh("gateway backend drain web 10.0.1.11:80 --now").success();
    assert!(client::exchange(&cut, 1, 100).is_err());
    section.shows(&server, "gateway events --no-follow --kind backend-cut", &["backend-cut", "10.0.1.11:80"]);

    server.sh("gateway service set web --idle-timeout 1s").success();
    let silent = server.serves();
    eventually(PATIENCE, || {
        let open = server.sh("gateway flows web --state established --count").success().stdout;
        if open.trim() == "0" { Ok(()) } else { Err(open) }
    });
    lab.client.run(|| std::io::Write::write_all(&mut &silent, b"late")).unwrap();
    section.shows(&server, "gateway status", &["drop", "unknown_flow"]);

    section.does(&server, "gateway service set web --drain-timeout 10m --idle-timeout 6h");
    let (goes_on, _) = server.connect().unwrap();
    server.sh("gateway backend set web 10.0.1.11:80 --active").success();
    server.sh("gateway backend drain web 10.0.1.12:80").success();
    client::exchange(&goes_on, 2, 100).unwrap();
}

pub fn failed_deployment(section: &Section) {
    const DEPLOY: &str = "gateway deploy web --backend 10.0.1.12:80 --timeout 5s";
    let lab = front_server::lab();
    let server = FrontServer::prepare(&lab, &front_server::configuration(TABLES));
    server.sh("systemctl start gateway").success();
    server.add_web("--backend 10.0.1.11:80");
    server.stop_backend(1);
    section.ends(&server, DEPLOY, 1, &["10.0.1.12:80", "connection refused"]);
    section.shows(&server, "gateway events --no-follow --service web --kind deployment", &["deployment-failed"]);
    let (held, name) = server.connect().unwrap();
    assert_eq!(name, "0");
    server.start_backend(1);
    let deployment = section.begin(&server, DEPLOY, "");
    eventually(PATIENCE, || {
        let events = server.sh("gateway events --no-follow --kind deployment-done").stdout;
        if events.contains("deployment-done") { Ok(()) } else { Err(events) }
    });
    section.shows(&server, "gateway backend list web", &["10.0.1.11:80", "draining"]);
    section.shows(&server, "gateway flows web --backend 10.0.1.11:80 --state established", &["10.0.1.11:80"]);
    section.does(&server, "gateway backend drain web 10.0.1.11:80 --now --remove");
    section.ended(deployment, DEPLOY, 0, &[]);
    assert!(client::exchange(&held, 1, 100).is_err());
    assert_eq!(server.connect().unwrap().1, "1");
}
