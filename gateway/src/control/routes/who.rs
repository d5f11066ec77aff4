//! The client behind a connection, as the backend sees it.

use axum::{Json, extract::State};

use super::Shared;
use crate::{
    control::{ApiError, ErrorKind, extract::Arguments, views::WhoQuery},
    lifecycle::PacketTables,
    model::flow::Flow,
};

pub async fn show<P: PacketTables>(
    State(gateway): Shared<P>,
    Arguments(WhoQuery { snat, backend }): Arguments<WhoQuery>,
) -> Result<Json<Flow>, ApiError> {
    let unknown = move || ApiError {
        error: format!("no connection from {snat} to {backend} is known"),
        remedy: Some("ask while it is open, or soon after its end; `gateway flows` lists what is open".to_owned()),
        kind: ErrorKind::NotFound,
    };
    gateway.read(move |gateway| gateway.engine.who(snat, backend)?.map(Json).ok_or_else(unknown)).await
}
