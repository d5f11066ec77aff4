//! A picture of `gateway top` for the README: what a terminal shows of a gateway with real traffic, as SVG.
//!
//! Needs root and the file to write; leaves nothing else behind.

use std::{env, fs, path::PathBuf, thread, time::Duration};

use anyhow::{Context, Result};
use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Mode, ServiceConfig, Terminal, Topology, eventually, interrupt,
    scenario::{BACKEND_PORT, PORT},
    traffic::{Behaviour, Churn, Server, Sessions},
};

const SIZE: (u16, u16) = (80, 22);
const TCP_PROBES: &str = r#"{ kind = "tcp" }"#;

fn main() -> Result<()> {
    interrupt::clean_up_on_signals();
    let file: PathBuf = env::args_os().nth(1).context("name the file to write")?.into();
    let lab = Topology::two_arm(4).build();
    let screen = taken_of(&lab);
    let folder = file.parent().context("name a file")?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let picture = anstyle_svg::Term::new().render_svg(&screen);
    fs::write(&file, picture).with_context(|| format!("write {}", file.display()))
}

/// Three services: one with much traffic and a backend that is down, one with connections that stay, one with few.
fn taken_of(lab: &Lab) -> String {
    let services = [("web", 0, 0..4), ("mqtt", 1, 0..2), ("api", 2, 2..4)];
    let mut config = GatewayConfig::new(lab, Mode::XdpNative);
    let mut servers = Vec::new();
    for (name, number, hosts) in services {
        let port = BACKEND_PORT + number;
        let backends = lab.backends_at(Family::V4, port);
        let listen = lab.front.at(Family::V4, PORT + number);
        config = config.service(ServiceConfig::new(name, listen, &backends[hosts.clone()]).health(TCP_PROBES));
        let is_away = |host: &usize| name == "web" && *host == 3;
        for host in hosts.filter(|host| !is_away(host)) {
            servers.push(Server::start(&lab.backends[host], port, Behaviour::Identify(host.to_string())));
        }
    }
    let _gateway = Gateway::start(lab, &config);
    let to = |number| lab.front.at(Family::V4, PORT + number);
    let _churns = [Churn::start(&lab.client, to(0), 400), Churn::start(&lab.client, to(2), 40)];
    let sessions = Sessions::start(&lab.client, to(1), 150);
    sessions.wait_until_open(150);
    let terminal = Terminal::start(lab, "$GATEWAY top --cpu --interval 2s", SIZE);
    eventually(Duration::from_secs(20), || {
        let shown = terminal.shown();
        if shown.contains("web") { Ok(()) } else { Err(shown) }
    });
    terminal.press(&["t", "Down"]);
    // Some intervals, so that rates are those of traffic that has settled.
    thread::sleep(Duration::from_secs(7));
    terminal.coloured()
}
