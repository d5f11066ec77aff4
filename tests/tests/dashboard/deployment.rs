//! A deployment, seen from its first step to its last.

use gateway_tests::{
    Process, gateway,
    traffic::{Churn, Sessions},
};

use super::stage::{PATIENCE, Stage, URL, backends};

#[test]
fn deployment_is_seen_step_by_step() {
    let stage = Stage::new(4);
    let old = stage.serve(0, &[0, 1]);
    let gateway = stage.start();
    stage.add(&gateway, 0, "web", &backends(&old));
    let sessions = Sessions::start(&stage.lab.client, stage.public(0), 6);
    let churn = Churn::start(&stage.lab.client, stage.public(0), 20);
    let mut browser = stage.browser();
    browser.open(URL);
    browser.wait_for("[data-service=web]", |text| text.contains("2 of 2 backends serve"));
    assert_eq!(browser.text("[data-service=web] .deployment"), "");

    let mut command = gateway::command(&stage.lab);
    let [first, second] = [2, 3].map(|host| format!("{}:8000", stage.lab.backends[host].v4));
    command.args(["deploy", "web", "--wait", "all", "--rollback-on-errors", "3s", "--drain-timeout", "20s"]);
    command.args([format!("--backend={first}"), format!("--backend={second}")]);
    let mut deploy = Process::start(&mut command);
    let steps = "[data-service=web] .steps";
    let waiting = browser.wait_for(steps, |text| text.contains(&format!("{second} is to answer")));
    assert!(waiting.contains("deployment 1 begins"), "{waiting}");
    let _new = stage.serve(0, &[2, 3]);
    let switched = browser.wait_for(steps, |text| text.contains("new connections go to the new backends"));
    assert!(switched.contains(&format!("{first} answers")), "{switched}");
    let told = format!("{}:8000 is told to end", stage.lab.backends[0].v4);
    browser.wait_for(steps, |text| text.contains(&told));
    browser.screen(375, 800, 1.0);
    let wide = browser.eval("document.documentElement.scrollWidth");
    assert_eq!(wide, 375, "the timeline is wider than a phone");
    deploy.wait(PATIENCE).success();
    let done = browser.wait_for("[data-service=web] .deployment", |text| text.contains("Deployment 1: done"));
    for host in &stage.lab.backends[..2] {
        assert!(done.contains(&format!("{}:8000 has drained", host.v4)), "{done}");
    }
    let card = browser.text("[data-service=web] tbody");
    assert!(card.contains(&first) && card.contains(&second), "{card}");
    assert!(!card.contains(&stage.lab.backends[0].v4.to_string()), "{card}");
    assert_eq!(churn.stop().failed(), 0);
    assert_eq!(sessions.stop().cut(), 0);
    assert_eq!(browser.problems(), [""; 0]);
}

#[test]
fn failed_deployment_says_why() {
    let stage = Stage::new(2);
    let old = stage.serve(0, &[0]);
    let gateway = stage.start();
    stage.add(&gateway, 0, "web", &backends(&old));
    let mut browser = stage.browser();
    browser.open(URL);
    let absent = format!("--backend={}:8000", stage.lab.backends[1].v4);
    gateway.cli(&["deploy", "web", &absent, "--timeout", "2s"]);
    let text = browser.wait_for("[data-service=web] .deployment", |text| text.contains("failed, nothing was switched"));
    assert!(text.to_lowercase().contains("connection refused"), "{text}");
    assert!(browser.text("[data-service=web]").contains("1 of 1 backends serve"));
}
