//! Tables and ports that fill.

use std::time::Duration;

use gateway_tests::{
    eventually,
    traffic::{Failure, client, crowd},
};

use crate::{
    front_server::{self, FrontServer},
    runbook::Section,
};

const PATIENCE: Duration = Duration::from_secs(60);

pub fn full_table(section: &Section) {
    const TABLES: &str = "[snat]\naddresses = [\"10.0.0.1\"]\n\n[flows]\ncapacity = 200\nhalf_open = 512\n";
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    let held = crowd::open(&lab.client, server.web(), 170).unwrap();
    section.shows(&server, "gateway status", &["warning: the flow table is 85 % full (170 of 200)"]);
    section.shows(&server, "gateway flows --sort idle --limit 5", &["ESTABLISHED", "--limit lists more"]);
    section.does(&server, "gateway service set web --max-share 50%");
    server.fails_by(Failure::Refused);
    section.does(&server, "gateway service set web --idle-timeout 30m");

    let (snat, flows) = ("[snat]\naddresses = [\"10.0.0.1\"]\n\n", section.toml());
    // The document's would not fit a small machine's memory.
    assert!(flows.contains("2097152"), "{flows}");
    let flows = flows.replace("2097152", "2048");
    server.configure(&front_server::configuration(&format!("{snat}{flows}\nhalf_open = 512\n")));
    section.does(&server, "systemctl stop gateway");
    section.does(&server, "gateway detach");
    section.does(&server, "systemctl start gateway");
    let status = server.sh("gateway status --json").success().json();
    assert!(status["flows"]["capacity"].as_u64().is_some_and(|capacity| capacity > 1_000), "{status}");
    assert_eq!(status["warnings"], serde_json::json!([]));
    drop(held);
    server.serves();
}

pub fn ports_run_out(section: &Section) {
    const FLOWS: &str = "\n[flows]\ncapacity = 65536\nhalf_open = 16384\n";
    let lab = front_server::lab();
    let few = format!("[snat]\naddresses = [\"10.0.0.1\"]\nports = \"61000-61063\"\n{FLOWS}");
    let server = FrontServer::start(&lab, &front_server::configuration(&few));
    // One after the other: SYNs that wait for their clients while ports are short are answered by cookies.
    let held = crowd::open(&lab.client, server.web(), 120).unwrap();
    let last = crowd::open_at_once(&lab.client, server.web(), 20, Duration::from_secs(3));
    assert!(last.len() <= 8, "{} connections through 64 ports to each of two backends", 120 + last.len());
    section.shows(&server, "gateway status", &["ports_exhausted", "the source ports towards backend"]);

    section.does(&server, "ip address add 10.0.0.9/24 dev eth1");
    server.configure(&front_server::configuration(&format!("{}\n{FLOWS}", section.toml())));
    section.does(&server, "systemctl restart gateway");
    let more = crowd::open_at_once(&lab.client, server.web(), 50, Duration::from_secs(10));
    assert_eq!(more.len(), 50);
    held.iter().for_each(|stream| drop(client::read_identity(stream).unwrap()));
    crowd::exchange_on_all(&held).unwrap();
}

pub fn flood(section: &Section) {
    const TABLES: &str = "[snat]\naddresses = [\"10.0.0.1\"]\n\n[flows]\ncapacity = 65536\nhalf_open = 512\n";
    let lab = front_server::lab();
    let server = FrontServer::start(&lab, &front_server::configuration(TABLES));
    let held = server.serves();
    // A client that sends SYNs and takes no notice of what comes back.
    lab.client.nft(
        "table inet deaf { chain input { type filter hook input priority 0; tcp flags & (syn | ack) == (syn | ack) drop; }; }",
    );
    eventually(PATIENCE, || {
        crowd::open_at_once(&lab.client, server.web(), 1_000, Duration::from_millis(500));
        let status = server.sh("gateway status").stdout;
        if status.contains("cookie_sent") { Ok(()) } else { Err(status) }
    });
    section.shows(&server, "gateway status", &["answer", "cookie_sent"]);
    section.shows(&server, "gateway events --no-follow --kind limit-hit", &["limit-hit", "cookie_sent"]);
    section.does(&server, "gateway service set web --max-new-per-source 50");
    crowd::open_at_once(&lab.client, server.web(), 1_000, Duration::from_millis(500));
    let status = server.sh("gateway status").stdout;
    assert!(status.contains("limit_rate_per_source_reset"), "{status}");
    lab.client.nft("delete table inet deaf");
    client::exchange(&held, 1, 1_000).unwrap();
    server.serves();
}
