//! The configuration file (`gateway.toml`) as typed values.
//!
//! [`Config::parse`] gives values that obey every rule of `docs/configuration.md`, or all the findings of the file
//! with their places and remedies; nothing in between. What depends on the host is checked apart, by
//! [`Config::check_interfaces`]. The rules about services are those of the control API as well: [`rules`].

use std::{collections::BTreeMap, fs, path::Path};

use crate::model::{Policy, Service};

mod file;
mod finding;
mod port_range;
pub mod rules;
mod section;
mod settings;
pub mod suggestion;
mod value;

#[cfg(test)]
mod tests;

use finding::Report;
pub use finding::{ConfigErrors, Fault, Finding};
pub use port_range::{FIRST_SNAT_PORT, InvalidPortRange, MIN_SNAT_PORTS, PortRange, default_snat_ports};
pub use settings::{
    Backends, Control, Dashboard, Docker, Flows, Interface, MAX_CAPACITY, Metrics, Mode, Public, Snat, SynCookies,
};

/// What a file says, with the defaults for what it does not say. `Config::default()` is that of an empty file.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub control: Control,
    /// Absent: no metrics are served.
    pub metrics: Option<Metrics>,
    /// Absent: no dashboard is served.
    pub dashboard: Option<Dashboard>,
    pub public: Public,
    pub interfaces: Vec<Interface>,
    pub snat: Snat,
    pub flows: Flows,
    pub backends: Backends,
    /// Of services that are created at run time; already part of `services`.
    pub defaults: Policy,
    pub services: Vec<Service>,
    /// Absent: containers are not looked for.
    pub docker: Option<Docker>,
    /// What the operator should know although the file is valid.
    pub warnings: Vec<Finding>,
    /// Where the file names its interfaces.
    interface_places: BTreeMap<String, Finding>,
}

impl Config {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// All findings; a single one without a line if the file cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        let file = path.as_ref().display().to_string();
        let whole_file = |message: String, remedy: &str| {
            let (file, remedy) = (file.clone(), remedy.to_owned());
            ConfigErrors::from(Finding { file, line: None, column: None, message, remedy })
        };
        let bytes = fs::read(&path).map_err(|error| {
            whole_file(format!("cannot read the configuration: {error}"), "check the path and its permissions")
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            whole_file(format!("the byte at offset {offset} is not UTF-8 text"), "save the file as UTF-8")
        })?;
        Self::parse(&text, &file)
    }

    /// Parses the text of a file; `file` is its name in findings.
    ///
    /// # Errors
    /// All findings. A file whose TOML syntax is broken is judged by its syntax alone.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigErrors> {
        let report = Report::new(file, text);
        let mut config = file::read(text, &report);
        config.warnings = report.into_warnings()?;
        Ok(config)
    }

    /// Checks that every interface exists on this host; `exists` answers for one name.
    ///
    /// # Errors
    /// One finding for each that does not, with its place if the file names it.
    pub fn check_interfaces(&self, exists: impl Fn(&str) -> bool) -> Result<(), ConfigErrors> {
        let missing = self.interfaces.iter().filter(|interface| !exists(&interface.name));
        let finding = |interface: &Interface| {
            self.interface_places.get(&interface.name).cloned().unwrap_or_else(|| {
                let Fault { message, remedy } = file::missing_interface(&interface.name);
                Finding { file: "--interface".to_owned(), line: None, column: None, message, remedy }
            })
        };
        ConfigErrors::refuse(missing.map(finding).collect())
    }
}
