//! The error that the control API answers with.

use std::fmt;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::lifecycle::{ChangeError, Kind, Refusal};

/// Why a request did not do what it asks for. Prints as `error; remedy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// A sentence for people.
    pub error: String,
    /// What can be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    pub kind: ErrorKind,
}

/// The sort of an [`ApiError`], for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// No such service or backend.
    NotFound,
    /// A name, listen or backend that is taken.
    Conflict,
    /// The service belongs to the configuration file.
    OwnedByFile,
    /// Breaks a rule about services.
    Invalid,
    /// Nothing left to give.
    Limit,
    /// The socket is not for this user.
    Forbidden,
    /// Not a request of this API: path, method, JSON, field or type.
    BadRequest,
    TooLarge,
    /// The request did not arrive in time.
    TooSlow,
    /// The gateway could not do it.
    Failed,
}

impl ErrorKind {
    /// The exit code of a command that gets this answer.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::NotFound => 4,
            Self::Forbidden => 3,
            Self::Conflict | Self::OwnedByFile | Self::Invalid | Self::Limit => 5,
            Self::BadRequest | Self::TooLarge | Self::TooSlow | Self::Failed => 1,
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict | Self::OwnedByFile | Self::Limit => StatusCode::CONFLICT,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Kind> for ErrorKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::NotFound => Self::NotFound,
            Kind::Conflict => Self::Conflict,
            Kind::OwnedByFile => Self::OwnedByFile,
            Kind::Invalid => Self::Invalid,
            Kind::Limit => Self::Limit,
        }
    }
}

impl ApiError {
    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self { error: error.into(), remedy: None, kind: ErrorKind::BadRequest }
    }

    pub(super) fn forbidden() -> Self {
        Self {
            error: "the control socket is not yours to use".to_owned(),
            remedy: Some("run as root, or as a member of the socket's group".to_owned()),
            kind: ErrorKind::Forbidden,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self { error: refusal.to_string(), remedy: refusal.remedy(), kind: refusal.kind().into() }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Failed(error) => error.into(),
        }
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        Self { error: format!("{error:#}"), remedy: None, kind: ErrorKind::Failed }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.kind.status(), Json(self)).into_response()
    }
}
