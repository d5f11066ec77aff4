//! What the datapath shows of packets and flows for as long as the stream lasts: a JSON object a line.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{Extensions, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::{Shared, events::too_many};
use crate::{
    control::{ApiError, extract::Arguments, views::SightingQuery},
    http_server::Lifetime,
    lifecycle::{ChangeError, PacketTables, View},
    model::sighting::{LONGEST_FRAME, PacketFilter, Wanted},
};

pub async fn stream<P: PacketTables>(
    State(gateway): Shared<P>,
    Arguments(query): Arguments<SightingQuery>,
    extensions: Extensions,
) -> Result<Response, ApiError> {
    let wanted = wanted(query)?;
    let place = gateway.followers.try_acquire_owned().map_err(|_| too_many())?;
    let view = gateway.engine.sightings(wanted).map_err(ChangeError::Failed)?;
    // A connection that came by another way than the socket has no limit.
    extensions.get::<Lifetime>().into_iter().for_each(Lifetime::lift);
    let body = Body::from_stream(stream::unfold((view, place), next));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn wanted(SightingQuery { packets, client, port, snap, flows }: SightingQuery) -> Result<Wanted, ApiError> {
    if !packets && !flows {
        return Err(ApiError::bad_request("ask for `packets=true`, `flows=true` or both".to_owned()));
    }
    if !packets && (client.is_some() || port.is_some() || snap != 0) {
        return Err(ApiError::bad_request("`client`, `port` and `snap` are about packets".to_owned()));
    }
    if snap > LONGEST_FRAME {
        return Err(ApiError::bad_request(format!("`snap` is {LONGEST_FRAME} bytes at most")));
    }
    if client.is_none() && port.is_some() {
        return Err(ApiError::bad_request("`port` is that of a `client`".to_owned()));
    }
    Ok(Wanted { packets: packets.then_some(PacketFilter { client, port, snap }), flows })
}

/// The next line; none any more once the gateway stops.
async fn next(
    (mut view, place): (View, OwnedSemaphorePermit),
) -> Option<(Result<Bytes, Infallible>, (View, OwnedSemaphorePermit))> {
    let sighting = view.next().await?;
    let mut line = serde_json::to_vec(&*sighting).expect("sightings are made of what JSON has");
    line.push(b'\n');
    Some((Ok(line.into()), (view, place)))
}
