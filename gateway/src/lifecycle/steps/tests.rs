//! Which step is due when.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::*;
use crate::{
    lifecycle::{Observation, Site},
    model::{
        DeploymentOptions, HealthReport, NewBackend, Wait,
        change::{DrainOrder, NewService},
    },
};

const OLD: [&str; 2] = ["10.0.1.1:80", "10.0.1.2:80"];
const NEW: [&str; 2] = ["10.0.1.3:80", "10.0.1.4:80"];
const START: SystemTime = SystemTime::UNIX_EPOCH;

fn at(seconds: u64) -> SystemTime {
    START + Duration::from_secs(seconds)
}

fn backend(address: &str) -> NewBackend {
    let process = Some(Process::Container(format!("of-{address}")));
    NewBackend { process, ..NewBackend::new(address.parse().unwrap()) }
}

/// A service with a past, and all that the steps depend on.
struct World {
    desired: Desired,
    health: Arc<HealthBook>,
    open: HashMap<SocketAddr, u64>,
    fared: Fared,
    signalling: bool,
}

impl World {
    fn new() -> Self {
        let site = Site {
            hostname: None,
            public: vec!["203.0.113.10".parse().unwrap()],
            public_ports: None,
            snat: vec!["10.0.0.1".parse().unwrap()],
            snat_ports: "40000-65535".parse().unwrap(),
            defaults: crate::model::Policy::default(),
        };
        let listen = vec![":80".parse().unwrap()];
        let backends = OLD.map(backend).to_vec();
        let new = NewService { name: "web".into(), listen, backends, ..NewService::default() };
        let desired = Desired::new(site).add_service(new).unwrap();
        let health = Arc::new(HealthBook::trusting(&desired));
        Self { desired, health, open: HashMap::new(), fared: Fared::default(), signalling: false }
    }

    /// The same with a deployment that has begun.
    fn deploying(options: DeploymentOptions) -> Self {
        let mut world = Self::new();
        world.change(|desired| desired.begin_deployment("web", NEW.map(backend).to_vec(), options, START));
        world
    }

    fn change(&mut self, step: impl FnOnce(&Desired) -> Result<Desired, crate::lifecycle::Refusal>) {
        let before = self.desired.clone();
        self.desired = step(&before).unwrap();
        self.health = self.health.followed(&self.desired.writes_since(&before), &before, &self.desired);
    }

    fn observe(&mut self, backend: &str, status: HealthStatus, error: Option<&str>) {
        let report = HealthReport { error: error.map(str::to_owned), ..HealthReport::now(status) };
        let backend = backend.parse().unwrap();
        Arc::make_mut(&mut self.health).enter(Observation { service: "web".into(), backend, report });
    }

    fn due(&self, seconds: u64) -> Vec<Step> {
        let evidence = Evidence {
            health: &self.health,
            open_flows: &|_, backend| self.open.get(&backend).copied().unwrap_or(0),
            signalling: &|_, _| self.signalling,
            fared: &|_, _| self.fared,
        };
        due(&self.desired, &evidence, at(seconds)).into_iter().map(|(_, step)| step).collect()
    }

    fn states(&self) -> Vec<(String, BackendState)> {
        let backends = &self.desired.entry("web").unwrap().service().backends;
        backends.iter().map(|backend| (backend.address.to_string(), backend.state)).collect()
    }
}

fn options() -> DeploymentOptions {
    DeploymentOptions::default()
}

fn container(backend: &str) -> Process {
    Process::Container(format!("of-{backend}"))
}

#[test]
fn first_answer_switches_and_no_earlier() {
    let mut world = World::deploying(options());
    assert_eq!(world.due(0), []);
    world.observe(NEW[0], HealthStatus::Starting, Some("connection refused"));
    assert_eq!(world.due(59), []);
    world.observe(NEW[1], HealthStatus::Up, None);
    assert_eq!(world.due(59), [Step::Switch]);
}

#[test]
fn all_of_them_are_waited_for_when_asked() {
    let mut world = World::deploying(DeploymentOptions { wait: Wait::All, ..options() });
    world.observe(NEW[0], HealthStatus::Up, None);
    assert_eq!(world.due(1), []);
    world.observe(NEW[1], HealthStatus::Up, None);
    assert_eq!(world.due(1), [Step::Switch]);
}

#[test]
fn silence_until_the_deadline_is_given_up_with_the_reason_of_each() {
    let mut world = World::deploying(options());
    world.observe(NEW[0], HealthStatus::Starting, Some("connection refused"));
    let due = world.due(60);
    let [Step::Abandon { reason, errors }] = &due[..] else { panic!("{due:?}") };
    assert_eq!(reason, "0 of 2 new backends answered, 1 had to");
    let errors: Vec<_> = errors.iter().map(|(backend, error)| (backend.to_string(), error.as_str())).collect();
    assert_eq!(errors, [(NEW[0].into(), "connection refused"), (NEW[1].into(), "no answer yet")]);
    let (reason, errors) = (reason.clone(), BTreeMap::new());
    world.change(|desired| desired.abandon("web", reason, errors, at(60)));
    assert_eq!(world.states(), OLD.map(|address| (address.to_owned(), BackendState::Active)));
    assert_eq!(world.due(1000), []);
}

#[test]
fn switch_confirms_then_signals_then_ends_what_is_empty_and_cuts_the_rest() {
    let mut world = World::deploying(options());
    world.observe(NEW[0], HealthStatus::Up, None);
    world.change(|desired| desired.switch("web", at(1)));
    let [old, new] = [BackendState::Draining, BackendState::Active];
    let expected = [(OLD[0], old), (OLD[1], old), (NEW[0], new), (NEW[1], new)];
    assert_eq!(world.states(), expected.map(|(address, state)| (address.to_owned(), state)));

    let busy: SocketAddr = OLD[1].parse().unwrap();
    world.open.insert(busy, 7);
    assert_eq!(world.due(10), [], "within the window for rolling back");
    let signal = |address: &str| Step::Signal { backend: address.parse().unwrap(), process: container(address) };
    assert_eq!(world.due(11), [Step::Confirm, signal(OLD[0]), signal(OLD[1])]);
    world.change(|desired| desired.confirm("web", at(11)));
    world.signalling = true;
    assert_eq!(world.due(11), [], "signals are on their way");
    world.signalling = false;
    for address in OLD {
        world.change(|desired| desired.note_signal("web", address.parse().unwrap(), Signal::Sent));
    }
    let empty = OLD[0].parse().unwrap();
    assert_eq!(world.due(12), [Step::End { backend: empty }]);
    world.change(|desired| desired.end_drain("web", empty));
    assert_eq!(world.due(40), []);
    assert_eq!(world.due(41), [Step::Cut { backend: busy, answer: Answer::Reset }]);
    world.change(|desired| desired.end_drain("web", busy));
    assert_eq!(world.states(), NEW.map(|address| (address.to_owned(), BackendState::Active)));
    assert!(!is_busy(&world.desired));
}

#[test]
fn errors_above_the_threshold_bring_the_old_ones_back() {
    let mut world = World::deploying(options());
    world.observe(NEW[0], HealthStatus::Up, None);
    world.change(|desired| desired.switch("web", at(1)));
    world.fared = Fared { attempts: 100, errors: 9 };
    assert_eq!(world.due(2), []);
    world.fared = Fared { attempts: 2, errors: 2 };
    assert_eq!(world.due(2), [], "too few to judge by");
    world.fared = Fared { attempts: 100, errors: 10 };
    let due = world.due(2);
    let [Step::RollBack { reason }] = &due[..] else { panic!("{due:?}") };
    let reason = reason.clone();
    world.change(|desired| desired.roll_back("web", reason, at(2)));
    assert_eq!(world.states(), OLD.map(|address| (address.to_owned(), BackendState::Active)));
    assert_eq!(world.due(1000), []);
}

#[test]
fn new_backends_that_all_fail_their_probes_are_rolled_back() {
    let mut world = World::deploying(options());
    world.observe(NEW[0], HealthStatus::Up, None);
    world.change(|desired| desired.switch("web", at(1)));
    world.observe(NEW[0], HealthStatus::Down, Some("connection refused"));
    world.observe(NEW[1], HealthStatus::Starting, Some("connection refused"));
    assert!(matches!(world.due(2)[..], [Step::RollBack { .. }]));
}

#[test]
fn there_is_no_way_back_to_backends_that_do_not_run() {
    let mut world = World::deploying(options());
    world.observe(NEW[0], HealthStatus::Up, None);
    world.change(|desired| desired.switch("web", at(1)));
    world.fared = Fared { attempts: 100, errors: 100 };
    OLD.iter().for_each(|old| world.observe(old, HealthStatus::Down, Some("connection refused")));
    assert_eq!(world.due(2), []);
}

#[test]
fn backend_that_stays_is_neither_new_nor_old() {
    let mut world = World::new();
    let set = [OLD[1], NEW[0]].map(backend).to_vec();
    world.change(|desired| desired.begin_deployment("web", set, options(), START));
    let deployment = world.desired.entry("web").unwrap().deployment().unwrap().clone();
    assert_eq!((deployment.new, deployment.old), (vec![NEW[0].parse().unwrap()], vec![OLD[0].parse().unwrap()]));
    world.observe(NEW[0], HealthStatus::Up, None);
    world.change(|desired| desired.switch("web", at(1)));
    assert!(world.states().contains(&(OLD[1].to_owned(), BackendState::Active)));
}

#[test]
fn no_window_means_signals_at_once() {
    let mut world = World::deploying(DeploymentOptions { rollback_window: Duration::ZERO, ..options() });
    world.observe(NEW[0], HealthStatus::Up, None);
    world.change(|desired| desired.switch("web", at(1)));
    assert!(matches!(world.due(1)[..], [Step::Signal { .. }, Step::Signal { .. }]));
}

#[test]
fn drain_by_hand_without_time_signals_and_cuts() {
    let mut world = World::new();
    let address = OLD[0].parse().unwrap();
    world.open.insert(address, 1);
    let order = DrainOrder { timeout: Some(Duration::ZERO), ..DrainOrder::default() };
    world.change(|desired| desired.drain_backend("web", address, &order, START));
    assert!(matches!(world.due(0)[..], [Step::Signal { .. }]));
    world.signalling = true;
    assert_eq!(world.due(0), [Step::Cut { backend: address, answer: Answer::Reset }]);
    world.change(|desired| desired.end_drain("web", address));
    assert!(world.states().contains(&(OLD[0].to_owned(), BackendState::Draining)), "kept, out of use");
    assert_eq!(world.due(1000), []);
}
