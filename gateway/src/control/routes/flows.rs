//! The flow table.

use axum::{Json, extract::State};

use super::Shared;
use crate::{
    control::{ApiError, MAX_FLOWS, extract::Arguments, views::FlowQuery},
    lifecycle::PacketTables,
    model::flow::FlowPage,
};

/// Flows in an answer to a request that sets no limit.
const DEFAULT_FLOWS: usize = 1000;

pub async fn list<P: PacketTables>(
    State(gateway): Shared<P>,
    Arguments(query): Arguments<FlowQuery>,
) -> Result<Json<FlowPage>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_FLOWS);
    if limit > MAX_FLOWS {
        return Err(ApiError::bad_request(format!("limit {limit} is more than {MAX_FLOWS} flows")));
    }
    if query.reverse && query.sort.is_none() {
        return Err(ApiError::bad_request("reverse needs sort"));
    }
    let order = query.order();
    let filter = query.into_filter();
    gateway
        .read(move |gateway| {
            let page = gateway.engine.flows(&filter, order, limit)?;
            // The flows of a service outlive it, so only an unknown name without flows is a mistake.
            if let (0, Some(name)) = (page.total, &filter.service) {
                gateway.engine.desired().entry(name)?;
            }
            Ok(Json(page))
        })
        .await
}
