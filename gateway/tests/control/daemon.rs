//! The daemon from start to stop, on a host in memory.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use gateway::{
    config::Config,
    control::Client,
    daemon::{self, Host, RunOptions, Signal, Upkeep},
    lifecycle::{Engine, Site},
    providers::docker::{Bridges, Refused},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::support::{MemoryTables, new_service, site};

#[derive(Clone, Default)]
struct MemoryHost {
    tables: Arc<Mutex<Option<MemoryTables>>>,
    detached: Arc<AtomicBool>,
}

impl Host for MemoryHost {
    type Tables = MemoryTables;

    async fn site(&self, config: &Config) -> Result<Site> {
        Ok(Site { hostname: config.public.hostname.clone(), ..site() })
    }

    async fn attach(&mut self, _: &Config, _: &Site) -> Result<MemoryTables> {
        Ok(self.tables.lock().unwrap().insert(MemoryTables::default()).clone())
    }

    fn attend(&mut self, _: Arc<Engine<MemoryTables>>) -> Upkeep {
        Box::pin(std::future::pending())
    }

    fn bridges(&self, _: Arc<Engine<MemoryTables>>) -> impl Bridges {
        NoBridges
    }

    async fn detach(&mut self) -> Result<()> {
        self.detached.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// No container runs here.
struct NoBridges;

impl Bridges for NoBridges {
    async fn attach(&self, _: &BTreeSet<String>) -> Result<Vec<Refused>> {
        Ok(Vec::new())
    }
}

/// A daemon in this process, with its folder.
struct Running {
    host: MemoryHost,
    options: RunOptions,
    signals: mpsc::Sender<Signal>,
    daemon: JoinHandle<Result<()>>,
    _folder: tempfile::TempDir,
}

impl Running {
    /// Starts with a service `web` in the file, and waits until the socket answers.
    async fn start(detach_on_exit: bool) -> Self {
        Self::start_with(&service("web", 80), detach_on_exit).await
    }

    async fn start_with(text: &str, detach_on_exit: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        fs::write(&file, text).unwrap();
        let options = RunOptions {
            config: Some(file),
            socket: Some(folder.path().join("gateway.sock")),
            state: Some(folder.path().join("state")),
            detach_on_exit,
            ..RunOptions::default()
        };
        let host = MemoryHost::default();
        let (signals, receiver) = mpsc::channel(1);
        let daemon = tokio::spawn({
            let (options, host) = (options.clone(), host.clone());
            async move { daemon::serve(&options, host, receiver).await }
        });
        let running = Self { host, options, signals, daemon, _folder: folder };
        eventually(async || running.client().status().await.is_ok()).await;
        running
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }

    fn socket(&self) -> PathBuf {
        self.options.socket.clone().unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.host.tables.lock().unwrap().as_ref().unwrap().names()
    }

    async fn reload(&self, text: &str) {
        fs::write(self.options.config.as_ref().unwrap(), text).unwrap();
        self.signals.send(Signal::Reload).await.unwrap();
        // Received only when the one before has been dealt with.
        while self.signals.capacity() == 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn stop(self) -> Self {
        self.signals.send(Signal::Stop).await.unwrap();
        let Self { host, options, signals, daemon, _folder } = self;
        daemon.await.unwrap().unwrap();
        Self { host, options, signals, daemon: tokio::spawn(async { Ok(()) }), _folder }
    }
}

fn service(name: &str, port: u16) -> String {
    format!("[[service]]\nname = \"{name}\"\nlisten = \":{port}\"\n[[service.backend]]\naddress = \"10.0.1.1:80\"\n")
}

async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 5 s");
}

#[tokio::test]
async fn stop_ends_in_order_and_leaves_the_datapath() {
    let running = Running::start(false).await;
    assert_eq!(running.names(), ["web"]);
    let running = running.stop().await;
    assert!(!running.socket().exists());
    assert!(!running.host.detached.load(Ordering::Relaxed));
}

#[tokio::test]
async fn stop_takes_the_datapath_off_when_asked_to() {
    let running = Running::start(true).await.stop().await;
    assert!(running.host.detached.load(Ordering::Relaxed));
}

#[tokio::test]
async fn reload_replaces_the_services_of_the_file() {
    let running = Running::start(false).await;
    running.client().add_service(&new_service("cli", ":81")).await.unwrap();
    running.reload(&service("api", 8080)).await;
    eventually(async || running.names() == ["api", "cli"]).await;
    running.stop().await;
}

#[tokio::test]
async fn reload_that_is_refused_changes_nothing() {
    let running = Running::start(false).await;
    running.client().add_service(&new_service("cli", ":81")).await.unwrap();
    for bad in ["[", "[unknown]\n", &service("cli", 82), &service("api", 81), &service("api", 50_000)] {
        running.reload(bad).await;
    }
    // Handled in order: when the last good file is in force, the bad ones have been dealt with.
    assert_eq!(running.names(), ["cli", "web"]);
    running.reload(&service("last", 90)).await;
    eventually(async || running.names() == ["cli", "last"]).await;
    running.stop().await;
}

#[tokio::test]
async fn second_daemon_on_the_same_socket_or_state_is_refused() {
    let running = Running::start(false).await;
    let host = MemoryHost::default();
    let options = RunOptions { state: Some(running._folder.path().join("other")), ..running.options.clone() };
    let (_signals, receiver) = mpsc::channel(1);
    let error = daemon::serve(&options, host.clone(), receiver).await.unwrap_err();
    assert!(format!("{error:#}").contains("another gateway is running"), "{error:#}");

    let options = RunOptions { socket: Some(running._folder.path().join("other.sock")), ..running.options.clone() };
    let (_signals, receiver) = mpsc::channel(1);
    let error = daemon::serve(&options, host.clone(), receiver).await.unwrap_err();
    assert!(format!("{error:#}").contains("another gateway is running"), "{error:#}");
    assert!(host.tables.lock().unwrap().is_none(), "the datapath was touched");
    running.stop().await;
}

#[tokio::test]
async fn bad_configuration_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    fs::write(&file, "[[interface]]\nname = \"nowhere0\"\n").unwrap();
    let options = RunOptions {
        config: Some(file),
        socket: Some(folder.path().join("gateway.sock")),
        state: Some(folder.path().join("state")),
        ..RunOptions::default()
    };
    let (_signals, receiver) = mpsc::channel(1);
    let error = daemon::serve(&options, MemoryHost::default(), receiver).await.unwrap_err();
    assert!(error.to_string().contains("gateway.toml:2:"), "{error}");
    assert!(!folder.path().join("state").exists() && !folder.path().join("gateway.sock").exists());
}

#[tokio::test]
async fn thousand_services_are_loaded_within_two_seconds() {
    let backends: String = (1..=10).map(|n| format!("[[service.backend]]\naddress = \"10.0.1.{n}:80\"\n")).collect();
    let service = |n: usize| format!("[[service]]\nname = \"s{n}\"\nlisten = \":{}\"\n{backends}", 1000 + n);
    let text: String = (0..1000).map(service).collect();
    let started = std::time::Instant::now();
    let running = Running::start_with(&text, false).await;
    let loaded = started.elapsed();
    assert_eq!(running.client().services().await.unwrap().len(), 1000);
    println!("loaded in {loaded:?}");
    assert!(loaded < Duration::from_secs(2), "loaded in {loaded:?}");
    running.stop().await;
}
