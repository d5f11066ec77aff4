//! Waiting for the first answer of new backends.

use std::{net::SocketAddr, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    control::{
        Client, ClientError,
        views::{BackendQuery, BackendView},
    },
    model::{HealthReport, HealthStatus},
};

/// Longer than the first probe of a backend that listens takes.
const PATIENCE: Duration = Duration::from_secs(3);
const INTERVAL: Duration = Duration::from_millis(50);

/// Whether to wait for new backends to answer.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct WaitOptions {
    /// Do not wait a few seconds for new backends to answer
    #[arg(long)]
    no_wait: bool,
}

impl WaitOptions {
    /// What has become of these backends of a service by the time that all have answered, or a few seconds later;
    /// nothing of those that are not probed.
    pub async fn answers(
        self,
        client: &Client,
        service: &str,
        added: &[SocketAddr],
    ) -> Result<Vec<(SocketAddr, String)>, ClientError> {
        if self.no_wait || added.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let backends = client.backends(&BackendQuery { service: Some(service.to_owned()) }).await?;
            let reports: Vec<_> = backends.iter().filter_map(|backend| report_on(backend, added)).collect();
            let is_over = reports.iter().all(|(_, report)| report.status != HealthStatus::Starting);
            if is_over || Instant::now() >= deadline {
                return Ok(reports.into_iter().map(|(address, report)| (address, sentence(report))).collect());
            }
            sleep(INTERVAL).await;
        }
    }
}

fn report_on<'a>(backend: &'a BackendView, added: &[SocketAddr]) -> Option<(SocketAddr, &'a HealthReport)> {
    let address = added.contains(&backend.address).then_some(backend.address)?;
    Some((address, backend.health.as_ref()?))
}

/// What a backend does, without its name.
fn sentence(report: &HealthReport) -> String {
    let because = report.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    match report.status {
        HealthStatus::Unknown | HealthStatus::Up => "answers".to_owned(),
        HealthStatus::Starting => format!("has not answered yet{because} and gets connections once it does"),
        HealthStatus::Down => format!("does not answer any more{because} and gets connections once it does"),
    }
}
