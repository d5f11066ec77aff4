//! Where and with what a run was made.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

/// The peers and tools whose versions matter, with the arguments that make them tell.
const PROGRAMS: [(&str, &[&str]); 5] =
    [("haproxy", &["-v"]), ("iperf3", &["--version"]), ("ip", &["-V"]), ("nft", &["--version"]), ("nginx", &["-v"])];

#[derive(Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cpus: usize,
    pub kernel: String,
    /// The state of the repository that was measured.
    pub commit: String,
    /// UTC, RFC 3339.
    pub taken: String,
    /// What the peers say of themselves, as far as they are installed.
    pub versions: BTreeMap<String, String>,
}

impl Machine {
    pub fn detect() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            processor: model.map_or("unknown", |(_, name)| name.trim()).to_owned(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: said(Command::new("uname").arg("-sr")).unwrap_or_default(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            taken: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            versions: PROGRAMS
                .iter()
                .filter_map(|(name, arguments)| Some(((*name).to_owned(), said(Command::new(name).args(*arguments))?)))
                .collect(),
        }
    }

    /// For people.
    pub fn rows(&self) -> Vec<(&str, String)> {
        let versions = self.versions.values().cloned().collect::<Vec<_>>().join("; ");
        vec![
            ("machine", format!("{}, {} CPUs", self.processor, self.cpus)),
            ("kernel", self.kernel.clone()),
            ("peers and tools", versions),
            ("commit", self.commit.clone()),
            ("taken", self.taken.clone()),
        ]
    }
}

fn commit() -> Option<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    // Root asks about a user's repository.
    let options = ["-c", "safe.directory=*", "-C", folder, "describe", "--always", "--dirty"];
    said(Command::new("git").args(options))
}

/// The first line of what a program prints, on either stream.
fn said(command: &mut Command) -> Option<String> {
    let Output { stdout, stderr, .. } = command.output().ok()?;
    let text = if stdout.is_empty() { stderr } else { stdout };
    Some(String::from_utf8_lossy(&text).lines().next()?.trim().to_owned())
}
