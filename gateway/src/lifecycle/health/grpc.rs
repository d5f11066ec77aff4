//! The gRPC health checking protocol as a probe: `grpc.health.v1.Health/Check`, on a connection of its own.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use std::io;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::{
    Code,
    transport::{Channel, Endpoint, Uri},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tower::service_fn;

use super::probe::{Failure, USER_AGENT};
use crate::model::Health;

const PROTOCOL: &str = "gRPC";

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
