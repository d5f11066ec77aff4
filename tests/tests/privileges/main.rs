//! What the daemon may do: its capabilities, the shipped unit under a real systemd, who may use its socket.

mod capabilities;
mod control_socket;
mod shipped_unit;

use std::{collections::BTreeSet, fs, path::Path};

/// The workspace's folder.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace's folder")
}

/// The capabilities of the table in docs/security.md, such as `CAP_BPF`.
fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(workspace().join("docs/security.md")).expect("the document is in the repository");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `CAP_"));
    let names = rows.filter_map(|row| row.split_once('`')).map(|(name, _)| format!("CAP_{name}"));
    names.collect()
}

/// The value of a field of a proc_pid_status(5).
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}

/// The names of a set of capabilities, as proc_pid_status(5) writes it.
fn names(set: &str) -> BTreeSet<String> {
    let bits = u64::from_str_radix(set, 16).unwrap_or_else(|e| panic!("{set:?} is no set: {e}"));
    gateway::host::privileges::names(rustix::thread::CapabilitySet::from_bits_retain(bits)).into_iter().collect()
}

/// Asserts that every thread has the documented capabilities and no way to others; the threads' number.
#[track_caller]
fn assert_confined(statuses: &[String], wanted: &BTreeSet<String>) {
    assert!(statuses.len() > 1, "a daemon has several threads");
    for status in statuses {
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(names(field(status, set)), *wanted, "{set} of {status}");
        }
        assert!(names(field(status, "CapAmb")).is_subset(wanted), "{status}");
        assert_eq!(field(status, "NoNewPrivs"), "1", "{status}");
    }
}
