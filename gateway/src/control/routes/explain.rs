//! What would become of a SYN.

use axum::{Json, extract::State};

use super::Shared;
use crate::{
    control::{ApiError, extract::Arguments, views::ExplainQuery},
    lifecycle::PacketTables,
    model::explanation::Explanation,
};

pub async fn show<P: PacketTables>(
    State(gateway): Shared<P>,
    Arguments(query): Arguments<ExplainQuery>,
) -> Result<Json<Explanation>, ApiError> {
    let (from, to) = query.ends().map_err(ApiError::bad_request)?;
    gateway.read(move |gateway| Ok(Json(gateway.engine.explain(from, to)?))).await
}
