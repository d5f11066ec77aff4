//! The daemon, from start to stop.
//!
//! No interface is touched before the configuration, the state store, the control socket and the metrics' address are found
//! good, and the services of the file and of the store found to go together. A reload that is refused leaves everything as it is.
//! The datapath outlives the daemon unless it was asked to take it off.

use std::{io::Write, sync::Arc};

use anyhow::{Context, Result};
use sd_notify::NotifyState;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    config::Config,
    control::{self, ControlSocket},
    dashboard::Dashboard,
    lifecycle::{self, Desired, Engine, Lookout, PacketTables, Stopper, health},
    metrics::Exporter,
    model::event::Happening,
    providers::docker,
    store::Store,
};

mod bridges;
mod forwarding;
mod host;
mod linux;
mod options;
mod reload;
mod signals;
mod upkeep;

pub use host::{Host, Upkeep};
pub use linux::{LinuxHost, detach};
pub use options::RunOptions;
pub use signals::Signal;

/// Runs the gateway on `host` until SIGTERM or SIGINT; SIGHUP reloads the file.
pub async fn run<H: Host>(options: &RunOptions, host: H) -> Result<()> {
    let signals = signals::listen().context("listen to signals")?;
    serve(options, host, signals).await
}

/// Runs the gateway on `host` until [`Signal::Stop`], or until no signal can come any more.
pub async fn serve<H: Host>(options: &RunOptions, mut host: H, mut signals: mpsc::Receiver<Signal>) -> Result<()> {
    let mut config = options.load()?;
    let store = Store::open(&config.control.state)?;
    let socket = ControlSocket::bind(&config.control.socket).await?;
    let exporter = Exporter::start(config.metrics.as_ref().map(|metrics| metrics.listen)).await?;
    let dashboard = match &config.dashboard {
        Some(dashboard) => Some(Dashboard::bind(dashboard.listen).await?),
        None => None,
    };
    let site = host.site(&config).await?;
    let desired = Desired::merged(site.clone(), config.services.clone(), store.load()?)?;

    let tables = host.attach(&config, &site).await.context("attach the datapath")?;
    let engine = Arc::new(Engine::start(desired, store, tables)?);
    engine.look()?;
    let lookout = Lookout::new(engine.clone())?;
    let (stop, stopped) = watch::channel(());
    let server = tokio::spawn(control::serve(socket, engine.clone(), end_of(stopped.clone())));
    let dashboard = dashboard.map(|dashboard| tokio::spawn(dashboard.serve(engine.clone(), end_of(stopped.clone()))));
    let upkeep = tokio::spawn(host.attend(engine.clone()));
    exporter.ready(engine.clone(), upkeep.abort_handle());
    announce_ready(&config, &engine);

    let probes = tokio::spawn(watch_health(engine.clone()));
    let docker = config.docker.clone().unwrap_or_default().socket;
    let conductor = tokio::spawn(lifecycle::conduct(engine.clone(), Stopper { docker }));
    let lookout = tokio::spawn(lookout.run());
    let containers = config.docker.as_ref().map(|docker| {
        let (docker, engine, bridges) = (docker.socket.clone(), engine.clone(), host.bridges(engine.clone()));
        tokio::spawn(async move { docker::run(&docker, engine, bridges).await })
    });
    while let Some(Signal::Reload) = signals.recv().await {
        config = reload::reload(options, config, &host, &engine).await;
    }

    engine.events().publish([Happening::DaemonStopping]);
    engine.events().close();
    if let Err(error) = engine.end_sightings() {
        log::warn!("packets are shown to nobody from here on: {error:#}");
    }
    notify(&[NotifyState::Stopping]);
    drop((exporter, stop));
    server.await.context("serve the control socket")?;
    if let Some(dashboard) = dashboard {
        dashboard.await.context("serve the dashboard")?;
    }
    probes.abort();
    upkeep.abort();
    conductor.abort();
    lookout.abort();
    containers.inspect(JoinHandle::abort);
    if options.detach_on_exit {
        host.detach().await.context("detach the datapath")?;
    }
    Ok(())
}

/// Ends when the servers are to stop.
async fn end_of(mut running: watch::Receiver<()>) {
    while running.changed().await.is_ok() {}
}

async fn watch_health<P: PacketTables>(engine: Arc<Engine<P>>) {
    if let Err(error) = health::run(engine).await {
        log::error!("backends are no longer probed, restart the gateway: {error:#}");
    }
}

fn announce_ready<P: PacketTables>(config: &Config, engine: &Engine<P>) {
    let (socket, services) = (config.control.socket.display(), engine.desired().entries().len());
    let line = format!("ready: control socket {socket}, services: {services}");
    if let Err(error) = writeln!(std::io::stdout().lock(), "{line}") {
        log::debug!("nobody reads the ready line: {error}");
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    engine.events().publish([Happening::DaemonStarted { version, services }]);
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager, if there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("cannot notify the service manager: {error}");
    }
}
