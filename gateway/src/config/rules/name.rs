//! Names: of services, hosts and interfaces.

use crate::config::finding::{Fault, fault};

/// Longest service name, in bytes; also the longest label of a host name (RFC 1035).
const MAX_NAME: usize = 63;

/// Longest interface name, in bytes (IFNAMSIZ less the terminator).
const MAX_INTERFACE_NAME: usize = 15;

/// Why a service cannot have this name: it is 1 to 63 of a-z 0-9 - _ . and begins with a letter or a digit.
pub fn unusable_service_name(name: &str) -> Option<Fault> {
    let remedy = "use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, beginning with a letter or a digit";
    if name.is_empty() {
        return Some(fault("the name is empty", remedy));
    }
    if name.len() > MAX_NAME {
        return Some(fault(format!("the name has {} characters", name.chars().count()), remedy));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if let Some(wrong) = name.chars().find(|c| !allowed(*c)) {
        return Some(fault(format!("the name {name:?} has a {wrong:?} in it"), remedy));
    }
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (!begins_well).then(|| fault(format!("the name {name:?} begins with {:?}", &name[..1]), remedy))
}

/// Why this is not the name of a host (RFC 1123 section 2.1).
pub fn unusable_hostname(name: &str) -> Option<Fault> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_NAME
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return None;
    }
    let remedy = if name.contains(':') || name.contains('/') {
        "write the name alone, without scheme and port, such as \"tcp-1.example.com\""
    } else {
        "use labels of a-z, 0-9 and inner `-`, joined by dots, such as \"tcp-1.example.com\""
    };
    Some(fault(format!("{name:?} is not a host name"), remedy))
}

/// Why no interface can have this name.
pub fn unusable_interface_name(name: &str) -> Option<Fault> {
    let remedy = "use the name that `ip link` shows";
    if name.len() > MAX_INTERFACE_NAME {
        let message = format!("the interface name {name:?} is longer than {MAX_INTERFACE_NAME} characters");
        return Some(fault(message, remedy));
    }
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':';
    let usable = !name.is_empty() && name != "." && name != ".." && name.chars().all(allowed);
    (!usable).then(|| fault(format!("{name:?} is not an interface name"), remedy))
}
