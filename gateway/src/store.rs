//! Where the state that was set at run time survives restarts.
//!
//! An embedded ACID store in one file: a batch of writes is on disk as a whole when [`Store::write`] returns, or not
//! at all. It is locked while it is open, so two gateways cannot share it. Records are JSON; the schema version
//! beside them is checked before any is read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use crate::lifecycle::{Record, Write};

/// Version of what is in [`SERVICES`].
const SCHEMA: u64 = 1;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SERVICES: TableDefinition<&str, &[u8]> = TableDefinition::new("services");

/// The open store.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
}

impl Store {
    /// Opens `state.redb` in the state folder; both are made if they are not there.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| {
            format!("make the state folder {}; create it, or name another as `state` in [control]", folder.display())
        })?;
        let path = folder.join("state.redb");
        let database = Database::create(&path).map_err(|error| unopened(&path, error))?;
        let store = Self { database, path };
        store.claim_schema().with_context(|| store.recovery())?;
        Ok(store)
    }

    /// Every record.
    pub fn load(&self) -> Result<Vec<Record>> {
        self.try_load().with_context(|| self.recovery())
    }

    /// Does all of the writes, durably.
    pub fn write(&self, writes: &[Write]) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        self.try_write(writes).with_context(|| format!("write the state store {}", self.path.display()))
    }

    fn claim_schema(&self) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            transaction.open_table(SERVICES)?;
            let found = meta.get("schema")?.map(|schema| schema.value());
            match found {
                None => drop(meta.insert("schema", SCHEMA)?),
                Some(SCHEMA) => {}
                Some(other) => bail!("its schema version is {other} and this gateway reads version {SCHEMA}"),
            }
        }
        transaction.commit().map_err(Into::into)
    }

    fn try_load(&self) -> Result<Vec<Record>> {
        let services = self.database.begin_read()?.open_table(SERVICES)?;
        let mut records = Vec::new();
        for row in services.iter()? {
            let (name, value) = row?;
            let record = serde_json::from_slice(value.value())
                .with_context(|| format!("the record of service `{}` is unreadable", name.value()))?;
            records.push(record);
        }
        Ok(records)
    }

    fn try_write(&self, writes: &[Write]) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut services = transaction.open_table(SERVICES)?;
            for write in writes {
                match write {
                    Write::Put(record) => {
                        let value = serde_json::to_vec(record)?;
                        services.insert(record.service.name.as_str(), value.as_slice())?;
                    }
                    Write::Delete(name) => drop(services.remove(name.as_str())?),
                }
            }
        }
        transaction.commit().map_err(Into::into)
    }

    fn recovery(&self) -> String {
        recovery(&self.path)
    }
}

fn unopened(path: &Path, error: DatabaseError) -> anyhow::Error {
    let context = match error {
        DatabaseError::DatabaseAlreadyOpen => {
            format!("open the state store {}: another gateway is running with it; stop that one first", path.display())
        }
        _ => recovery(path),
    };
    anyhow::Error::new(error).context(context)
}

fn recovery(path: &Path) -> String {
    format!(
        "read the state store {path}; if it is damaged, restore it from a copy, or move it away and start again: \
         the file's services are unharmed, those added with `gateway service add` are to be added again",
        path = path.display()
    )
}

#[cfg(test)]
mod tests {
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
        let store = Store::open(folder.path()).unwrap();
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
        for damage in [&b"not a store"[..], &[0; 8192]] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("state.redb"), damage).unwrap();
            let error = format!("{:#}", Store::open(folder.path()).unwrap_err());
            assert!(error.contains("move it away"), "{error}");
        }
    }

    #[test]
    fn truncated_store_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
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
        let transaction = store.database.begin_write().unwrap();
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
        let transaction = store.database.begin_write().unwrap();
        transaction.open_table(SERVICES).unwrap().insert("mqtt", &b"{"[..]).unwrap();
        transaction.commit().unwrap();
        let error = format!("{:#}", store.load().unwrap_err());
        assert!(error.contains("`mqtt` is unreadable"), "{error}");
    }
}
