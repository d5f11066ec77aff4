//! The file as a whole: its sections in turn, then what holds between them.

use std::ops::Range;

use toml::de::DeTable;

use super::{
    Config,
    finding::{Fault, Report, fault},
    rules::{Claims, Context},
    section::Section,
};

mod front_server;
mod service;
mod service_parts;
mod web;

pub(super) use front_server::missing_interface;

/// Reads the text; what is wrong goes to the report and reads as absent.
pub(super) fn read(text: &str, report: &Report<'_>) -> Config {
    let mut config = Config::default();
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    if !syntax_errors.is_empty() {
        for error in &syntax_errors {
            report.error(&error.span().unwrap_or(0..0), syntax_fault(error.message()));
        }
        return config;
    }

    let mut root = Section::new(report, "", table);
    front_server::read(&mut root, report, &mut config);
    web::read(&mut root, &mut config);
    read_services(&mut root, report, &mut config);
    for (key, place) in [
        ("backend", "write [[service.backend]], below its [[service]]"),
        ("health", "write [service.health], below its [[service]]"),
        ("limits", "write [service.limits], below its [[service]]"),
    ] {
        root.misplaced(key, place);
    }
    root.finish();
    config
}

fn read_services(root: &mut Section<'_, '_>, report: &Report<'_>, config: &mut Config) {
    if let Some(section) = root.section("defaults", "defaults", "[defaults] ".to_owned()) {
        config.defaults = service::read_defaults(section);
    }
    let mut claims = Claims::default();
    let mut backends = 0;
    for section in root.sections("service", "service", |number| format!("service #{number}: ")) {
        let written = service::read(section, report, &config.defaults);
        let context = Context {
            public_addresses: &config.public.address,
            snat_addresses: &config.snat.addresses,
            snat_ports: config.snat.ports,
            others: &claims,
        };
        written.check(&context, report);
        claims.add(&written.service);
        web::check_service(&written, config, report);
        backends += written.service.backends.len();
        if backends > config.backends.capacity as usize {
            report.error(&written.place, too_many_backends(backends, config.backends.capacity));
        }
        config.services.push(written.service);
    }
}

fn too_many_backends(backends: usize, capacity: u32) -> Fault {
    let message = format!("{backends} backends up to here are more than [backends] capacity {capacity}");
    fault(message, format!("set [backends] capacity to {} or more", backends.next_power_of_two()))
}

fn syntax_fault(message: &str) -> Fault {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let remedy = match message.as_str() {
        duplicate if duplicate.starts_with("duplicate key") => "keep one of the two",
        string if string.contains("string") => "write text as \"…\" in double quotes",
        _ => "correct the TOML syntax here; gateway.example.toml shows every form",
    };
    fault(message, remedy)
}

/// A place beside the value it is about.
type Place = Range<usize>;
