//! The latest events, each with the sentence that the page shows.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};

use crate::{
    lifecycle::{Engine, PacketTables},
    model::event::Event,
};

/// The arguments of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Only those after the event with this number; absent: all that are known.
    since: Option<u64>,
}

/// An event of the control API, and how to tell it.
#[derive(Debug, Serialize)]
pub struct Told {
    #[serde(flatten)]
    event: Event,
    level: &'static str,
    text: String,
}

pub async fn list<P: PacketTables>(
    State(engine): State<Arc<Engine<P>>>,
    Query(wanted): Query<Wanted>,
) -> Json<Vec<Told>> {
    let events = engine.events().read(&mut engine.events().reader(wanted.since));
    Json(events.into_iter().map(Told::from).collect())
}

impl From<Event> for Told {
    fn from(event: Event) -> Self {
        let level = match event.what.level() {
            log::Level::Error | log::Level::Warn => "warn",
            _ => "info",
        };
        Self { level, text: event.what.to_string(), event }
    }
}
