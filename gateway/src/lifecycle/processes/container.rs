//! Containers of Docker.

use std::path::Path;

use anyhow::{Context, Result};
use bollard::{
    API_DEFAULT_VERSION, Docker,
    query_parameters::{InspectContainerOptions, KillContainerOptionsBuilder},
};

/// Seconds for one answer of the Docker API.
const TIMEOUT: u64 = 20;

/// Sends a container the stop signal of its image, by default SIGTERM, as the first half of `docker stop` does.
pub async fn stop(socket: &Path, name: &str) -> Result<()> {
    let path = socket.to_str().context("the path of Docker's socket is not UTF-8")?;
    let docker = Docker::connect_with_unix(path, TIMEOUT, API_DEFAULT_VERSION);
    let docker = docker.with_context(|| format!("reach Docker on {path}"))?;
    let container = docker.inspect_container(name, None::<InspectContainerOptions>).await;
    let container = container.with_context(|| format!("look container {name} up on {path}"))?;
    let signal = container.config.and_then(|config| config.stop_signal);
    let signal = signal.filter(|signal| !signal.is_empty()).unwrap_or_else(|| "SIGTERM".to_owned());
    let options = KillContainerOptionsBuilder::default().signal(&signal).build();
    docker.kill_container(name, Some(options)).await.with_context(|| format!("send {signal} to container {name}"))
}
