//! Any text as `gateway.toml`: it gets an answer, findings point into it, and what is accepted claims every
//! listen once.

use std::collections::HashSet;

use gateway::config::{Config, ConfigErrors};

/// Panics if a guarantee is broken. What follows bytes that are no text is left out.
pub fn attack(bytes: &[u8]) {
    let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    match Config::parse(text, "gateway.toml") {
        Ok(config) => assert_every_listen_is_claimed_once(&config),
        Err(errors) => assert_findings_point_into(text, &errors),
    }
}

fn assert_every_listen_is_claimed_once(config: &Config) {
    let mut claimed = HashSet::new();
    for service in &config.services {
        for listen in &service.listen {
            assert_ne!(listen.port(), 0, "{} listens on port 0", service.name);
            for address in listen.resolve(&config.public.address) {
                assert!(claimed.insert(address), "{} claims {address} a second time", service.name);
            }
        }
    }
}

fn assert_findings_point_into(text: &str, errors: &ConfigErrors) {
    let lines: Vec<&str> = text.split('\n').collect();
    for finding in errors.findings() {
        let line = finding.line.expect("a finding about a text names its line");
        let content = line.checked_sub(1).and_then(|index| lines.get(index)).expect("the line is one of the text");
        let columns = 1..=content.chars().count() + 1;
        assert!(columns.contains(&finding.column.expect("a finding with a line names its column")), "{finding}");
    }
}
