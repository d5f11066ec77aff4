//! One probe of a backend.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use nix::errno::Errno;
use tokio::time;

use super::tcp;

/// What to ask a backend, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub to: SocketAddr,
    /// Absent: as the kernel chooses.
    pub from: Option<IpAddr>,
    pub timeout: Duration,
}

/// Why a probe did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The backend did not answer as it should.
    Backend(String),
    /// The probe could not be made, which says nothing about the backend.
    Own(String),
}

impl Probe {
    pub async fn run(&self) -> Result<(), Failure> {
        let probe = tcp::handshake(self.to, self.from);
        time::timeout(self.timeout, probe).await.unwrap_or_else(|_| Err(self.unanswered()))
    }

    fn unanswered(&self) -> Failure {
        Failure::Backend(format!("no answer within {}", humantime::format_duration(self.timeout)))
    }
}

impl Failure {
    /// The socket could not be made or bound.
    pub fn own(action: &str, error: &io::Error) -> Self {
        Self::Own(format!("cannot probe: {action}: {}", sentence(error)))
    }

    /// The connection failed.
    pub fn of_connection(error: &io::Error) -> Self {
        const OWN: [Errno; 6] =
            [Errno::EADDRINUSE, Errno::EADDRNOTAVAIL, Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
        match errno(error) {
            Some(errno) if OWN.contains(&errno) => Self::own("connect", error),
            _ => Self::Backend(sentence(error)),
        }
    }
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// `connection refused` rather than `Connection refused (os error 111)`.
fn sentence(error: &io::Error) -> String {
    errno(error).map_or_else(|| error.to_string(), |errno| errno.desc().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_by_whose_they_are() {
        let failure = |errno: Errno| Failure::of_connection(&errno.into());
        assert_eq!(failure(Errno::ECONNREFUSED), Failure::Backend("connection refused".to_owned()));
        assert_eq!(failure(Errno::EHOSTUNREACH), Failure::Backend("no route to host".to_owned()));
        let own = "cannot probe: connect: cannot assign requested address";
        assert_eq!(failure(Errno::EADDRNOTAVAIL), Failure::Own(own.to_owned()));
    }
}
