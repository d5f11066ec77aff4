use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use super::*;
use crate::{
    lifecycle::Site,
    model::{
        DeploymentOptions, HealthReport, NewBackend, Policy, Process,
        change::{BackendChange, DrainOrder, NewService, PolicyChange, ServiceChange, WantedState},
    },
};

const ONE: &str = "10.0.1.1:80";
const TWO: &str = "10.0.1.2:80";
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn backend(text: &str) -> NewBackend {
    NewBackend::new(address(text))
}

fn empty() -> Desired {
    Desired::new(Site {
        hostname: None,
        public: vec!["203.0.113.10".parse().unwrap()],
        public_ports: None,
        snat: vec!["10.0.0.1".parse().unwrap()],
        snat_ports: "40000-65535".parse().unwrap(),
        defaults: Policy::default(),
    })
}

/// A service `web` with one backend.
fn web() -> Desired {
    let new = NewService {
        name: "web".into(),
        listen: vec![":80".parse().unwrap()],
        backends: vec![backend(ONE)],
        ..NewService::default()
    };
    empty().add_service(new).unwrap()
}

fn kinds(before: &Desired, after: &Desired) -> Vec<&'static str> {
    of_services(before, after).iter().map(Happening::kind).collect()
}

#[test]
fn service_comes_changes_and_goes() {
    let added = of_services(&empty(), &web());
    let Happening::ServiceAdded { service, addresses, backends, .. } = &added[0] else { panic!("{added:?}") };
    assert_eq!((service.as_str(), addresses[0], backends[0]), ("web", address("203.0.113.10:80"), address(ONE)));
    let policy = PolicyChange { idle_timeout: Some(Duration::from_secs(5)), ..PolicyChange::default() };
    let changed = web().set_service("web", &ServiceChange { policy, ..ServiceChange::default() }).unwrap();
    let expected = Happening::ServiceChanged { service: "web".into(), changed: vec!["idle_timeout".into()] };
    assert_eq!(of_services(&web(), &changed), [expected]);
    assert_eq!(kinds(&web(), &empty()), ["service-removed"]);
    assert!(kinds(&web(), &web()).is_empty());
}

#[test]
fn backend_comes_changes_drains_and_goes() {
    let process = Some(Process::Container("two".into()));
    let two = web().add_backend("web", NewBackend { process: process.clone(), ..backend(TWO) }).unwrap();
    assert_eq!(kinds(&web(), &two), ["backend-added"]);
    let weighed = BackendChange { weight: Some(7), state: None };
    let weighed = two.set_backend("web", address(TWO), &weighed, NOW).unwrap();
    assert_eq!(kinds(&two, &weighed), ["backend-changed"]);

    let order = DrainOrder { timeout: Some(Duration::from_secs(9)), ..DrainOrder::default() };
    let draining = two.drain_backend("web", address(TWO), &order, NOW).unwrap();
    let deadline = NOW + Duration::from_secs(9);
    let expected = Happening::BackendDraining { service: "web".into(), backend: address(TWO), deadline };
    assert_eq!(of_services(&two, &draining), [expected]);

    let told = draining.note_signal("web", address(TWO), Signal::Failed("no docker".into())).unwrap();
    let error = Some("no docker".into());
    let expected = Happening::BackendSignalled { service: "web".into(), backend: address(TWO), process, error };
    assert_eq!(of_services(&draining, &told), [expected]);
    // That it has drained is for him to tell who has seen it.
    assert!(kinds(&told, &told.end_drain("web", address(TWO)).unwrap()).is_empty());

    let back = BackendChange { weight: None, state: Some(WantedState::Active) };
    assert_eq!(kinds(&told, &told.set_backend("web", address(TWO), &back, NOW).unwrap()), ["backend-active"]);
    assert_eq!(kinds(&told, &told.remove_backend("web", address(TWO)).unwrap()), ["backend-removed"]);
}

#[test]
fn deployment_is_told_step_by_step() {
    let options = DeploymentOptions::default;
    let begun = web().begin_deployment("web", vec![backend(TWO)], options(), NOW).unwrap();
    assert_eq!(kinds(&web(), &begun), ["deployment-started", "backend-added"]);
    let switched = begun.switch("web", NOW).unwrap();
    assert_eq!(kinds(&begun, &switched), ["backend-draining", "backend-active", "deployment-switched"]);
    assert_eq!(kinds(&switched, &switched.confirm("web", NOW).unwrap()), ["deployment-done"]);
    let rolled_back = switched.roll_back("web", "errors".into(), NOW).unwrap();
    assert_eq!(kinds(&switched, &rolled_back), ["backend-removed", "backend-active", "deployment-rolled-back"]);
    let failed = begun.abandon("web", "silent".into(), BTreeMap::new(), NOW).unwrap();
    assert_eq!(kinds(&begun, &failed), ["backend-removed", "deployment-failed"]);

    // Without a window for rolling back the switch is for good at once.
    let at_once = DeploymentOptions { rollback_window: Duration::ZERO, ..options() };
    let begun = web().begin_deployment("web", vec![backend(TWO)], at_once, NOW).unwrap();
    let told = kinds(&begun, &begun.switch("web", NOW).unwrap());
    assert_eq!(told, ["backend-draining", "backend-active", "deployment-switched", "deployment-done"]);
}

#[test]
fn health_is_told_when_it_turns() {
    let (desired, book) = (web(), HealthBook::trusting(&web()));
    let observed = |status, error: Option<&str>| {
        let report = HealthReport { error: error.map(str::to_owned), ..HealthReport::now(status) };
        let observation = Observation { service: "web".into(), backend: address(ONE), report };
        of_health(&desired, &book, &observation).map(|what| what.kind())
    };
    assert_eq!(observed(HealthStatus::Up, None), Some("backend-up"));
    assert_eq!(observed(HealthStatus::Down, Some("refused")), Some("backend-down"));
    assert_eq!(observed(HealthStatus::Unknown, Some("refused")), None);
}
