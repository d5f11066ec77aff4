//! Containers of a test.

use std::{net::SocketAddr, time::Duration};

use super::{Docker, IMAGE, image::PORT};
use crate::eventually;

const TIMEOUT: Duration = Duration::from_secs(20);

/// What `docker run` is to make.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    name: String,
    image: String,
    options: Vec<String>,
}

impl ContainerSpec {
    /// The server of [`IMAGE`], which says `name` to its clients.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), image: IMAGE.to_owned(), options: Vec::new() }
    }

    /// A container that the gateway is to take into a service.
    pub fn of_service(name: &str, service: &str) -> Self {
        Self::new(name).label("gateway.enable", "true").label("gateway.service", service)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn image(self, image: &str) -> Self {
        Self { image: image.to_owned(), ..self }
    }

    #[must_use]
    pub fn label(self, key: &str, value: &str) -> Self {
        self.option("--label").option(&format!("{key}={value}"))
    }

    #[must_use]
    pub fn network(self, name: &str) -> Self {
        self.option("--network").option(name)
    }

    /// One more option of `docker run`.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    pub(super) fn arguments(&self) -> Vec<String> {
        let head = ["run", "--detach", "--name", &self.name, "--hostname", &self.name].map(str::to_owned);
        let tail = [self.image.clone(), "/bin/server".to_owned()];
        head.into_iter().chain(self.options.clone()).chain(tail).collect()
    }
}

/// A container that has been started.
#[derive(Debug)]
pub struct Container<'docker> {
    docker: &'docker Docker<'docker>,
    id: String,
}

impl<'docker> Container<'docker> {
    pub(super) fn new(docker: &'docker Docker<'_>, id: String) -> Self {
        Self { docker, id }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its server listens in a network.
    #[track_caller]
    pub fn address(&self, network: &str) -> SocketAddr {
        let format = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
        let address = self.docker.cli(&["inspect", "--format", &format, &self.id]).success().stdout;
        SocketAddr::new(address.trim().parse().unwrap_or_else(|e| panic!("{address:?}: {e}")), PORT)
    }

    /// Runs a `docker` command on it, such as `stop`.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) {
        self.docker.cli(&[arguments, &[&self.id]].concat()).success();
    }

    /// What its server has said.
    #[track_caller]
    pub fn log(&self) -> String {
        self.docker.cli(&["logs", &self.id]).success().stdout
    }

    /// The id of its first process where the containers run.
    #[track_caller]
    pub fn process(&self) -> String {
        self.docker.cli(&["inspect", "--format", "{{.State.Pid}}", &self.id]).success().stdout.trim().to_owned()
    }

    /// Waits until its server has said `line`.
    #[track_caller]
    pub fn wait_for_line(&self, line: &str) {
        eventually(TIMEOUT, || {
            let log = self.log();
            if log.lines().any(|said| said == line) { Ok(()) } else { Err(format!("it has not said {line:?}: {log}")) }
        });
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn wait_for_end(&self) {
        eventually(TIMEOUT, || {
            let running = self.docker.cli(&["inspect", "--format", "{{.State.Running}}", &self.id]).success().stdout;
            if running.trim() == "false" { Ok(()) } else { Err("it still runs") }
        });
    }
}
