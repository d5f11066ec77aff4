//! The options that set a service's limits.

use crate::model::{Answer, Limits, Share};

/// What is not given stays as it is. `none` or 0 takes a limit off.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = true)]
pub struct LimitOptions {
    /// Open connections at most
    #[arg(long, value_name = "N")]
    max_connections: Option<Cap<u64>>,
    /// Open connections of one client at most: an IPv4 address or an IPv6 /64
    #[arg(long, value_name = "N")]
    max_connections_per_source: Option<Cap<u64>>,
    /// New connections a second at most
    #[arg(long, value_name = "N")]
    max_new: Option<Cap<u64>>,
    /// New connections of one client a second at most
    #[arg(long, value_name = "N")]
    max_new_per_source: Option<Cap<u64>>,
    /// Share of the flow table, and of the source ports towards each backend, at most (25%)
    #[arg(long, value_name = "SHARE")]
    max_share: Option<Cap<Share>>,
    /// Answer to a new connection beyond a limit
    #[arg(long, value_name = "ANSWER")]
    limit_answer: Option<Answer>,
}

impl LimitOptions {
    /// The options' names within clap.
    pub const IDS: [&str; 6] =
        ["max_connections", "max_connections_per_source", "max_new", "max_new_per_source", "max_share", "limit_answer"];

    /// `limits` with what is given.
    pub fn on(self, limits: Limits) -> Limits {
        let cap = |given: Option<Cap<u64>>, present: Option<u64>| given.map_or(present, |cap| cap.0);
        Limits {
            connections: cap(self.max_connections, limits.connections),
            connections_per_source: cap(self.max_connections_per_source, limits.connections_per_source),
            new_per_second: cap(self.max_new, limits.new_per_second),
            new_per_second_per_source: cap(self.max_new_per_source, limits.new_per_second_per_source),
            share: self.max_share.map_or(limits.share, |share| share.0),
            answer: self.limit_answer.unwrap_or(limits.answer),
        }
    }
}

/// A limit, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cap<T>(Option<T>);

impl std::str::FromStr for Cap<Share> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            share => share.parse().map(|share| Self(Some(share))).map_err(|error| format!("{error}; or use `none`")),
        }
    }
}

impl std::str::FromStr for Cap<u64> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" | "0" => Ok(Self(None)),
            number => number.parse().map(|number| Self(Some(number))).map_err(|_| "use a number or `none`".to_owned()),
        }
    }
}
