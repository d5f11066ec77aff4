//! The gRPC health checking protocol as a probe: `grpc.health.v1.Health/Check`, on a connection of its own.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use std::{io, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tonic::{
    Code,
    transport::{Channel, Endpoint, Uri},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tower::service_fn;

use super::probe::{Failure, USER_AGENT};
use crate::model::Health;

const PROTOCOL: &str = "gRPC";

/// How long a server has to end its side of the connection.
const FAREWELL: Duration = Duration::from_secs(1);

/// Which service to ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// Empty: the server as a whole.
    service: String,
}

impl Check {
    pub fn new(health: &Health) -> Self {
        Self { service: health.service.clone().unwrap_or_default() }
    }

    pub async fn run(&self, stream: TcpStream) -> Result<(), Failure> {
        let (stream, other) = doubled(stream)?;
        let outcome = self.ask(stream).await;
        // The verdict does not wait for it.
        tokio::spawn(timeout(FAREWELL, hear_out(other)));
        outcome
    }

    async fn ask(&self, stream: TcpStream) -> Result<(), Failure> {
        let mut client = HealthClient::new(channel(stream).await?);
        let request = HealthCheckRequest { service: self.service.clone() };
        let answer = client.check(request).await.map_err(|status| self.refused(&status))?;
        match answer.get_ref().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(Failure::Backend(other.as_str_name().to_owned())),
        }
    }

    fn refused(&self, status: &tonic::Status) -> Failure {
        let reason = match status.code() {
            Code::Unimplemented => "the server has no grpc.health.v1.Health".to_owned(),
            Code::NotFound => format!("the server knows no service `{}`", self.service),
            code => format!("{code:?}: {}", status.message()),
        };
        Failure::Backend(reason)
    }
}

/// Two handles of one connection.
fn doubled(stream: TcpStream) -> Result<(TcpStream, TcpStream), Failure> {
    let doubled = || {
        let stream = stream.into_std()?;
        let other = stream.try_clone()?;
        io::Result::Ok((TcpStream::from_std(stream)?, TcpStream::from_std(other)?))
    };
    doubled().map_err(|error| Failure::Own(format!("cannot probe: {error}")))
}

/// Reads what the server still says after GOAWAY and FIN, until its own FIN: a socket that is closed before would answer
/// it by a reset.
async fn hear_out(mut stream: TcpStream) {
    // How the server ends is its own affair.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// A channel over this connection and no other.
async fn channel(stream: TcpStream) -> Result<Channel, Failure> {
    let mut stream = Some(stream);
    let connector = service_fn(move |_: Uri| {
        let stream = stream.take().map(TokioIo::new).ok_or(io::Error::from(io::ErrorKind::NotConnected));
        async { stream }
    });
    let endpoint = Endpoint::from_static("http://backend").user_agent(USER_AGENT);
    let endpoint = endpoint.map_err(|error| Failure::Own(format!("cannot probe: prepare the request: {error}")))?;
    endpoint.connect_with_connector(connector).await.map_err(|error| Failure::of_exchange(PROTOCOL, &error))
}
