//! Warnings of what fills up: early enough to act, each with what to do.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use gateway_common::abi::Settings;

use super::backends::Backends;
use crate::model::status::TableFill;

/// Percent of a table from which on `status` warns.
const NEARLY_FULL: u64 = 80;

/// Backends that are named, the fullest; the others are only counted.
const NAMED: usize = 3;

/// What is nearly full, one sentence each.
pub fn warnings(flows: TableFill, half_open: TableFill, ports: &BTreeMap<SocketAddr, TableFill>) -> Vec<String> {
    let mut warnings = Vec::new();
    if is_nearly_full(&flows) {
        warnings.push(format!(
            "the flow table is {}: new connections are refused when it is full; raise [flows] capacity",
            share(&flows)
        ));
    }
    if is_nearly_full(&half_open) {
        warnings.push(format!(
            "the table of half-open flows is {}: when it is full, as in a flood of SYNs, the oldest handshakes are \
             forgotten; raise [flows] half_open",
            share(&half_open)
        ));
    }
    let mut short: Vec<_> = ports.iter().filter(|(_, fill)| is_nearly_full(fill)).collect();
    short.sort_by_key(|(_, fill)| std::cmp::Reverse(fill.open));
    warnings.extend(short.iter().take(NAMED).map(|(backend, fill)| {
        format!(
            "the source ports towards backend {backend} are {}: new connections do not reach it when all are taken; add \
             [snat] addresses, or widen [snat] ports",
            share(fill)
        )
    }));
    if let others @ 1.. = short.len().saturating_sub(NAMED) {
        warnings.push(format!("so are those towards {others} other backends"));
    }
    warnings
}

/// How many source ports are taken towards each backend, of how many there are. `taken` says so of a backend's index;
/// services that share a backend share its ports.
pub fn source_ports(
    backends: &Backends,
    taken: impl Fn(u32) -> u64,
    settings: &Settings,
) -> BTreeMap<SocketAddr, TableFill> {
    let mut fills = BTreeMap::new();
    for (index, name) in backends.names() {
        let addresses = match name.address.ip() {
            IpAddr::V4(_) => settings.snat_v4,
            IpAddr::V6(_) => settings.snat_v6,
        };
        let capacity = u64::from(addresses) * u64::from(settings.ports);
        fills.entry(name.address).or_insert(TableFill { open: 0, capacity }).open += taken(index);
    }
    fills
}

fn is_nearly_full(fill: &TableFill) -> bool {
    fill.capacity > 0 && fill.open * 100 >= fill.capacity * NEARLY_FULL
}

fn share(TableFill { open, capacity }: &TableFill) -> String {
    format!("{} % full ({open} of {capacity})", open * 100 / capacity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: TableFill = TableFill { open: 0, capacity: 100 };

    fn at(open: u64) -> TableFill {
        TableFill { open, capacity: 100 }
    }

    fn ports(fills: &[u64]) -> BTreeMap<SocketAddr, TableFill> {
        (1..).zip(fills).map(|(port, open)| (SocketAddr::from(([10, 0, 0, 1], port)), at(*open))).collect()
    }

    #[test]
    fn tables_are_warned_of_from_four_fifths_on() {
        assert!(warnings(at(79), at(79), &ports(&[79])).is_empty());
        let warnings = warnings(at(80), at(100), &ports(&[81]));
        let starts = [
            "the flow table is 80 % full (80 of 100): new connections are refused",
            "the table of half-open flows is 100 % full (100 of 100)",
            "the source ports towards backend 10.0.0.1:1 are 81 % full (81 of 100)",
        ];
        assert_eq!(warnings.len(), starts.len(), "{warnings:#?}");
        assert!(warnings.iter().zip(starts).all(|(warning, start)| warning.starts_with(start)), "{warnings:#?}");
    }

    #[test]
    fn the_fullest_backends_are_named_and_the_others_counted() {
        let warnings = warnings(EMPTY, EMPTY, &ports(&[80, 99, 5, 98, 81, 97]));
        let named = |number: usize, port: u16| warnings[number].contains(&format!("10.0.0.1:{port} "));
        assert!(named(0, 2) && named(1, 4) && named(2, 6), "{warnings:#?}");
        assert_eq!(warnings[3..], ["so are those towards 2 other backends"]);
    }

    #[test]
    fn a_family_without_source_addresses_is_not_warned_of() {
        assert!(warnings(EMPTY, TableFill::default(), &BTreeMap::new()).is_empty());
    }
}
