//! `[defaults]` and `[[service]]`.

use std::{collections::HashMap, time::Duration};

use serde_spanned::Spanned;

use super::{
    Place,
    service_parts::{read_backend, read_health, read_limits},
};
use crate::{
    config::{
        finding::{Report, fault},
        rules::{Context, Field, Problem, check_policy, check_service, half_served_listens, unserved_families},
        section::Section,
    },
    model::{Listen, Policy, Service},
};

/// A service and where the file says what.
pub(super) struct Written {
    pub service: Service,
    /// What precedes messages about it.
    pub prefix: String,
    pub place: Place,
    pub listen_places: Vec<Place>,
    /// Of the fields that the file gives.
    places: HashMap<Field, Place>,
    /// Whether all of it could be read.
    is_complete: bool,
}

pub(super) fn read_defaults(mut section: Section<'_, '_>) -> Policy {
    let mut places = HashMap::new();
    let policy = read_policy(&mut section, &Policy::default(), &mut places);
    for problem in check_policy(&policy) {
        if let Some(place) = places.get(&problem.field) {
            section.error(place, fault(problem.message, problem.remedy));
        }
    }
    section.finish();
    policy
}

pub(super) fn read(mut section: Section<'_, '_>, report: &Report<'_>, defaults: &Policy) -> Written {
    let errors_before = report.error_count();
    let mut places = HashMap::new();
    let name = section.text::<String>("name");
    if let Some(name) = &name {
        places.insert(Field::Name, name.span());
        section.set_prefix(format!("service {:?}: ", name.get_ref()));
    } else if !section.has("name") {
        section.missing("name", "write name = \"…\"");
    }
    let prefix = section.prefix().to_owned();

    let listen = section.texts::<Listen>("listen");
    if !section.has("listen") {
        section.missing("listen", "write listen = \":443\" or listen = \"203.0.113.10:443\"");
    }
    let policy = read_policy(&mut section, defaults, &mut places);
    let health = section.section("health", "service.health", format!("{prefix}health "));
    let health = health.map(|section| read_health(section, &mut places)).unwrap_or_default();
    let limits =
        section.section("limits", "service.limits", format!("{prefix}limits ")).map(read_limits).unwrap_or_default();

    let mut backends = Vec::new();
    for backend in section.sections("backend", "service.backend", |number| format!("{prefix}backend #{number}: ")) {
        let Some((backend, address, weight)) = read_backend(backend) else { continue };
        places.insert(Field::BackendAddress(backends.len()), address);
        places.extend(weight.map(|weight| (Field::BackendWeight(backends.len()), weight)));
        backends.push(backend);
    }
    let place = section.place();
    section.finish();

    let listen_places: Vec<Place> = listen.iter().map(Spanned::span).collect();
    places.extend(listen_places.iter().enumerate().map(|(index, place)| (Field::Listen(index), place.clone())));
    let listen = listen.into_iter().map(Spanned::into_inner).collect();
    let name = name.map(Spanned::into_inner).unwrap_or_default();
    let service = Service { name, listen, policy, health, limits, backends };
    let is_complete = report.error_count() == errors_before;
    Written { service, prefix, place, listen_places, places, is_complete }
}

impl Written {
    /// Applies the rules of services and reports what they say at its place.
    pub fn check(&self, context: &Context<'_>, report: &Report<'_>) {
        let at = |problem: Problem| {
            let place = self.places.get(&problem.field)?;
            Some((place, fault(format!("{}{}", self.prefix, problem.message), problem.remedy)))
        };
        let problems = check_service(&self.service, context);
        let is_sound = self.is_complete && problems.is_empty();
        // A field without a place is inherited, and judged where it is written, or missing, and reported as such.
        problems.into_iter().filter_map(at).for_each(|(place, fault)| report.error(place, fault));
        if self.is_complete && self.service.listen.is_empty() {
            let message = format!("{}listen is an empty list", self.prefix);
            report.error(&self.place, fault(message, "give it an address and port"));
        }
        if is_sound {
            let unserved = unserved_families(&self.service, context);
            unserved.into_iter().filter_map(at).for_each(|(place, fault)| report.error(place, fault));
            let half_served = half_served_listens(&self.service, context);
            half_served.into_iter().filter_map(at).for_each(|(place, fault)| report.warn(place, fault));
        }
    }
}

fn read_policy(section: &mut Section<'_, '_>, inherited: &Policy, places: &mut HashMap<Field, Place>) -> Policy {
    let mut duration = |section: &mut Section<'_, '_>, key, field, inherited| match section.text::<Duration>(key) {
        Some(written) => {
            places.insert(field, written.span());
            written.into_inner()
        }
        None => inherited,
    };
    let idle_timeout = duration(section, "idle_timeout", Field::IdleTimeout, inherited.idle_timeout);
    let drain_timeout = duration(section, "drain_timeout", Field::DrainTimeout, inherited.drain_timeout);
    let mut answer = |key, inherited| section.choice(key).map_or(inherited, Spanned::into_inner);
    let on_deadline = answer("on_deadline", inherited.on_deadline);
    let no_backend = answer("no_backend", inherited.no_backend);
    let unknown_flow = answer("unknown_flow", inherited.unknown_flow);
    let algorithm = section.choice("algorithm").map_or(inherited.algorithm, Spanned::into_inner);
    Policy { algorithm, idle_timeout, drain_timeout, on_deadline, no_backend, unknown_flow }
}
