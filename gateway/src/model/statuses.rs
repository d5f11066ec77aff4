//! Sets of HTTP statuses.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

/// Statuses and ranges of them, written as in `200-299,404`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

/// The text is no set of statuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a list of HTTP statuses from 100 to 599")]
pub struct InvalidStatuses(String);

impl Statuses {
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

/// Success and redirection.
impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}", range.start())?;
            if range.start() != range.end() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

impl FromStr for Statuses {
    type Err = InvalidStatuses;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (100 <= first && first <= last && last <= 599).then_some(first..=last)
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges.map(Self).ok_or_else(|| InvalidStatuses(text.to_owned()))
    }
}

impl Serialize for Statuses {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_ranges_are_listed() {
        let statuses: Statuses = "200-204, 301,404".parse().unwrap();
        assert_eq!([200, 204, 301, 404].map(|status| statuses.contains(status)), [true; 4]);
        assert_eq!([199, 205, 300, 403, 500].map(|status| statuses.contains(status)), [false; 5]);
        assert_eq!(statuses.to_string(), "200-204,301,404");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "ok", "99", "600", "2xx", "300-200", "200-", "-200", "200,,204"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }
}
