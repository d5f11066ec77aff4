//! The typed client of the control API.

use std::{io, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use super::ApiError;

mod calls;

/// Longest time for a request and its answer; the server's own limits are tighter.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Sends requests to the daemon behind a socket, each over a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no gateway answers on {}: {reason}; start one with `gateway run`, or name its socket with --socket", .socket.display())]
    NoDaemon { socket: PathBuf, reason: io::Error },
    #[error("the control socket {} is not yours to use; run as root, or as a member of its group", .socket.display())]
    Forbidden { socket: PathBuf },
    #[error(transparent)]
    Answered(#[from] ApiError),
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl ClientError {
    /// The exit code of a command that ends so.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoDaemon { .. } | Self::Forbidden { .. } => 3,
            Self::Answered(error) => error.kind.exit_code(),
            Self::Failed(_) => 1,
        }
    }
}

impl Client {
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        parsed(&self.exchange(Method::GET, path, Bytes::new()).await?)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).context("write the request")?;
        parsed(&self.exchange(method, path, body.into()).await?)
    }

    async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.exchange(Method::DELETE, path, Bytes::new()).await.map(drop)
    }

    /// The body of a successful answer.
    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| self.unreachable(source))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "gateway")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .context("write the request")?;
        let answer = tokio::time::timeout(TIMEOUT, exchange(stream, request)).await;
        let (status, body) = answer
            .map_err(|_| anyhow!("the gateway did not answer within {} s", TIMEOUT.as_secs()))?
            .with_context(|| format!("talk to the gateway on {}", self.socket.display()))?;
        if status.is_success() {
            return Ok(body);
        }
        let error: ApiError = serde_json::from_slice(&body)
            .with_context(|| format!("the gateway on {} answered {status}", self.socket.display()))?;
        Err(error.into())
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { socket },
            _ => ClientError::NoDaemon { socket, reason: source },
        }
    }
}

async fn exchange(stream: UnixStream, request: Request<Full<Bytes>>) -> anyhow::Result<(hyper::StatusCode, Bytes)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when `sender` is dropped; what goes wrong in it is what `send_request` and `collect` return.
    tokio::spawn(connection);
    let response: Response<_> = sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    let parsed = serde_json::from_slice(body);
    parsed.context("the answer is not this version's; is the daemon of the same version?").map_err(Into::into)
}
