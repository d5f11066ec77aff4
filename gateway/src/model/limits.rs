//! How many connections a service takes on.

use serde::{Deserialize, Serialize};

use super::{Answer, Share};

/// Admission limits of a service; absent is unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Open connections of one source: an IPv4 address, or an IPv6 /64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_source: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_per_second_per_source: Option<u64>,
    /// Of the flow table, and of the source ports towards each backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// What a client beyond a limit is told.
    pub answer: Answer,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: None,
            connections_per_source: None,
            new_per_second: None,
            new_per_second_per_source: None,
            share: None,
            answer: Answer::Reset,
        }
    }
}
