//! One look at the gateway.

use std::time::Instant;

use crate::control::{
    Client, ClientError,
    views::{ServiceView, StatusView},
};

/// What the daemon says at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Instant,
    pub status: StatusView,
    pub services: Vec<ServiceView>,
}

impl Sample {
    pub async fn take(client: &Client) -> Result<Self, ClientError> {
        let (status, services) = futures_util::future::try_join(client.status(), client.services()).await?;
        Ok(Self { at: Instant::now(), status, services })
    }
}
