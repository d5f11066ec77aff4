//! The Docker daemon of the host.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use bollard::{API_DEFAULT_VERSION, Docker, errors::Error, query_parameters::KillContainerOptionsBuilder};

/// The stop signal of a container that names none.
pub const DEFAULT_STOP_SIGNAL: &str = "SIGTERM";

/// Longest wait for an answer, in seconds.
const TIMEOUT: u64 = 10;

/// Opens a session, in a version of the API that both sides know.
pub async fn connect(socket: &Path) -> Result<Docker> {
    let path = socket.to_str().context("the path of Docker's socket is not UTF-8")?;
    let docker = async { Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION)?.negotiate_version().await };
    docker.await.with_context(|| format!("reach the Docker daemon at {path}"))
}

/// Asks a container to stop, as `docker kill` with the container's own stop signal does: Docker does not start it
/// again by its restart policy then.
pub async fn stop(socket: &Path, container: &str) -> Result<()> {
    let docker = connect(socket).await?;
    let answer = docker.inspect_container(container, None).await.map_err(explain)?;
    let signal = answer.config.and_then(|config| config.stop_signal).filter(|signal| !signal.is_empty());
    let signal = signal.as_deref().unwrap_or(DEFAULT_STOP_SIGNAL);
    let options = KillContainerOptionsBuilder::new().signal(signal).build();
    docker.kill_container(container, Some(options)).await.map_err(explain)
}

/// What the daemon says, without the client's words around it.
fn explain(error: Error) -> anyhow::Error {
    match error {
        Error::DockerResponseServerError { message, .. } => anyhow!("Docker says: {message}"),
        error => error.into(),
    }
}
