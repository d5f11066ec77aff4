//! The pictures of `docs/dashboard.md`: real services under real traffic, for two minutes.

use std::{env, fs, path::Path, thread, time::Duration};

use gateway_tests::{
    Browser, Process, gateway,
    traffic::{Churn, Sessions, Transfers},
};

use super::stage::{Stage, URL, backends};

#[test]
#[ignore = "takes three minutes and writes docs/pictures"]
fn take_pictures() {
    let stage = Stage::new(5);
    let (web, mqtt) = (stage.serve(0, &[0, 1]), stage.serve(1, &[0, 1, 4]));
    let (postgres, mut redis) = (stage.serve(2, &[4]), stage.serve(3, &[0, 4]));
    let gateway = stage.start();
    stage.add(&gateway, 0, "web", &backends(&web));
    stage.add(&gateway, 1, "mqtt", &backends(&mqtt));
    stage.add(&gateway, 2, "postgres", &backends(&postgres));
    stage.add(&gateway, 3, "redis", &backends(&redis));
    let client = &stage.lab.client;
    let _load = [Churn::start(client, stage.public(0), 60), Churn::start(client, stage.public(1), 8)];
    let _light = [Churn::start(client, stage.public(2), 3), Churn::start(client, stage.public(3), 14)];
    let _devices = Sessions::start(client, stage.public(1), 60);
    let _queries = Transfers::start(client, stage.public(2), 12);
    let _requests = Sessions::start(client, stage.public(0), 8);

    let mut browser = stage.browser();
    browser.screen(1280, 820, 1.0);
    browser.prefer("prefers-color-scheme", "light");
    browser.open(URL);
    rest(60);
    let wave = Churn::start(client, stage.public(0), 40);
    rest(20);
    drop(redis.pop());
    rest(10);
    wave.stop();
    rest(15);

    let mut command = gateway::command(&stage.lab);
    command.args(["deploy", "web", "--wait", "all", "--rollback-on-errors", "12s", "--drain-timeout", "60s"]);
    command.args([2, 3].map(|host| format!("--backend={}:8000", stage.lab.backends[host].v4)));
    let _deploy = Process::start(&mut command);
    rest(6);
    let _new = stage.serve(0, &[2, 3]);
    browser.wait_for("[data-service=web] .steps", |text| text.contains("new connections go to the new backends"));
    rest(9);
    save(&mut browser, "dashboard-deployment");
    browser.wait_for("[data-service=web] .deployment", |text| text.contains("Deployment 1: done"));
    rest(8);
    save(&mut browser, "dashboard-light");
    browser.prefer("prefers-color-scheme", "dark");
    rest(2);
    save(&mut browser, "dashboard-dark");
    browser.screen(375, 812, 1.5);
    rest(2);
    save(&mut browser, "dashboard-phone");
    gateway.stop().success();
}

/// Lets traffic go on, for there to be something in the plots.
fn rest(seconds: u64) {
    thread::sleep(Duration::from_secs(seconds));
}

fn save(browser: &mut Browser, name: &str) {
    let folder = env::var("GATEWAY_PICTURES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pictures").into());
    fs::create_dir_all(&folder).expect("a folder");
    let path = Path::new(&folder).join(format!("{name}.png"));
    fs::write(&path, browser.picture()).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
}
