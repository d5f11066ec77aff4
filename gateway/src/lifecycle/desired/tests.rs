//! The rules of the desired state.

use std::time::{Duration, SystemTime};

use super::*;
use crate::{
    lifecycle::Kind,
    model::{
        Backend, BackendState, DeploymentOptions, Health, Limits, NewBackend, Policy,
        change::{BackendChange, DrainOrder, NewService, PolicyChange, ServiceChange, WantedState},
    },
};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn site() -> Site {
    Site {
        hostname: None,
        public: vec!["203.0.113.10".parse().unwrap(), "2001:db8::10".parse().unwrap()],
        public_ports: Some("20000-20001".parse().unwrap()),
        snat: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        snat_ports: "40000-65535".parse().unwrap(),
        defaults: Policy::default(),
    }
}

fn backend(address: &str) -> Backend {
    Backend::new(address.parse().unwrap())
}

fn service(name: &str, listen: &str) -> Service {
    Service {
        name: name.into(),
        listen: vec![listen.parse().unwrap()],
        policy: Policy::default(),
        health: Health::default(),
        limits: Limits::default(),
        backends: vec![backend("10.0.1.1:80"), backend("10.0.1.2:80")],
    }
}

fn new_backend(address: &str) -> NewBackend {
    NewBackend::new(address.parse().unwrap())
}

fn new_service(name: &str, listen: &str) -> NewService {
    NewService { name: name.into(), listen: vec![listen.parse().unwrap()], ..NewService::default() }
}

fn desired() -> Desired {
    let file = vec![service("file", "203.0.113.10:80")];
    Desired::merged(site(), file, vec![]).unwrap().add_service(new_service("cli", ":81")).unwrap()
}

#[track_caller]
fn refused(result: Result<Desired, Refusal>) -> (Kind, String) {
    let refusal = result.expect_err("refused");
    (refusal.kind(), refusal.to_string())
}

fn auto_port(name: &str) -> NewService {
    NewService { name: name.into(), auto_port: true, ..NewService::default() }
}

#[test]
fn new_service_takes_the_defaults_it_does_not_set() {
    let policy = PolicyChange { drain_timeout: Some(std::time::Duration::from_secs(5)), ..PolicyChange::default() };
    let next = desired().add_service(NewService { policy, ..new_service("new", ":82") }).unwrap();
    let entry = next.entry("new").unwrap();
    assert_eq!(entry.service().policy.drain_timeout.as_secs(), 5);
    assert_eq!(entry.service().policy.idle_timeout, Policy::default().idle_timeout);
    assert_eq!(entry.owner(), Owner::Control);
    assert_eq!(entry.resolved.listen, ["203.0.113.10:82".parse().unwrap(), "[2001:db8::10]:82".parse().unwrap()]);
}

#[test]
fn taken_names_and_listens_are_refused() {
    let desired = desired();
    let (kind, message) = refused(desired.add_service(new_service("cli", ":90")));
    assert_eq!((kind, message.as_str()), (Kind::Conflict, "there is already a service `cli`"));
    let (kind, message) = refused(desired.add_service(new_service("new", ":80")));
    assert_eq!(kind, Kind::Conflict);
    assert!(message.contains("service `file` in the configuration file does"), "{message}");
    let (kind, _) = refused(desired.add_service(new_service("new", "[2001:db8::10]:81")));
    assert_eq!(kind, Kind::Conflict);
    desired.add_service(new_service("new", "203.0.113.11:81")).expect("another address is free");
}

#[test]
fn listen_of_a_removed_service_is_free_again() {
    let next = desired().remove_service("cli").unwrap();
    next.add_service(new_service("other", ":81")).unwrap();
}

#[test]
fn rules_of_the_file_hold_for_the_control_api() {
    let (kind, message) = refused(desired().add_service(new_service("new", ":50000")));
    assert_eq!(kind, Kind::Invalid);
    assert!(message.contains("inside the snat range"), "{message}");
    let (kind, message) = refused(desired().add_service(new_service("New!", ":90")));
    assert_eq!(kind, Kind::Invalid);
    assert!(message.contains("New!"), "{message}");
}

#[test]
fn every_public_address_needs_one() {
    let bare = Desired::new(Site { public: vec![], ..site() });
    let (kind, message) = refused(bare.add_service(new_service("new", ":90")));
    assert_eq!(kind, Kind::Invalid);
    assert!(message.contains("the front server has none"), "{message}");
}

#[test]
fn auto_port_takes_the_lowest_free_one_until_none_is_left() {
    let next = desired().add_service(new_service("first", ":20000")).unwrap();
    let next = next.add_service(auto_port("second")).unwrap();
    assert_eq!(next.entry("second").unwrap().service().listen, [Listen::EveryAddress(20001)]);
    let (kind, message) = refused(next.add_service(auto_port("third")));
    assert_eq!(kind, Kind::Limit);
    assert!(message.contains("all of 20000-20001 are taken"), "{message}");

    let without = Desired::new(Site { public_ports: None, ..site() });
    assert_eq!(refused(without.add_service(auto_port("new"))).0, Kind::Limit);
}

#[test]
fn services_of_the_file_can_only_be_drained_and_reweighed() {
    let desired = desired();
    let present = "10.0.1.1:80".parse().unwrap();
    for result in [
        desired.remove_service("file"),
        desired.set_service("file", &ServiceChange::default()),
        desired.add_backend("file", new_backend("10.0.1.9:80")),
        desired.remove_backend("file", present),
    ] {
        let (kind, message) = refused(result);
        assert_eq!(kind, Kind::OwnedByFile);
        assert!(message.contains("belongs to the configuration file, which is where to"), "{message}");
    }
    let change = BackendChange { weight: Some(7), state: Some(WantedState::Draining) };
    let next = desired.set_backend("file", present, &change, NOW).unwrap();
    let changed = &next.entry("file").unwrap().service().backends[0];
    assert_eq!((changed.weight, changed.state), (7, BackendState::Draining));
    assert_eq!(next.entry("file").unwrap().owner(), Owner::File);
}

#[test]
fn backends_come_change_and_go() {
    let next = desired().add_backend("cli", new_backend("10.0.1.1:80")).unwrap();
    assert_eq!(refused(next.add_backend("cli", new_backend("10.0.1.1:80"))).0, Kind::Conflict);
    let address = "10.0.1.1:80".parse().unwrap();
    let zero = BackendChange { weight: Some(0), state: None };
    assert_eq!(refused(next.set_backend("cli", address, &zero, NOW)).0, Kind::Invalid);
    let next = next.remove_backend("cli", address).unwrap();
    assert_eq!(refused(next.remove_backend("cli", address)).0, Kind::NotFound);
    assert_eq!(refused(next.add_backend("absent", new_backend("10.0.1.1:80"))).0, Kind::NotFound);
}

#[test]
fn reload_replaces_the_services_of_the_file_and_keeps_the_others() {
    let desired = desired();
    let next = desired.reloaded(site(), vec![service("renamed", "203.0.113.10:80")]).unwrap();
    let names: Vec<_> = next.entries().map(|entry| entry.service().name.clone()).collect();
    assert_eq!(names, ["cli", "renamed"]);
    assert!(Arc::ptr_eq(&desired.services["cli"], &next.services["cli"]), "an unchanged service is shared");
}

#[test]
fn reload_that_takes_a_stored_name_or_listen_is_refused() {
    let desired = desired();
    let (kind, message) = refused(desired.reloaded(site(), vec![service("cli", ":90")]));
    assert_eq!((kind, message.as_str()), (Kind::Conflict, "there is already a service `cli`"));
    let (kind, message) = refused(desired.reloaded(site(), vec![service("file", ":81")]));
    assert_eq!(kind, Kind::Conflict);
    assert!(message.contains("service `cli` cannot listen on 203.0.113.10:81"), "{message}");
}

#[test]
fn override_stays_until_the_file_changes_the_service() {
    let address = "10.0.1.1:80".parse().unwrap();
    let drain = BackendChange { weight: None, state: Some(WantedState::Draining) };
    let drained = desired().set_backend("file", address, &drain, NOW).unwrap();
    let state = |desired: &Desired| desired.entry("file").unwrap().service().backends[0].state;

    let same = drained.reloaded(site(), vec![service("file", "203.0.113.10:80")]).unwrap();
    assert_eq!(state(&same), BackendState::Draining);
    let changed = drained.reloaded(site(), vec![service("file", "203.0.113.10:88")]).unwrap();
    assert_eq!(state(&changed), BackendState::Active);
}

#[test]
fn only_what_is_not_in_the_file_is_written() {
    let before = desired();
    let address = "10.0.1.1:80".parse().unwrap();
    let drain = BackendChange { weight: None, state: Some(WantedState::Draining) };
    let drained = before.set_backend("file", address, &drain, NOW).unwrap();
    assert!(matches!(&drained.writes_since(&before)[..], [Write::Put(record)] if record.declared.is_some()));

    let active = BackendChange { weight: None, state: Some(WantedState::Active) };
    let back = drained.set_backend("file", address, &active, NOW).unwrap();
    assert_eq!(back.writes_since(&drained), [Write::Delete("file".into())]);
    let without = back.remove_service("cli").unwrap();
    assert_eq!(without.writes_since(&back), [Write::Delete("cli".into())]);
    assert_eq!(without.writes_since(&without), []);
}

#[test]
fn ten_thousand_services_are_merged_and_changed_quickly() {
    let listen = |n: usize| format!("203.0.113.{}:{}", n / 1000, 1000 + n % 1000);
    let file: Vec<Service> = (0..10_000).map(|n| service(&format!("s{n}"), &listen(n))).collect();
    let started = std::time::Instant::now();
    let desired = Desired::merged(site(), file, vec![]).unwrap();
    let merged = started.elapsed();
    let started = std::time::Instant::now();
    let change = BackendChange { weight: Some(5), state: None };
    let next = desired.set_backend("s77", "10.0.1.1:80".parse().unwrap(), &change, NOW).unwrap();
    assert_eq!((next.resolved().len(), next.writes_since(&desired).len()), (10_000, 1));
    let changed = started.elapsed();
    // Unoptimised and on a busy machine; a quadratic step would take minutes.
    assert!(merged.as_secs() < 10 && changed.as_millis() < 500, "merged in {merged:?}, changed in {changed:?}");
    println!("merged in {merged:?}, changed in {changed:?}");
}

#[test]
fn ten_thousand_ports_are_given_out_each_once() {
    let site = Site { public_ports: Some("20000-29999".parse().unwrap()), ..site() };
    let mut desired = Desired::new(site);
    for number in 0..10_000 {
        desired = desired.add_service(auto_port(&format!("s{number}"))).unwrap();
    }
    let ports: std::collections::BTreeSet<u16> =
        desired.entries().flat_map(|entry| &entry.resolved.listen).map(SocketAddr::port).collect();
    assert_eq!((ports.len(), ports.first(), ports.last()), (10_000, Some(&20_000), Some(&29_999)));
    assert_eq!(refused(desired.add_service(auto_port("late"))).0, Kind::Limit);
    let freed = desired.remove_service("s77").unwrap().add_service(auto_port("late")).unwrap();
    assert_eq!(freed.entry("late").unwrap().resolved.listen[0].port(), 20_077);
}

#[test]
fn times_that_no_deadline_can_be_reckoned_from_are_refused() {
    let desired = desired();
    let address = "10.0.1.1:80".parse().unwrap();
    for timeout in [Duration::from_secs(30 * 24 * 3600 + 1), Duration::from_secs(7999 * 31_557_600), Duration::MAX] {
        let order = DrainOrder { timeout: Some(timeout), ..DrainOrder::default() };
        let (kind, message) = refused(desired.drain_backend("file", address, &order, NOW));
        assert!(kind == Kind::Invalid && message.contains("timeout "), "{message}");

        let default = DeploymentOptions::default;
        let options = [
            ("timeout ", DeploymentOptions { timeout, ..default() }),
            ("drain_timeout ", DeploymentOptions { drain_timeout: Some(timeout), ..default() }),
            ("rollback_window ", DeploymentOptions { rollback_window: timeout, ..default() }),
        ];
        for (name, options) in options {
            let (kind, message) =
                refused(desired.begin_deployment("cli", vec![new_backend("10.0.1.7:80")], options, NOW));
            assert!(kind == Kind::Invalid && message.contains(name), "{message}");
        }
    }
}
