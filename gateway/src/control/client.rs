//! The typed client of the control API.

use std::{io, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use super::ApiError;

mod calls;
mod streams;

pub use streams::Stream;

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
        self.within_time(async { self.all_of(self.ask(method, path, body).await?).await }).await
    }

    /// A successful answer whose body is still to come; an error's is read.
    async fn begin(&self, path: &str) -> Result<Incoming, ClientError> {
        self.within_time(async {
            let answer = self.ask(Method::GET, path, Bytes::new()).await?;
            if answer.status().is_success() { Ok(answer.into_body()) } else { Err(self.error_of(answer).await) }
        })
        .await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| self.unreachable(source))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "gateway")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .context("write the request")?;
        send(stream, request).await.with_context(|| self.talk()).map_err(Into::into)
    }

    async fn all_of(&self, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        if !answer.status().is_success() {
            return Err(self.error_of(answer).await);
        }
        let body = answer.into_body().collect().await.with_context(|| self.talk())?;
        Ok(body.to_bytes())
    }

    async fn error_of(&self, answer: Response<Incoming>) -> ClientError {
        let status = answer.status();
        let body = match answer.into_body().collect().await.with_context(|| self.talk()) {
            Ok(body) => body.to_bytes(),
            Err(error) => return error.into(),
        };
        match serde_json::from_slice::<ApiError>(&body) {
            Ok(error) => error.into(),
            Err(_) => anyhow!("the gateway on {} answered {status}", self.socket.display()).into(),
        }
    }

    async fn within_time<T>(&self, answer: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        let late = |_| anyhow!("the gateway did not answer within {} s", TIMEOUT.as_secs());
        tokio::time::timeout(TIMEOUT, answer).await.map_err(late)?
    }

    fn talk(&self) -> String {
        format!("talk to the gateway on {}", self.socket.display())
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { socket },
            _ => ClientError::NoDaemon { socket, reason: source },
        }
    }
}

async fn send(stream: UnixStream, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when `sender` is dropped and the answer is read; what goes wrong in it is what the readers get.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    let parsed = serde_json::from_slice(body);
    parsed.context("the answer is not this version's; is the daemon of the same version?").map_err(Into::into)
}
