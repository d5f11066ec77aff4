//! An HTTP request as a probe.
//!
//! One GET on a connection of its own, whose answer is read to its end, so that the connection ends with a FIN on both
//! sides. A redirect is an answer like others and is not followed.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request,
    body::{Body, Bytes},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::probe::{Failure, USER_AGENT};
use crate::model::{Health, Statuses};

/// Most of an answer's body that is read; a server that sends more sees the connection closed on it.
const MAX_BODY: u64 = 1 << 20;

const PROTOCOL: &str = "HTTP";

/// What to ask for, and what is a good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Get {
    path: String,
    host: String,
    expect: Statuses,
}

impl Get {
    pub fn new(to: SocketAddr, health: &Health) -> Self {
        Self {
            path: health.path.clone().unwrap_or_else(|| "/".to_owned()),
            host: health.host.clone().unwrap_or_else(|| to.to_string()),
            expect: health.expect.clone().unwrap_or_default(),
        }
    }

    pub async fn run(&self, stream: TcpStream) -> Result<(), Failure> {
        let broken = |error: hyper::Error| Failure::of_exchange(PROTOCOL, &error);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // The connection ends after the exchange, which drops the sender; its errors are those of the exchange.
        let (status, _) = tokio::join!(self.exchange(sender), connection);
        let status = status?;
        if self.expect.contains(status) {
            Ok(())
        } else {
            Err(Failure::Backend(format!("HTTP {status}, expected {}", self.expect)))
        }
    }

    /// The status of the answer.
    async fn exchange(&self, mut sender: http1::SendRequest<Empty<Bytes>>) -> Result<u16, Failure> {
        let request = Request::get(&self.path)
            .header(header::HOST, &self.host)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::CONNECTION, "close")
            .body(Empty::new())
            .map_err(|error| Failure::Own(format!("cannot probe: write the request: {error}")))?;
        let broken = |error: hyper::Error| Failure::of_exchange(PROTOCOL, &error);
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let mut read = 0;
        while read < MAX_BODY && !body.is_end_stream() {
            let Some(frame) = body.frame().await else { break };
            read += frame.map_err(broken)?.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok(status)
    }
}
