//! Follows a deployment and says what happens.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Result, bail};

use crate::{
    cli::progress::Progress,
    control::{
        Client, ClientError, ErrorKind,
        views::{BackendView, ServiceView},
    },
    model::{Deployment, Drain, HealthStatus, Phase, Signal},
};

/// How often the daemon is asked.
const POLL: Duration = Duration::from_millis(100);

/// How long a daemon that is restarted may be away.
const PATIENCE: Duration = Duration::from_secs(30);

/// One deployment being watched.
pub struct Watch<'a> {
    client: &'a Client,
    service: &'a str,
    number: u64,
    progress: Progress,
    detach: bool,
    /// What was said already.
    answered: BTreeSet<SocketAddr>,
    has_switched: bool,
    signalled: BTreeSet<SocketAddr>,
    gone: BTreeSet<SocketAddr>,
}

/// Whether there is more to come.
enum Outlook {
    GoesOn,
    Ended,
}

impl<'a> Watch<'a> {
    pub fn new(client: &'a Client, service: &'a str, number: u64, progress: Progress, detach: bool) -> Self {
        let nobody = BTreeSet::new;
        let (answered, signalled, gone) = (nobody(), nobody(), nobody());
        Self { client, service, number, progress, detach, answered, has_switched: false, signalled, gone }
    }

    /// Returns when the old backends are gone, when the deployment has failed, or at Ctrl-C.
    pub async fn follow(mut self) -> Result<()> {
        let mut last_seen = Instant::now();
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        loop {
            match self.client.service(self.service).await {
                Ok(service) => {
                    last_seen = Instant::now();
                    if let Outlook::Ended = self.tell(&service)? {
                        return Ok(());
                    }
                }
                Err(ClientError::NoDaemon { .. }) if last_seen.elapsed() < PATIENCE => {
                    self.progress.show("the gateway is away; it goes on with the deployment when it is back");
                }
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                _ = &mut interrupt => return self.interrupted().await,
            }
        }
    }

    /// Says what is new.
    fn tell(&mut self, service: &ServiceView) -> Result<Outlook> {
        let Some(deployment) = service.deployment.as_ref().filter(|it| it.number == self.number) else {
            self.progress.say("another deployment has taken over")?;
            return Ok(Outlook::Ended);
        };
        self.tell_answers(service, deployment)?;
        match &deployment.phase {
            Phase::Starting { deadline } => {
                let waiting = deployment.new.len() - self.answered.len();
                self.progress.show(&format!("waiting for {waiting} new backends to answer{}", left(*deadline)));
                Ok(Outlook::GoesOn)
            }
            Phase::Failed { reason, errors, .. } => {
                for (backend, error) in errors {
                    self.progress.say(&format!("{backend}: {error}"))?;
                }
                bail!("nothing was switched, nobody was signalled: {reason}");
            }
            Phase::RolledBack { reason, .. } => bail!("rolled back to the old backends: {reason}"),
            Phase::Confirming { until } => {
                self.tell_switch()?;
                self.progress
                    .show(&format!("watching for errors before the old backends are signalled{}", left(*until)));
                Ok(if self.detach { Outlook::Ended } else { Outlook::GoesOn })
            }
            Phase::Done { .. } => {
                self.tell_switch()?;
                self.tell_drains(service, deployment)
            }
        }
    }

    fn tell_answers(&mut self, service: &ServiceView, deployment: &Deployment) -> Result<()> {
        for address in &deployment.new {
            let report = find(service, *address).and_then(|backend| backend.health.as_ref());
            if report.is_some_and(|report| report.status == HealthStatus::Up) && self.answered.insert(*address) {
                self.progress.say(&format!("{address} answers"))?;
            }
        }
        Ok(())
    }

    fn tell_switch(&mut self) -> Result<()> {
        if !self.has_switched {
            self.has_switched = true;
            self.progress.say(&format!("new connections to {} go to the new backends", self.service))?;
        }
        Ok(())
    }

    fn tell_drains(&mut self, service: &ServiceView, deployment: &Deployment) -> Result<Outlook> {
        if self.detach {
            return Ok(Outlook::Ended);
        }
        let (mut backends, mut open, mut deadline) = (0, 0, SystemTime::UNIX_EPOCH);
        for address in &deployment.old {
            let Some((backend, drain)) = still_draining(service, *address) else {
                if self.gone.insert(*address) {
                    self.progress.say(&format!("{address} is gone"))?;
                }
                continue;
            };
            if let Some(process) = &backend.process
                && !matches!(drain.signal, Signal::None | Signal::Pending)
                && self.signalled.insert(*address)
            {
                self.progress.say(&match &drain.signal {
                    Signal::Failed(reason) => format!("{address}: cannot tell {process} to end: {reason}"),
                    _ => format!("{address}: {process} is told to end"),
                })?;
            }
            backends += 1;
            open += backend.counters.map_or(0, |counters| counters.open_flows);
            deadline = deadline.max(drain.deadline);
        }
        if backends == 0 {
            return Ok(Outlook::Ended);
        }
        self.progress.show(&format!("draining: {open} open connections of {backends} old backends{}", left(deadline)));
        Ok(Outlook::GoesOn)
    }

    async fn interrupted(self) -> Result<()> {
        if !self.has_switched {
            match self.client.cancel_deployment(self.service).await {
                Ok(()) => bail!("cancelled: nothing was switched, nobody was signalled"),
                // It has switched in the meantime.
                Err(ClientError::Answered(error)) if error.kind == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        let message = format!(
            "the gateway carries the deployment through alone; `gateway service show {}` shows how far it is",
            self.service
        );
        self.progress.say(&message)
    }
}

/// The backend while it drains. One that was drained by other means can stay in the service after it.
fn still_draining(service: &ServiceView, address: SocketAddr) -> Option<(&BackendView, &Drain)> {
    let backend = find(service, address)?;
    Some((backend, backend.drain.as_ref().filter(|drain| !drain.ended)?))
}

fn find(service: &ServiceView, address: SocketAddr) -> Option<&BackendView> {
    service.backends.iter().find(|backend| backend.address == address)
}

/// `, 12s left`.
fn left(until: SystemTime) -> String {
    let seconds = until.duration_since(SystemTime::now()).unwrap_or_default().as_secs();
    format!(", {} left", humantime::format_duration(Duration::from_secs(seconds)))
}
