//! What a command ends with: one line on stderr and an exit code.

use std::{io, process::ExitCode};

use anyhow::Error;

use crate::{
    config::ConfigErrors,
    control::{ClientError, ErrorKind},
    lifecycle::{ChangeError, Refusal},
};

/// A refusal by the command line itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Prints why a command failed and gives its exit code.
pub fn report(error: &Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    match remedy(error) {
        Some(remedy) => eprintln!("gateway: {error:#}; {remedy}"),
        None => eprintln!("gateway: {error:#}"),
    }
    ExitCode::from(code(error))
}

fn code(error: &Error) -> u8 {
    if let Some(error) = find::<ClientError>(error) {
        error.exit_code()
    } else if let Some(refusal) = refusal(error) {
        ErrorKind::from(refusal.kind()).exit_code()
    } else if find::<Refused>(error).is_some() || find::<ConfigErrors>(error).is_some() {
        5
    } else {
        1
    }
}

fn remedy(error: &Error) -> Option<String> {
    refusal(error).and_then(Refusal::remedy)
}

fn refusal(error: &Error) -> Option<&Refusal> {
    match find::<ChangeError>(error) {
        Some(ChangeError::Refused(refusal)) => Some(refusal),
        _ => find::<Refusal>(error),
    }
}

/// The reader of our output has seen enough, as `head` does.
fn is_closed_pipe(error: &Error) -> bool {
    find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn find<E: std::error::Error + Send + Sync + 'static>(error: &Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref())
}
