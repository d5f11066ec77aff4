//! What is said when the store fails: what happened to which file, and the way out of it.

use std::{io, path::Path};

use anyhow::Error;
use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};

/// Opening or reading has failed.
pub fn of_reading(path: &Path, error: Error) -> Error {
    let context = match remedy(&error) {
        Some(remedy) => format!("read the state store {}; {remedy}", path.display()),
        None => format!(
            "read the state store {path}; if it is damaged, restore it from a copy, or move it away and start again: \
             the file's services are unharmed, those added with `gateway service add` are to be added again",
            path = path.display()
        ),
    };
    error.context(context)
}

/// A write has failed.
pub fn of_writing(path: &Path, error: Error) -> Error {
    let context = match remedy(&error) {
        Some(remedy) => format!("write the state store {}; {remedy}", path.display()),
        None => format!("write the state store {}", path.display()),
    };
    error.context(context)
}

/// The way out of what is known to be no damage.
fn remedy(error: &Error) -> Option<&'static str> {
    if is_open_elsewhere(error) {
        return Some("another gateway is running with it, stop that one first");
    }
    match io_error(error)?.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room on its disk, or name another folder as `state` in [control]")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("mount its disk for writing, or name another folder as `state` in [control]")
        }
        io::ErrorKind::PermissionDenied => {
            Some("let the gateway write there, or name another folder as `state` in [control]")
        }
        _ => None,
    }
}

fn is_open_elsewhere(error: &Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(DatabaseError::DatabaseAlreadyOpen)))
}

/// The system's error, which the database's own hide.
fn io_error(error: &Error) -> Option<&io::Error> {
    error.chain().find_map(|cause| match cause.downcast_ref::<io::Error>() {
        Some(error) => Some(error),
        None => match storage_error(cause)? {
            StorageError::Io(error) => Some(error),
            _ => None,
        },
    })
}

fn storage_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a StorageError> {
    if let Some(DatabaseError::Storage(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(TransactionError::Storage(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(TableError::Storage(error)) = cause.downcast_ref() {
        return Some(error);
    }
    if let Some(CommitError::Storage(error)) = cause.downcast_ref() {
        return Some(error);
    }
    cause.downcast_ref()
}
