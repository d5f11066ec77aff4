//! A stream of events from the daemon.

use anyhow::Context;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Client, ClientError, calls::with_arguments};
use crate::{control::views::EventQuery, model::event::Event};

/// Events as they come.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    /// What has come and is not a line yet.
    rest: Vec<u8>,
}

impl Client {
    /// The events that the daemon knows, and with `follow` those to come.
    pub async fn events(&self, query: &EventQuery) -> Result<EventStream, ClientError> {
        let body = self.begin(&with_arguments("/v1/events", query)?).await?;
        Ok(EventStream { body, rest: Vec::new() })
    }
}

impl EventStream {
    /// The next event and its JSON as the daemon wrote it; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<(Event, String)>, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]).into_owned();
                let event = serde_json::from_str(&line).context("read an event of the gateway")?;
                return Ok(Some((event, line)));
            }
            match self.body.frame().await {
                Some(frame) => {
                    let frame = frame.context("read the gateway's events")?;
                    self.rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                }
                None => return Ok(None),
            }
        }
    }
}
