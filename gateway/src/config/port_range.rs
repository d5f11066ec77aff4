//! Ranges of TCP ports, and the range that source translation uses when none is given.
//!
//! A [`PortRange`] is never empty, never reversed and never holds port 0.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Fewest ports that source translation accepts: fewer run out with a handful of clients.
pub const MIN_SNAT_PORTS: u32 = 64;

/// Lowest port for source translation: those below belong to servers such as sshd.
pub const FIRST_SNAT_PORT: u16 = 1024;

/// Ports above the kernel's own range that make the search stop there.
const ENOUGH_SNAT_PORTS: u32 = 1024;

/// Ports `first` to `last`, both included; written `40000-65535`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The range, unless it is reversed or begins at port 0.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first != 0 && first <= last).then_some(Self { first, last })
    }

    pub fn first(&self) -> u16 {
        self.first
    }

    pub fn last(&self) -> u16 {
        self.last
    }

    /// Number of ports, 1 to 65535.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The text is not a range of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPortRange {
    #[error("`{0}` is not a port range FIRST-LAST")]
    Form(String),
    #[error("`{0}` has a port that is not 1 to 65535")]
    Port(String),
    #[error("`{0}` is reversed")]
    Reversed(String),
}

impl FromStr for PortRange {
    type Err = InvalidPortRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').ok_or_else(|| InvalidPortRange::Form(text.to_owned()))?;
        let port = |digits: &str| match digits.trim().parse::<u32>() {
            Ok(port @ 1..=65535) => Ok(port as u16),
            Ok(_) => Err(InvalidPortRange::Port(text.to_owned())),
            Err(_) => Err(InvalidPortRange::Form(text.to_owned())),
        };
        Self::new(port(first)?, port(last)?).ok_or_else(|| InvalidPortRange::Reversed(text.to_owned()))
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The source ports to use when `[snat] ports` is absent.
///
/// The largest free stretch above `ip_local_port_range` (both ends included, as in
/// `/proc/sys/net/ipv4/ip_local_port_range`) if it has 1024 ports or more, otherwise the largest free stretch from
/// port 1024 on. Free means: outside the kernel's range, clear of every service port and of `[public] ports`.
/// `None` if no stretch has [`MIN_SNAT_PORTS`].
pub fn default_snat_ports(
    ip_local_port_range: (u16, u16),
    service_ports: impl IntoIterator<Item = u16>,
    public_ports: Option<PortRange>,
) -> Option<PortRange> {
    let (local_first, local_last) = ip_local_port_range;
    let mut taken: Vec<PortRange> = service_ports.into_iter().filter_map(|port| PortRange::new(port, port)).collect();
    taken.extend(PortRange::new(local_first.max(1), local_last));
    taken.extend(public_ports);

    let free = free_stretches(taken);
    let largest = |stretches: &mut dyn Iterator<Item = PortRange>| stretches.max_by_key(PortRange::len);
    largest(&mut free.iter().copied().filter(|stretch| stretch.first > local_last))
        .filter(|stretch| stretch.len() >= ENOUGH_SNAT_PORTS)
        .or_else(|| largest(&mut free.iter().copied()))
        .filter(|stretch| stretch.len() >= MIN_SNAT_PORTS)
}

/// What `taken` leaves of [`FIRST_SNAT_PORT`]..=65535, in ascending order.
fn free_stretches(mut taken: Vec<PortRange>) -> Vec<PortRange> {
    taken.sort_unstable_by_key(|range| range.first);
    let mut free = Vec::new();
    let mut next = u32::from(FIRST_SNAT_PORT);
    for range in &taken {
        free.extend(stretch(next, u32::from(range.first) - 1));
        next = next.max(u32::from(range.last) + 1);
    }
    free.extend(stretch(next, u32::from(u16::MAX)));
    free
}

fn stretch(first: u32, last: u32) -> Option<PortRange> {
    PortRange::new(u16::try_from(first).ok()?, u16::try_from(last).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> PortRange {
        text.parse().expect("a range")
    }

    #[test]
    fn range_prints_as_it_is_written() {
        assert_eq!(range("40000-65535").to_string(), "40000-65535");
        assert_eq!(range("7-7").len(), 1);
        assert_eq!(range("1-65535").len(), 65535);
    }

    #[test]
    fn wrong_ranges_are_refused() {
        for text in ["", "1", "-", "0-5", "5-4", "1-65536", "a-b", "1-2-3", "-5"] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn default_lies_above_the_kernels_range() {
        assert_eq!(default_snat_ports((32768, 60999), [443], None), Some(range("61000-65535")));
    }

    #[test]
    fn default_avoids_services_and_public_ports() {
        assert_eq!(default_snat_ports((32768, 60999), [61000, 65535], None), Some(range("61001-65534")));
        assert_eq!(default_snat_ports((32768, 60999), [], Some(range("61000-62000"))), Some(range("62001-65535")));
    }

    #[test]
    fn default_falls_back_to_the_largest_stretch_below() {
        assert_eq!(default_snat_ports((32768, 65000), [], None), Some(range("1024-32767")));
        assert_eq!(default_snat_ports((32768, 65535), [], Some(range("20000-29999"))), Some(range("1024-19999")));
    }

    #[test]
    fn default_is_absent_when_no_stretch_is_left() {
        assert_eq!(default_snat_ports((1024, 65500), [], None), None);
        assert_eq!(default_snat_ports((1, 65535), [], None), None);
    }

    fn any_range() -> impl Strategy<Value = PortRange> {
        (1u16.., 1u16..).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).expect("ordered"))
    }

    proptest! {
        #[test]
        fn default_is_clear_of_everything_in_use(
            local in any_range(),
            services in proptest::collection::vec(any::<u16>(), 0..50),
            public in proptest::option::of(any_range()),
        ) {
            let default = default_snat_ports((local.first(), local.last()), services.iter().copied(), public);
            if let Some(range) = default {
                prop_assert!(range.len() >= MIN_SNAT_PORTS && range.first() >= FIRST_SNAT_PORT);
                prop_assert!(!services.iter().any(|port| range.contains(*port)));
                prop_assert!(!range.overlaps(&local));
                prop_assert!(public.is_none_or(|public| !range.overlaps(&public)));
            }
        }
    }
}
