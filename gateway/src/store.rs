//! Where the state that was set at run time survives restarts.
//!
//! An embedded ACID store in one file: a batch of writes is on disk as a whole when [`Store::write`] returns, or not
//! at all. It is locked while it is open, so two gateways cannot share it. It is checked as a whole when it is opened:
//! what is damaged is refused, not read. Records are JSON; the schema version beside them is checked before any is read.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, TableError,
    backends::InMemoryBackend,
};

use crate::lifecycle::{Record, Write};

mod failure;
#[cfg(test)]
mod tests;

/// Version of what is in [`SERVICES`].
const SCHEMA: u64 = 1;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const SERVICES: TableDefinition<&str, &[u8]> = TableDefinition::new("services");

/// The open store.
#[derive(Debug)]
pub struct Store {
    /// Absent after a failed write: the database does nothing more then until it is opened anew.
    database: Option<Database>,
    path: PathBuf,
}

impl Store {
    /// Opens `state.redb` in the state folder; both are made if they are not there.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| {
            format!("make the state folder {}; create it, or name another as `state` in [control]", folder.display())
        })?;
        let path = folder.join("state.redb");
        let database = open(&path).map_err(|error| failure::of_reading(&path, error))?;
        Ok(Self { database: Some(database), path })
    }

    /// Every record.
    pub fn load(&self) -> Result<Vec<Record>> {
        let database = self.database.as_ref().context("the state store is closed after a failed write")?;
        load(database).map_err(|error| failure::of_reading(&self.path, error))
    }

    /// Does all of the writes, durably.
    pub fn write(&mut self, writes: &[Write]) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let written = match self.database.take().map_or_else(|| open(&self.path), Ok) {
            Ok(database) => write(&database, writes).map(|()| self.database = Some(database)),
            Err(error) => Err(error),
        };
        written.map_err(|error| failure::of_writing(&self.path, error))
    }
}

fn open(path: &Path) -> Result<Database> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return make(path),
        file => check(&mut file?)?,
    }
    let database = Database::open(path)?;
    claim_schema(&database)?;
    Ok(database)
}

/// Makes a new one under another name first: one that is half made, as on a full disk, would look damaged.
fn make(path: &Path) -> Result<Database> {
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let database = Database::create(&unfinished)?;
    claim_schema(&database)?;
    fs::rename(&unfinished, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(database)
}

/// Refuses a damaged file. A copy in memory is looked at: opening repairs as well, by going back to an earlier state, and
/// that is for the operator to decide.
fn check(file: &mut File) -> Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(DatabaseError::DatabaseAlreadyOpen.into()),
        result => result?,
    }
    let mut image = Vec::new();
    file.read_to_end(&mut image)?;
    ensure!(!image.is_empty(), "the file is empty");
    // The database takes most kinds of damage for mistakes of its own, and panics.
    let checked = catch_unwind(AssertUnwindSafe(|| -> Result<()> {
        let memory = InMemoryBackend::new();
        memory.set_len(image.len() as u64)?;
        memory.write(0, &image)?;
        let mut database = Database::builder().create_with_backend(memory)?;
        ensure!(database.check_integrity()?, "its checksums are wrong");
        claim_schema(&database)?;
        // What a record says is judged later: here it is enough that it can be read.
        records(&database, |_, _| Ok(()))?;
        Ok(())
    }));
    checked.unwrap_or_else(|_| Err(anyhow!("the file is damaged")))
}

fn claim_schema(database: &Database) -> Result<()> {
    let found = schema(database)?;
    match found {
        Some(SCHEMA) => return Ok(()),
        Some(other) => bail!("its schema version is {other} and this gateway reads version {SCHEMA}"),
        None => {}
    }
    let transaction = database.begin_write()?;
    {
        transaction.open_table(META)?.insert("schema", SCHEMA)?;
        transaction.open_table(SERVICES)?;
    }
    transaction.commit().map_err(Into::into)
}

/// What a store says of itself; nothing if it is new.
fn schema(database: &Database) -> Result<Option<u64>> {
    let meta = match database.begin_read()?.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        meta => meta?,
    };
    Ok(meta.get("schema")?.map(|schema| schema.value()))
}

fn load(database: &Database) -> Result<Vec<Record>> {
    records(database, |name, value| {
        serde_json::from_slice(value).with_context(|| format!("the record of service `{name}` is unreadable"))
    })
}

/// Every record, as `read` makes it of name and value.
fn records<T>(database: &Database, read: impl Fn(&str, &[u8]) -> Result<T>) -> Result<Vec<T>> {
    let services = database.begin_read()?.open_table(SERVICES)?;
    let mut records = Vec::new();
    for row in services.iter()? {
        let (name, value) = row?;
        records.push(read(name.value(), value.value())?);
    }
    Ok(records)
}

fn write(database: &Database, writes: &[Write]) -> Result<()> {
    let transaction = database.begin_write()?;
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
