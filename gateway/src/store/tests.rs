use super::*;
use crate::model::{Health, Limits, Policy, Service};

fn record(name: &str) -> Record {
    let service = Service {
        name: name.into(),
        listen: vec![":80".parse().unwrap()],
        policy: Policy::default(),
        health: Health::default(),
        limits: Limits::default(),
        backends: vec![],
    };
    Record { service, declared: None, deployment: None }
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store
        .write(&[Write::Put(Box::new(record("a"))), Write::Put(Box::new(record("b"))), Write::Delete("a".into())])
        .unwrap();
    drop(store);
    assert_eq!(Store::open(folder.path()).unwrap().load().unwrap(), [record("b")]);
}

#[test]
fn second_opening_is_refused_while_the_first_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let _open = Store::open(folder.path()).unwrap();
    let error = format!("{:#}", Store::open(folder.path()).unwrap_err());
    assert!(error.contains("another gateway is running"), "{error}");
}

#[test]
fn damaged_store_is_refused_with_the_way_out() {
    for damage in [&b""[..], b"not a store", &[0; 8192]] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state.redb"), damage).unwrap();
        let error = format!("{:#}", Store::open(folder.path()).unwrap_err());
        assert!(error.contains("move it away"), "{error}");
    }
}

#[test]
fn truncated_store_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.write(&(0..100).map(|n| Write::Put(Box::new(record(&format!("s{n}"))))).collect::<Vec<_>>()).unwrap();
    drop(store);
    let path = folder.path().join("state.redb");
    let whole = fs::read(&path).unwrap();
    for length in [1, 100, 5000, whole.len() / 2] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Store::open(folder.path()).and_then(|store| store.load()).unwrap_err();
        assert!(format!("{error:#}").contains("move it away"), "{length}: {error:#}");
    }
}

#[test]
fn store_of_another_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("schema", SCHEMA + 1).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let error = format!("{:#}", Store::open(folder.path()).unwrap_err());
    assert!(error.contains("schema version is 2"), "{error}");
}

#[test]
fn unreadable_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
    transaction.open_table(SERVICES).unwrap().insert("mqtt", &b"{"[..]).unwrap();
    transaction.commit().unwrap();
    let error = format!("{:#}", store.load().unwrap_err());
    assert!(error.contains("`mqtt` is unreadable"), "{error}");
}

/// Every service with a name of its own, so that a lost or changed one is seen.
fn records(count: usize) -> Vec<Record> {
    (0..count).map(|number| record(&format!("service{number:03}"))).collect()
}

#[test]
fn a_changed_byte_anywhere_is_harmless_or_refused() {
    const DAMAGES: usize = 120;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let written = records(50);
    store.write(&written.iter().map(|it| Write::Put(Box::new(it.clone()))).collect::<Vec<_>>()).unwrap();
    drop(store);
    let path = folder.path().join("state.redb");
    let whole = fs::read(&path).unwrap();
    // Most of the file is room for more: what is in use is damaged too, not only that.
    let in_use: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut refused = 0;
    for _ in 0..DAMAGES {
        let at = *random.choice(&in_use).unwrap();
        let mut damaged = whole.clone();
        damaged[at] ^= random.u8(1..);
        fs::write(&path, &damaged).unwrap();
        match Store::open(folder.path()).and_then(|store| store.load()) {
            Ok(read) => assert!(read == written, "byte {at}: other records"),
            Err(error) => {
                refused += 1;
                let again = Store::open(folder.path()).and_then(|store| store.load());
                assert!(again.is_err(), "byte {at}: what is refused once is accepted later");
                assert!(fs::read(&path).unwrap() == damaged, "byte {at}: a refused store is changed");
                assert!(format!("{error:#}").contains("move it away"), "byte {at}: {error:#}");
            }
        }
    }
    println!("{refused} of {DAMAGES} refused");
    assert!(refused > 0);
}
