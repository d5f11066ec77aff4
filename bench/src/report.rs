//! A run as people and programs read it: tables, Markdown, plots, and a file that a later run is compared with.

mod against;
mod group;
mod machine;
mod markdown;
mod plots;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use self::machine::Machine;
use crate::{
    capacity,
    figure::Findings,
    goals::{self, Outcome},
};

/// All that is known of one run.
#[derive(Serialize, Deserialize)]
pub struct Report {
    pub machine: Machine,
    /// Fewer samples and points than a full run.
    pub quick: bool,
    /// The suites that ran, with the time each took, in seconds.
    pub suites: Vec<(String, u64)>,
    pub goals: Vec<Outcome>,
    #[serde(flatten)]
    pub findings: Findings,
}

impl Report {
    pub fn new(quick: bool, suites: Vec<(String, u64)>, findings: Findings) -> Self {
        Self { machine: Machine::detect(), quick, suites, goals: goals::judge(&findings), findings }
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no report of a run", path.display()))
    }

    /// For the terminal.
    pub fn text(&self) -> String {
        table::render(self)
    }

    /// What has moved since an `earlier` run, for the terminal.
    pub fn against(&self, earlier: &Self) -> String {
        against::render(self, earlier)
    }

    /// Writes everything into `folder`, and returns what was written.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let plots = plots::draw(&self.findings, folder)?;
        let json = serde_json::to_string_pretty(self).context("turn the report into JSON")?;
        let mut written = Vec::new();
        let texts = [
            ("report.json", json),
            ("report.md", markdown::render(self, &plots)),
            ("capacity.md", capacity::render(&self.findings)),
        ];
        for (name, text) in texts {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
            written.push(path);
        }
        written.extend(plots.into_iter().map(|plot| folder.join(plot.file)));
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;

    fn findings() -> Findings {
        let mut findings = Findings::default();
        findings.baseline("packets", "redirect");
        for (subject, ns) in [("redirect", 150.0), ("gateway", 180.0), ("nftables", 1_000.0)] {
            for flows in [1, 30_000] {
                findings.push(
                    Figure::new("packets", subject, "ns/packet", vec![ns, ns + 5.0, ns + 9.0]).at("flows", flows),
                );
            }
            findings.push(Figure::new("bulk", subject, "Gbit/s", vec![ns / 5.0, ns / 4.0]));
        }
        findings.fail("bulk", "nginx", "did not start");
        findings
    }

    #[test]
    fn what_is_written_can_be_read_and_compared() {
        let folder = tempfile::tempdir().unwrap();
        let report = Report::new(true, vec![("live".to_owned(), 7)], findings());
        let written = report.write(folder.path()).unwrap();
        assert_eq!(written.len(), 5);
        assert!(written.iter().all(|path| fs::metadata(path).unwrap().len() > 0));
        let again = Report::read(&written[0]).unwrap();
        assert_eq!(again.findings.figures.len(), report.findings.figures.len());
        assert!(report.against(&again).contains("9 more figures are within their spreads; 0 are of one run only"));
    }

    #[test]
    fn the_text_shows_ratios_and_failures() {
        let text = Report::new(true, Vec::new(), findings()).text();
        assert!(text.contains("1.19×") && text.contains("bulk, nginx: did not start"), "{text}");
    }
}
