//! Streams from the daemon: a JSON object a line.

use std::marker::PhantomData;

use anyhow::Context;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::{Client, ClientError, calls::with_arguments};
use crate::{
    control::views::{EventQuery, SightingQuery},
    model::{event::Event, sighting::Sighting},
};

/// Values as they come.
#[derive(Debug)]
pub struct Stream<T> {
    body: Incoming,
    /// What has come and is not a line yet.
    rest: Vec<u8>,
    values: PhantomData<fn() -> T>,
}

impl Client {
    /// The events that the daemon knows, and with `follow` those to come.
    pub async fn events(&self, query: &EventQuery) -> Result<Stream<Event>, ClientError> {
        Ok(Stream::of(self.begin(&with_arguments("/v1/events", query)?).await?))
    }

    /// What the datapath shows of packets and flows from here on.
    pub async fn sightings(&self, query: &SightingQuery) -> Result<Stream<Sighting>, ClientError> {
        Ok(Stream::of(self.begin(&with_arguments("/v1/sightings", query)?).await?))
    }
}

impl<T: DeserializeOwned> Stream<T> {
    fn of(body: Incoming) -> Self {
        Self { body, rest: Vec::new(), values: PhantomData }
    }

    /// The next value and its JSON as the daemon wrote it; `None` at the end of the stream. Nothing is lost where it is not
    /// waited for to the end.
    pub async fn next(&mut self) -> Result<Option<(T, String)>, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]).into_owned();
                let value = serde_json::from_str(&line).context("read the gateway's stream")?;
                return Ok(Some((value, line)));
            }
            match self.body.frame().await {
                Some(frame) => {
                    let frame = frame.context("read the gateway's stream")?;
                    self.rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                }
                None => return Ok(None),
            }
        }
    }
}
