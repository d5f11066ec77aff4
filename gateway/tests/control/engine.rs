//! The engine over packet tables in memory that can be told to fail.

use std::time::SystemTime;

use gateway::{
    lifecycle::{ChangeError, Desired, Engine, Refusal},
    model::{
        Answer, Service,
        change::BackendChange,
        flow::{Flow, FlowState},
    },
    store::Store,
};

use crate::support::{MemoryTables, flow, new_service, service, site};

fn engine(folder: &tempfile::TempDir, file: Vec<Service>) -> (Engine<MemoryTables>, MemoryTables) {
    let tables = MemoryTables::default();
    let store = Store::open(folder.path()).unwrap();
    let desired = Desired::merged(site(), file, store.load().unwrap()).unwrap();
    (Engine::start(desired, store, tables.clone()).unwrap(), tables)
}

#[test]
fn change_is_in_the_tables_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, tables) = engine(&folder, vec![service("file", ":80")]);
    first.change(|desired| desired.add_service(new_service("cli", ":81"))).unwrap();
    assert_eq!(tables.names(), ["cli", "file"]);
    drop(first);

    let (second, tables) = engine(&folder, vec![service("file", ":80")]);
    assert_eq!(tables.names(), ["cli", "file"]);
    second.change(|desired| desired.remove_service("cli")).unwrap();
    drop(second);

    let (_third, tables) = engine(&folder, vec![service("file", ":80")]);
    assert_eq!(tables.names(), ["file"]);
}

#[test]
fn failing_tables_leave_the_state_before_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tables) = self::engine(&folder, vec![service("file", ":80")]);
    tables.fail_once();
    let error = engine.change(|desired| desired.add_service(new_service("cli", ":81"))).unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
    assert_eq!(tables.names(), ["file"]);
    assert!(engine.desired().entry("cli").is_err());
    drop(engine);

    let (_reopened, tables) = self::engine(&folder, vec![service("file", ":80")]);
    assert_eq!(tables.names(), ["file"]);
}

#[test]
fn refused_change_does_not_reach_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tables) = engine(&folder, vec![service("file", ":80")]);
    tables.fail_once();
    let error = engine.change(|desired| desired.add_service(new_service("file", ":81"))).unwrap_err();
    assert!(matches!(error, ChangeError::Refused(Refusal::NameTaken { .. })), "{error}");
    assert!(tables.will_fail(), "the tables were touched");
}

#[test]
fn override_of_a_file_service_survives_a_restart_but_not_a_change_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let drain = BackendChange { weight: Some(9), ..BackendChange::default() };
    let declared = service("file", ":80");
    let backend = declared.backends[0].address;

    let (first, _) = engine(&folder, vec![declared.clone()]);
    first.change(|desired| desired.set_backend("file", backend, &drain, SystemTime::now())).unwrap();
    drop(first);
    let (second, _) = engine(&folder, vec![declared.clone()]);
    assert_eq!(second.desired().entry("file").unwrap().service().backends[0].weight, 9);
    drop(second);

    let (third, _) = engine(&folder, vec![service("file", ":8080")]);
    assert_eq!(third.desired().entry("file").unwrap().service().backends[0].weight, 1);
    drop(third);
    let (fourth, _) = engine(&folder, vec![declared]);
    assert_eq!(fourth.desired().entry("file").unwrap().service().backends[0].weight, 1);
}

#[test]
fn watcher_sees_each_state_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = engine(&folder, vec![]);
    let mut watcher = engine.watch();
    assert!(!watcher.has_changed().unwrap());
    engine.change(|desired| desired.add_service(new_service("cli", ":81"))).unwrap();
    assert_eq!(watcher.borrow_and_update().entries().len(), 1);
}

#[test]
fn cut_ends_the_open_flows_of_one_backend() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, tables) = engine(&folder, vec![service("file", ":80")]);
    let other =
        Flow { backend: "10.0.1.2:80".parse().unwrap(), ..flow("file", "198.51.100.9:1", FlowState::Established) };
    tables.set_flows(vec![
        flow("file", "198.51.100.7:1", FlowState::Established),
        flow("file", "198.51.100.8:1", FlowState::TimeWait),
        other.clone(),
    ]);
    let backend = "10.0.1.1:80".parse().unwrap();
    assert_eq!(engine.open_flows("file", backend).unwrap(), 1);
    assert_eq!(engine.cut("file", backend, Answer::Reset).unwrap(), 1);
    assert_eq!(engine.open_flows("file", backend).unwrap(), 0);
    assert_eq!(engine.open_flows("file", other.backend).unwrap(), 1);
}
