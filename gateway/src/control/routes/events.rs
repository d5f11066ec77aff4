//! What has happened, and what happens: a JSON object a line.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{Extensions, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Shared;
use crate::{
    control::{ApiError, ErrorKind, extract::Arguments, views::EventQuery},
    http_server::Lifetime,
    lifecycle::{Engine, PacketTables, Reader},
    model::event::Event,
};

/// Streams at a time: less than there are connections, so that there is always one for a request.
const FOLLOWERS: usize = 32;

/// Places for all streams.
pub(super) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(FOLLOWERS))
}

pub async fn stream<P: PacketTables>(
    State(gateway): Shared<P>,
    Arguments(EventQuery { since, follow }): Arguments<EventQuery>,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let engine = gateway.engine;
    let mut reader = engine.events().reader(since);
    let body = if follow {
        let place = gateway.followers.try_acquire_owned().map_err(|_| too_many())?;
        // A connection that came by another way than the socket has no limit.
        extensions.get::<Lifetime>().into_iter().for_each(Lifetime::lift);
        Body::from_stream(stream::unfold(Stream { engine, reader, place }, Stream::next))
    } else {
        Body::from(lines(&engine.events().read(&mut reader)))
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// One who follows the events.
struct Stream<P> {
    engine: Arc<Engine<P>>,
    reader: Reader,
    #[expect(dead_code, reason = "held for as long as the stream lasts")]
    place: OwnedSemaphorePermit,
}

impl<P: PacketTables> Stream<P> {
    /// The events that have come; none any more once the gateway stops.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if !self.reader.wait().await {
            return None;
        }
        let lines = lines(&self.engine.events().read(&mut self.reader));
        Some((Ok(lines), self))
    }
}

fn lines(events: &[Event]) -> Bytes {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event).expect("events are made of what JSON has");
        lines.push(b'\n');
    }
    lines.into()
}

pub(super) fn too_many() -> ApiError {
    ApiError {
        error: format!("{FOLLOWERS} others follow events or packets already"),
        remedy: Some("end one of them".to_owned()),
        kind: ErrorKind::Limit,
    }
}
