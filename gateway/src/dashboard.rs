//! The dashboard: one page for browsers, and what it shows, over TCP.
//!
//! It only reads: nothing but GET and HEAD exists there. There is no login, so it is off unless the configuration names
//! an address, and what it answers is kept from pages of other sites: their requests under names of their own are
//! refused, no header lets them read an answer, and the page itself loads and runs nothing but its own files.

use std::{future::Future, net::SocketAddr, sync::Arc};

use anyhow::Result;
use axum::{Router, routing::get};

use crate::{
    control,
    http_server::WebListener,
    lifecycle::{Engine, PacketTables},
};

mod events;
mod guard;
mod page;

/// A dashboard that listens, and answers when it is served.
#[derive(Debug)]
pub struct Dashboard {
    listener: WebListener,
    address: SocketAddr,
}

impl Dashboard {
    /// # Errors
    /// The address cannot be listened on.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let listener = WebListener::bind("dashboard", address).await?;
        Ok(Self { listener, address })
    }

    /// Answers requests until `stop`.
    pub async fn serve<P: PacketTables>(self, engine: Arc<Engine<P>>, stop: impl Future<Output = ()>) {
        log::info!("dashboard on http://{}/", self.address);
        self.listener.serve(router(engine, self.address), stop).await;
    }
}

/// What a dashboard that listens on `address` answers.
pub fn router<P: PacketTables>(engine: Arc<Engine<P>>, address: SocketAddr) -> Router {
    let events = Router::new().route("/events", get(events::list::<P>)).with_state(engine.clone());
    let everything = page::files().nest("/api", control::readings(engine).merge(events));
    guard::around(everything, address)
}
