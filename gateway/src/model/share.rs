//! Parts of a whole, in percent.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// From 1 % to 100 %, written as in `25%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u8);

/// The text is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share from 1% to 100%")]
pub struct InvalidShare(String);

impl Share {
    pub const fn percent(self) -> u8 {
        self.0
    }

    /// This part of `whole`, rounded down.
    pub const fn of(self, whole: u64) -> u64 {
        whole * self.0 as u64 / 100
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
        percent.filter(|percent| (1..=100).contains(percent)).map(Self).ok_or_else(|| InvalidShare(text.to_owned()))
    }
}

impl Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_a_percentage_within_the_whole() {
        let share: Share = "25%".parse().unwrap();
        assert_eq!((share.of(1_000_003), share.to_string().as_str()), (250_000, "25%"));
        for text in ["", "25", "0%", "101%", "-1%", "2.5%", "%", "25 %"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
