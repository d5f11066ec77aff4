//! How long a connection may live.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time;

/// The time of one connection, among the extensions of its requests: whoever serves one can lift the limit.
#[derive(Clone, Debug)]
pub struct Lifetime {
    limit: Duration,
    is_lifted: Arc<AtomicBool>,
}

impl Lifetime {
    pub(super) fn of(limit: Duration) -> Self {
        Self { limit, is_lifted: Arc::default() }
    }

    /// The connection may live for as long as its peer wants.
    pub fn lift(&self) {
        self.is_lifted.store(true, Ordering::Relaxed);
    }

    /// Waits for the end of a connection that begins now.
    pub(super) async fn is_over(&self) {
        time::sleep(self.limit).await;
        if self.is_lifted.load(Ordering::Relaxed) {
            pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn limit_holds_until_it_is_lifted() {
        let hour = Duration::from_secs(3600);
        let lifetime = Lifetime::of(Duration::from_secs(60));
        time::timeout(hour, lifetime.is_over()).await.expect("it ends");
        lifetime.clone().lift();
        time::timeout(hour, lifetime.is_over()).await.unwrap_err();
    }
}
