//! What `gateway run` was given, and the configuration that makes with the file.

use std::path::PathBuf;

use nix::net::if_::if_nametoindex;

use crate::config::{Config, ConfigErrors, Interface, Mode};

/// How to run; flags win over the file.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Absent: the defaults of an empty file.
    pub config: Option<PathBuf>,
    /// Interfaces to attach to beside those of the file.
    pub interfaces: Vec<String>,
    pub socket: Option<PathBuf>,
    pub state: Option<PathBuf>,
    /// Take the datapath off at the end, rather than leave it forwarding.
    pub detach_on_exit: bool,
    /// Folder on a bpffs that the datapath is pinned in.
    pub pins: PathBuf,
    /// Set the sysctls that forwarding needs, rather than ask for them.
    pub set_sysctls: bool,
}

impl RunOptions {
    /// Reads the file and puts the flags over it.
    ///
    /// # Errors
    /// The file's findings, or an interface that does not exist.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        let mut config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::default(),
        };
        for name in &self.interfaces {
            if !config.interfaces.iter().any(|interface| interface.name == *name) {
                config.interfaces.push(Interface { name: name.clone(), mode: Mode::default() });
            }
        }
        if let Some(socket) = &self.socket {
            config.control.socket = socket.clone();
        }
        if let Some(state) = &self.state {
            config.control.state = state.clone();
        }
        config.check_interfaces(|name| if_nametoindex(name).is_ok())?;
        Ok(config)
    }
}
