//! The example of a deploy pipeline's step, `examples/deploy.sh`.

use std::{env, path::Path};

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Lab, Mode, Output, Process, Topology, eventually, gateway,
    scenario::{BACKEND_PORT, PORT},
    traffic::{Instance, client},
};

use crate::{TIMEOUT, add_service, text};

/// Runs the example on the front server, with the second backend as the container of the new version.
#[track_caller]
fn deploy(lab: &Lab, port: u16, program: &[&str]) -> Output {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/deploy.sh");
    let own = gateway::program();
    let path = format!("{}:{}", text(own.parent().unwrap()), env::var("PATH").unwrap());
    let container = &lab.backends[1];
    let mut command = lab.front.command(example);
    command
        .args(["web", &port.to_string()])
        .args(program)
        .env("PATH", path)
        .env("GATEWAY_SOCKET", lab.directory().join("gateway.sock"))
        .env("CONTAINERS", format!("{}={}", container.name(), container.v4))
        .env("LOGS", lab.directory())
        .env("TIMEOUT", "2s")
        .env("CONFIRM", "off");
    Process::start(&mut command).wait(TIMEOUT)
}

#[test]
fn example_of_a_pipeline_hands_over_or_leaves_everything_as_it_was() {
    const NEW: u16 = BACKEND_PORT + 1;
    let lab = Topology::new(BackendSide::Bridge, 2).build();
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative));
    let to = lab.front.at(Family::V4, PORT);
    let old = Instance::start(&lab.backends[0], lab.backends[0].at(Family::V4, BACKEND_PORT), "old");
    add_service(&gateway, "web", to, &old.backend());

    let silent = deploy(&lab, NEW, &["sleep", "60"]);
    assert_eq!(silent.code, Some(1), "{silent:?}");
    assert!(silent.stderr.contains("web: the old version serves as before"), "{silent:?}");
    assert_eq!(client::identity_of(&lab.client, to).as_deref(), Ok("old"));
    let container = lab.backends[1].name();
    eventually(TIMEOUT, || match lab.front.output("ip", &["netns", "pids", container]).success().stdout {
        none if none.is_empty() => Ok(()),
        processes => Err(processes),
    });

    let server = gateway::built("server");
    let handed_over = deploy(&lab, NEW, &[text(&server), &NEW.to_string(), "new"]).success();
    assert!(handed_over.stdout.ends_with("web: the new version serves\n"), "{handed_over:?}");
    assert_eq!(old.ledger(TIMEOUT).failed, 0);
    assert_eq!(client::identity_of(&lab.client, to).as_deref(), Ok("new"));
}
