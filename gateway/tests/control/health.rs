//! What probes find out, as the engine takes it over, and whom it trusts before there is any probe.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use gateway::{
    lifecycle::{Desired, Engine, HealthBook, Observation, Site, health},
    model::{
        Health, HealthKind, HealthReport, HealthStatus, NewBackend,
        change::{BackendChange, NewService, ServiceChange, WantedState},
    },
    store::Store,
};

use tokio::time::timeout;

use crate::support::{MemoryTables, new_service, service, site};

/// An engine with a service `web` of the control API, which has one backend, and one of the file.
struct Scene {
    engine: Arc<Engine<MemoryTables>>,
    tables: MemoryTables,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self::at(site())
    }

    fn at(site: Site) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = MemoryTables::default();
        let store = Store::open(folder.path()).unwrap();
        let desired = Desired::merged(site, vec![service("file", ":80")], store.load().unwrap()).unwrap();
        let engine = Arc::new(Engine::start(desired, store, tables.clone()).unwrap());
        Self { engine, tables, _folder: folder }
    }

    fn add(&self, health: Health) -> SocketAddr {
        let address = "10.0.1.9:80".parse().unwrap();
        let backends = vec![NewBackend::new(address)];
        let new = NewService { health: Some(health), backends, ..new_service("web", ":81") };
        self.engine.change(|desired| desired.add_service(new)).unwrap();
        address
    }

    fn set(&self, backend: SocketAddr, state: WantedState) {
        let change = BackendChange { weight: None, state: Some(state) };
        self.engine.change(|desired| desired.set_backend("web", backend, &change, SystemTime::now())).unwrap();
    }

    fn observe(&self, service: &str, backend: SocketAddr, status: HealthStatus) {
        let report = HealthReport::now(status);
        self.engine.observe(vec![Observation { service: service.into(), backend, report }]).unwrap();
    }

    fn set_health(&self, health: Health) {
        let change = ServiceChange { health: Some(health), ..ServiceChange::default() };
        self.engine.change(|desired| desired.set_service("web", &change)).unwrap();
    }

    fn status(&self, service: &str, backend: SocketAddr) -> Option<HealthStatus> {
        self.engine.health().report(service, backend).map(|report| report.status)
    }
}

fn unprobed() -> Health {
    Health { kind: HealthKind::None, ..Health::default() }
}

#[test]
fn backends_of_the_start_are_in_use_until_a_probe_fails() {
    let scene = Scene::new();
    let [first, second] = ["10.0.1.1:80", "10.0.1.2:80"].map(|address| address.parse().unwrap());
    assert_eq!(scene.status("file", first), Some(HealthStatus::Unknown));
    assert_eq!(scene.tables.down("file"), []);
    scene.observe("file", first, HealthStatus::Down);
    assert_eq!(scene.tables.down("file"), [first]);
    scene.observe("file", second, HealthStatus::Up);
    assert_eq!(scene.tables.down("file"), [first]);
    scene.observe("file", first, HealthStatus::Up);
    assert_eq!(scene.tables.down("file"), []);
}

#[test]
fn later_backend_is_in_use_once_it_answers() {
    let scene = Scene::new();
    let backend = scene.add(Health::default());
    assert_eq!(scene.status("web", backend), Some(HealthStatus::Starting));
    assert_eq!(scene.tables.down("web"), [backend]);
    scene.observe("web", backend, HealthStatus::Up);
    assert_eq!(scene.tables.down("web"), []);
}

#[test]
fn unprobed_backend_is_in_use_at_once_and_stays_so_when_probes_begin() {
    let scene = Scene::new();
    let backend = scene.add(unprobed());
    assert_eq!((scene.status("web", backend), scene.tables.down("web")), (None, vec![]));
    scene.set_health(Health::default());
    assert_eq!(scene.status("web", backend), Some(HealthStatus::Unknown));
    assert_eq!(scene.tables.down("web"), []);
}

#[test]
fn failed_backend_is_in_use_when_probes_end() {
    let scene = Scene::new();
    let backend = scene.add(Health::default());
    scene.set_health(unprobed());
    assert_eq!((scene.status("web", backend), scene.tables.down("web")), (None, vec![]));
    scene.observe("web", backend, HealthStatus::Down);
    assert_eq!((scene.status("web", backend), scene.tables.down("web")), (None, vec![]));
}

#[test]
fn health_outlives_a_drain_that_was_called_off() {
    let scene = Scene::new();
    let backend = scene.add(Health::default());
    scene.observe("web", backend, HealthStatus::Up);
    scene.set(backend, WantedState::Draining);
    assert_eq!(scene.status("web", backend), Some(HealthStatus::Up));
    scene.set(backend, WantedState::Active);
    assert_eq!(scene.tables.down("web"), []);
}

#[test]
fn backend_that_was_removed_has_to_answer_anew() {
    let scene = Scene::new();
    let backend = scene.add(Health::default());
    scene.observe("web", backend, HealthStatus::Up);
    scene.engine.change(|desired| desired.remove_backend("web", backend)).unwrap();
    assert_eq!(scene.status("web", backend), None);
    scene.engine.change(|desired| desired.add_backend("web", NewBackend::new(backend))).unwrap();
    assert_eq!(scene.tables.down("web"), [backend]);
}

#[test]
fn observation_that_the_tables_do_not_take_is_not_published() {
    let scene = Scene::new();
    let backend = "10.0.1.1:80".parse().unwrap();
    scene.tables.fail_once();
    let report = HealthReport::now(HealthStatus::Down);
    scene.engine.observe(vec![Observation { service: "file".into(), backend, report }]).unwrap_err();
    assert_eq!(scene.status("file", backend), Some(HealthStatus::Unknown));
    assert_eq!(scene.tables.down("file"), []);
}

#[tokio::test]
async fn probe_that_cannot_be_made_is_not_held_against_the_backend() {
    // 192.0.2.1 (RFC 5737) is no address of this machine.
    let scene = Scene::at(Site { snat: vec!["192.0.2.1".parse().unwrap()], ..site() });
    let backend = scene.add(unprobed());
    scene.set_health(Health {
        interval: Duration::from_millis(50),
        timeout: Duration::from_millis(50),
        ..Health::default()
    });
    let probes = tokio::spawn(health::run(scene.engine.clone()));
    let mut health = scene.engine.watch_health();
    let has_error = |book: &Arc<HealthBook>| book.report("web", backend).is_some_and(|report| report.error.is_some());
    let book = timeout(Duration::from_secs(10), health.wait_for(has_error)).await.unwrap().unwrap().clone();
    let report = book.report("web", backend).unwrap();
    let why = "cannot probe: send from 192.0.2.1: cannot assign requested address";
    assert_eq!((report.status, report.error.as_deref()), (HealthStatus::Unknown, Some(why)));
    probes.abort();
}
