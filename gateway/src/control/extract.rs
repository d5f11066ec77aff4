//! The parts of a request, typed; what does not fit is an [`ApiError`].

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::{ApiError, ErrorKind, MAX_BODY};

/// Longest time a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The variable segments of the path.
pub struct Segments<T>(pub T);

/// The arguments after the path's `?`.
pub struct Arguments<T>(pub T);

/// The JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segments = Path::from_request_parts(parts, state).await;
        segments.map(|Path(segments)| Self(segments)).map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Arguments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let arguments = Query::from_request_parts(parts, state).await;
        arguments
            .map(|Query(arguments)| Self(arguments))
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
        let bytes = bytes
            .map_err(|_| ApiError {
                error: format!("the request's body did not arrive within {} s", BODY_TIMEOUT.as_secs()),
                remedy: None,
                kind: ErrorKind::TooSlow,
            })?
            .map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError {
                    error: format!("the request's body is larger than {MAX_BODY} bytes"),
                    remedy: Some("send the backends in several requests".into()),
                    kind: ErrorKind::TooLarge,
                },
                _ => ApiError::bad_request(rejection.body_text()),
            })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::bad_request(format!("the request's body is not what this path takes: {error}")))
    }
}
