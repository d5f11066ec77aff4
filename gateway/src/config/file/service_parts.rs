//! The tables below `[[service]]`: backend, health, limits.

use std::{collections::HashMap, net::SocketAddr};

use serde_spanned::Spanned;

use super::Place;
use crate::{
    config::{
        rules::{Field, STREAK},
        section::Section,
        value::FromText,
    },
    model::{Backend, Health, Limits},
};

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

/// The health check, where its fields are.
pub(super) fn read_health(mut section: Section<'_, '_>, places: &mut HashMap<Field, Place>) -> Health {
    let Health { kind, interval, timeout, rise, fall, .. } = Health::default();
    let kind = section.choice("kind").map_or(kind, Spanned::into_inner);
    let mut placed = Placed { section: &mut section, places };
    let interval = placed.text("interval").unwrap_or(interval);
    let timeout = placed.text("timeout").unwrap_or(timeout.min(interval));
    let (path, host) = (placed.text("path"), placed.text("host"));
    let (expect, service) = (placed.text("expect"), placed.text("service"));
    let rise = section.count("rise", *STREAK.end()).map_or(rise, Spanned::into_inner);
    let fall = section.count("fall", *STREAK.end()).map_or(fall, Spanned::into_inner);
    section.finish();
    Health { kind, interval, timeout, rise, fall, path, host, expect, service }
}

/// A health check whose fields are noted down with their places.
struct Placed<'s, 'r, 'i> {
    section: &'s mut Section<'r, 'i>,
    places: &'s mut HashMap<Field, Place>,
}

impl Placed<'_, '_, '_> {
    fn text<T: FromText>(&mut self, key: &'static str) -> Option<T> {
        let written = self.section.text::<T>(key)?;
        self.places.insert(Field::Health(key), written.span());
        Some(written.into_inner())
    }
}

pub(super) fn read_limits(mut section: Section<'_, '_>) -> Limits {
    let mut limit = |key| section.number(key, 1..=i64::MAX as u64).map(Spanned::into_inner);
    let limits = Limits {
        connections: limit("connections"),
        connections_per_source: limit("connections_per_source"),
        new_per_second: limit("new_per_second"),
        new_per_second_per_source: limit("new_per_second_per_source"),
        share: section.text("share").map(Spanned::into_inner),
        answer: section.choice("answer").map_or(Limits::default().answer, Spanned::into_inner),
    };
    section.finish();
    limits
}
