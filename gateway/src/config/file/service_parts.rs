//! The tables below `[[service]]`: backend, health, limits.

use std::{net::SocketAddr, time::Duration};

use serde_spanned::Spanned;

use super::Place;
use crate::{
    config::{finding::fault, section::Section},
    model::{Backend, Health, Limits},
};

/// Longest interval and timeout of a health check.
const MAX_PROBE: Duration = Duration::from_secs(3600);

/// Most successes or failures in a row that a health check waits for.
const MAX_STREAK: u32 = 100;

/// The backend, where its address is and where its weight is, if it is given.
pub(super) fn read_backend(mut section: Section<'_, '_>) -> Option<(Backend, Place, Option<Place>)> {
    let address = section.text::<SocketAddr>("address");
    if !section.has("address") {
        section.missing("address", "write address = \"10.0.1.2:1883\"");
    }
    let weight = section.number("weight", 1..=u64::from(u16::MAX));
    section.finish();

    let (place, address) = address.map(|address| (address.span(), address.into_inner()))?;
    let weight_place = weight.as_ref().map(Spanned::span);
    let weight = weight.and_then(|weight| u16::try_from(weight.into_inner()).ok()).unwrap_or(1);
    Some((Backend { weight, ..Backend::new(address) }, place, weight_place))
}

pub(super) fn read_health(mut section: Section<'_, '_>) -> Health {
    let default = Health::default();
    let kind = section.choice("kind").map_or(default.kind, Spanned::into_inner);
    let interval = section.text::<Duration>("interval");
    let timeout = section.text::<Duration>("timeout");
    for (key, duration) in [("interval", &interval), ("timeout", &timeout)] {
        if let Some(duration) = duration
            && (duration.get_ref().is_zero() || *duration.get_ref() > MAX_PROBE)
        {
            let message = format!("{key}: {} is out of range", humantime::format_duration(*duration.get_ref()));
            section.error(&duration.span(), fault(message, "use more than 0s and at most 1h"));
        }
    }
    let timeout_place = timeout.as_ref().map(Spanned::span);
    let interval = interval.map_or(default.interval, Spanned::into_inner);
    let timeout = timeout.map_or(default.timeout.min(interval), Spanned::into_inner);
    if let Some(place) = timeout_place.filter(|_| timeout > interval) {
        let [timeout, interval] = [timeout, interval].map(humantime::format_duration);
        let message = format!("timeout: {timeout} is longer than the interval of {interval}");
        section.error(&place, fault(message, "use a shorter timeout or a longer interval"));
    }
    let rise = section.count("rise", MAX_STREAK).map_or(default.rise, Spanned::into_inner);
    let fall = section.count("fall", MAX_STREAK).map_or(default.fall, Spanned::into_inner);
    section.finish();
    Health { kind, interval, timeout, rise, fall }
}

pub(super) fn read_limits(mut section: Section<'_, '_>) -> Limits {
    let mut is_set = false;
    let mut limit = |key| {
        let limit = section.number(key, 1..=i64::MAX as u64).map(Spanned::into_inner);
        is_set |= limit.is_some();
        limit
    };
    let limits = Limits {
        connections: limit("connections"),
        connections_per_source: limit("connections_per_source"),
        new_per_second: limit("new_per_second"),
        new_per_second_per_source: limit("new_per_second_per_source"),
        answer: section.choice("answer").map_or(Limits::default().answer, Spanned::into_inner),
    };
    if is_set {
        let remedy = "limit connections at the servers or with nftables";
        section.warn(&section.place(), fault("are accepted, but this version does not enforce them", remedy));
    }
    section.finish();
    limits
}
