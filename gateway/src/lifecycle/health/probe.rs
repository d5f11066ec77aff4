//! One probe of a backend.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use nix::errno::Errno;
use tokio::time;

use super::{grpc, http, tcp};
use crate::model::{Backend, Health, HealthKind};

/// What probes call themselves where the protocol has room for it.
pub(super) const USER_AGENT: &str = concat!("gateway-health/", env!("CARGO_PKG_VERSION"));

/// What to ask a backend, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub to: SocketAddr,
    /// Absent: as the kernel chooses.
    pub from: Option<IpAddr>,
    pub timeout: Duration,
    pub question: Question,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Handshake,
    Http(http::Get),
    Grpc(grpc::Check),
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
    /// The probe of a service's backend, from the first of these addresses that is of its family.
    pub fn new(backend: &Backend, health: &Health, snat: &[IpAddr]) -> Self {
        let to = backend.address;
        let from = snat.iter().find(|address| address.is_ipv4() == to.is_ipv4()).copied();
        let question = match health.kind {
            // A new backend of a deployment is asked even where others are not.
            HealthKind::Tcp | HealthKind::None => Question::Handshake,
            HealthKind::Http => Question::Http(http::Get::new(to, health)),
            HealthKind::Grpc => Question::Grpc(grpc::Check::new(health)),
        };
        Self { to, from, timeout: health.timeout, question }
    }

    pub async fn run(&self) -> Result<(), Failure> {
        time::timeout(self.timeout, self.ask()).await.unwrap_or_else(|_| Err(self.unanswered()))
    }

    async fn ask(&self) -> Result<(), Failure> {
        let Self { to, from, .. } = *self;
        match &self.question {
            Question::Handshake => tcp::handshake(to, from).await,
            Question::Http(get) => get.run(tcp::connect(to, from).await?).await,
            Question::Grpc(check) => check.run(tcp::connect(to, from).await?).await,
        }
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

    /// What was exchanged over a connection broke off, or was not what it should be.
    pub fn of_exchange(protocol: &str, error: &(dyn Error + 'static)) -> Self {
        let mut deepest = error;
        while let Some(cause) = deepest.source() {
            deepest = cause;
        }
        let reason = deepest.downcast_ref().map_or_else(|| deepest.to_string(), sentence);
        Self::Backend(format!("no {protocol} answer: {reason}"))
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
