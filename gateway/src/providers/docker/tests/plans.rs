//! What is planned for a service, by its state and its containers.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    lifecycle::{Desired, Site},
    model::{BackendState, DeploymentOptions, NewBackend, Phase, Process, change::DrainOrder, change::NewService},
    providers::docker::plan::{Action, plan},
};

const SERVICE: &str = "web";

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + seconds)
}

/// The container with this number, of a deployment, created and started at that second.
fn container(number: u8, deployment: &str, second: u64) -> Member {
    Member {
        container: format!("id{number}"),
        name: format!("name{number}"),
        service: SERVICE.to_owned(),
        deployment: deployment.to_owned(),
        address: address(number),
        weight: 1,
        created: at(second),
        started: at(second),
        activity: Activity::Running,
    }
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::new([172, 17, 0, number].into(), 80)
}

fn backend(member: &Member) -> NewBackend {
    NewBackend {
        address: member.address,
        weight: member.weight,
        process: Some(Process::Container(member.container.clone())),
        deployment: Some(member.deployment.clone()),
    }
}

/// A state with the service, and these containers as its backends.
fn state(members: &[Member]) -> Desired {
    let site = Site {
        hostname: None,
        public: vec!["203.0.113.10".parse().unwrap()],
        public_ports: "20000-20009".parse().ok(),
        snat: vec!["10.0.0.1".parse().unwrap()],
        snat_ports: "40000-65535".parse().unwrap(),
        defaults: crate::model::Policy::default(),
    };
    let backends = members.iter().map(backend).collect();
    let service = NewService { name: SERVICE.into(), auto_port: true, backends, ..NewService::default() };
    Desired::new(site).add_service(service).unwrap()
}

fn actions(state: &Desired, members: &[Member]) -> Vec<Action> {
    plan(state.entry(SERVICE).ok(), members).actions
}

const NOTHING: [Action; 0] = [];

fn drain_at_once(member: &Member) -> Action {
    Action::Drain(member.address, DrainOrder { timeout: Some(Duration::ZERO), signal: false, remove: true })
}

/// `old` replaced by a deployment of `new` that has not switched yet.
fn deploying(old: &[Member], new: &[Member], now: u64) -> Desired {
    let backends = new.iter().map(backend).collect();
    state(old).begin_deployment(SERVICE, backends, DeploymentOptions::default(), at(now)).unwrap()
}

#[test]
fn service_is_created_with_the_newest_deployment() {
    let members = [container(2, "a", 1), container(3, "b", 2), container(4, "b", 3)];
    let newest = vec![backend(&members[1]), backend(&members[2])];
    assert_eq!(plan(None, &members).actions, [Action::Create(newest)]);
    assert_eq!(plan(None, &[]).actions, NOTHING);
}

#[test]
fn containers_of_the_same_deployment_come_and_go() {
    let [one, two] = [container(2, "a", 1), container(3, "a", 2)];
    let present = state(std::slice::from_ref(&one));
    assert_eq!(actions(&present, &[one.clone(), two.clone()]), [Action::Add(backend(&two))]);
    assert_eq!(actions(&present, std::slice::from_ref(&one)), NOTHING);
    assert_eq!(actions(&present, &[]), [drain_at_once(&one)]);
}

#[test]
fn newer_deployment_is_deployed_and_foreign_backends_stay() {
    let [old, new] = [container(2, "a", 1), container(3, "b", 2)];
    let foreign = NewBackend::new("10.0.1.9:80".parse().unwrap());
    let present = state(std::slice::from_ref(&old)).add_backend(SERVICE, foreign.clone()).unwrap();
    let deployed = Action::Deploy(vec![backend(&new), foreign]);
    assert_eq!(actions(&present, &[old.clone(), new]), [deployed]);
    // The other way round the newer one is in already.
    assert_eq!(actions(&present, &[container(4, "0", 0), old]), NOTHING);
}

#[test]
fn foreign_backends_are_never_touched() {
    let present = state(&[]).add_backend(SERVICE, NewBackend::new(address(9))).unwrap();
    assert_eq!(actions(&present, &[]), NOTHING);
    let same_address = container(9, "a", 1);
    assert_eq!(actions(&present, &[same_address]), NOTHING);
}

#[test]
fn containers_join_a_deployment_after_its_switch() {
    let old = container(2, "a", 1);
    let [first, second] = [container(3, "b", 2), container(4, "b", 3)];
    let members = [old.clone(), first.clone(), second.clone()];
    let starting = deploying(&[old], &[first], 4);
    assert_eq!(actions(&starting, &members), NOTHING);
    let switched = starting.switch(SERVICE, at(5)).unwrap();
    assert!(matches!(switched.entry(SERVICE).unwrap().deployment().unwrap().phase, Phase::Confirming { .. }));
    assert_eq!(actions(&switched, &members), [Action::Add(backend(&second))]);
}

#[test]
fn newer_deployment_ends_one_that_has_not_switched() {
    let members = [container(2, "a", 1), container(3, "b", 2), container(4, "c", 3)];
    let starting = deploying(&members[..1], &members[1..2], 4);
    assert_eq!(actions(&starting, &members), [Action::Abandon]);
    // One that has switched is waited for.
    let switched = starting.switch(SERVICE, at(5)).unwrap();
    assert_eq!(actions(&switched, &members), NOTHING);
}

#[test]
fn deployment_of_somebody_else_is_waited_for() {
    let members = [container(2, "a", 1), container(3, "b", 2)];
    let new = vec![NewBackend::new(address(9))];
    let begun = state(&members[..1]).begin_deployment(SERVICE, new, DeploymentOptions::default(), at(4)).unwrap();
    assert_eq!(actions(&begun, &members), NOTHING);
}

#[test]
fn crash_before_the_switch_is_left_to_the_deployment() {
    let [old, new] = [container(2, "a", 1), container(3, "b", 2)];
    let starting = deploying(std::slice::from_ref(&old), &[new], 4);
    assert_eq!(actions(&starting, &[old]), NOTHING);
}

#[test]
fn failed_deployment_is_tried_again_when_its_containers_start_anew() {
    let [old, mut new] = [container(2, "a", 1), container(3, "b", 2)];
    let starting = deploying(std::slice::from_ref(&old), std::slice::from_ref(&new), 4);
    let failed = starting.abandon(SERVICE, "no answer".into(), BTreeMap::new(), at(5)).unwrap();
    let plan_now = plan(failed.entry(SERVICE).ok(), &[old.clone(), new.clone()]);
    assert_eq!(plan_now.actions, NOTHING);
    let sentence = "service web: deployment b is not taken in: no answer; start its containers anew to try again";
    assert_eq!(plan_now.findings, [sentence]);
    // The old deployment can grow meanwhile.
    let more = container(4, "a", 3);
    assert_eq!(actions(&failed, &[old.clone(), new.clone(), more.clone()]), [Action::Add(backend(&more))]);
    // A container that was not part of the attempt is one to try.
    let late = container(5, "b", 3);
    let both = Action::Deploy(vec![backend(&new), backend(&late)]);
    assert_eq!(actions(&failed, &[old.clone(), new.clone(), late]), [both]);
    new.started = at(6);
    assert_eq!(actions(&failed, &[old, new.clone()]), [Action::Deploy(vec![backend(&new)])]);
}

#[test]
fn deployment_that_was_rolled_back_takes_new_containers() {
    let [old, mut new] = [container(2, "a", 1), container(3, "b", 2)];
    let late = container(4, "b", 3);
    let switched = deploying(std::slice::from_ref(&old), std::slice::from_ref(&new), 4).switch(SERVICE, at(5)).unwrap();
    let joined = switched.add_backend(SERVICE, backend(&late)).unwrap();
    let rolled_back = joined.roll_back(SERVICE, "errors".into(), at(6)).unwrap();
    // What had joined after the switch goes as well.
    let members = [old.clone(), new.clone(), late.clone()];
    assert_eq!(actions(&rolled_back, &members), [Action::Remove(late.address)]);
    new.started = at(7);
    let without = rolled_back.remove_backend(SERVICE, late.address).unwrap();
    assert_eq!(actions(&without, &[old.clone(), new.clone()]), NOTHING, "it would only be rolled back again");
    let fresh = container(5, "b", 8);
    assert_eq!(actions(&without, &[old, fresh.clone()]), [Action::Deploy(vec![backend(&fresh)])]);
}

#[test]
fn stopping_container_drains_without_another_signal_and_once() {
    let mut one = container(2, "a", 1);
    let present = state(std::slice::from_ref(&one));
    one.activity = Activity::Stopping;
    let order = DrainOrder { timeout: None, signal: false, remove: true };
    assert_eq!(actions(&present, std::slice::from_ref(&one)), [Action::Drain(one.address, order)]);
    let draining = present.drain_backend(SERVICE, one.address, &order, at(5)).unwrap();
    assert_eq!(actions(&draining, std::slice::from_ref(&one)), NOTHING);
    // It has ended: so have its connections.
    let Action::Drain(_, at_once) = drain_at_once(&one) else { unreachable!("it is a drain") };
    assert_eq!(actions(&draining, &[]), [drain_at_once(&one)]);
    let over = draining.drain_backend(SERVICE, one.address, &at_once, at(6)).unwrap();
    assert_eq!(actions(&over, &[]), NOTHING);
    // Started again it first has to leave.
    (one.activity, one.started) = (Activity::Running, at(7));
    assert_eq!(actions(&draining, std::slice::from_ref(&one)), [drain_at_once(&one)]);
}

#[test]
fn drain_by_hand_is_left_alone() {
    let one = container(2, "a", 1);
    let draining = state(std::slice::from_ref(&one));
    let draining = draining.drain_backend(SERVICE, one.address, &DrainOrder::default(), at(5)).unwrap();
    assert_eq!(actions(&draining, &[one]), NOTHING);
}

#[test]
fn paused_container_leaves_without_its_connections_being_cut() {
    let mut one = container(2, "a", 1);
    let present = state(std::slice::from_ref(&one));
    one.activity = Activity::Paused;
    assert_eq!(actions(&present, std::slice::from_ref(&one)), [Action::Remove(one.address)]);
    let without = present.remove_backend(SERVICE, one.address).unwrap();
    assert_eq!(actions(&without, std::slice::from_ref(&one)), NOTHING);
    one.activity = Activity::Running;
    assert_eq!(actions(&without, std::slice::from_ref(&one)), [Action::Add(backend(&one))]);
}

#[test]
fn older_deployment_comes_back_when_the_newer_has_ended() {
    let [old, new] = [container(2, "a", 1), container(3, "b", 2)];
    let present = state(std::slice::from_ref(&new));
    assert_eq!(actions(&present, &[old.clone(), new.clone()]), NOTHING);
    let over = present.remove_backend(SERVICE, new.address).unwrap();
    assert_eq!(actions(&over, std::slice::from_ref(&old)), [Action::Add(backend(&old))]);
    assert!(over.entry(SERVICE).unwrap().service().backends.iter().all(|it| it.state == BackendState::Active));
}

#[test]
fn address_of_a_dead_container_is_free_when_that_has_left() {
    let [dead, mut heir] = [container(2, "a", 1), container(3, "a", 2)];
    heir.address = dead.address;
    let present = state(std::slice::from_ref(&dead));
    assert_eq!(actions(&present, std::slice::from_ref(&heir)), [drain_at_once(&dead)]);
    let Action::Drain(_, at_once) = drain_at_once(&dead) else { unreachable!("it is a drain") };
    let leaving = present.drain_backend(SERVICE, dead.address, &at_once, at(5)).unwrap();
    assert_eq!(actions(&leaving, std::slice::from_ref(&heir)), NOTHING);
    let left = leaving.end_drain(SERVICE, dead.address).unwrap();
    assert_eq!(actions(&left, std::slice::from_ref(&heir)), [Action::Add(backend(&heir))]);
}
