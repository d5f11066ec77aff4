//! Whether the kernel forwards between the interfaces, in the families that the gateway uses.

use anyhow::{Result, bail};

use crate::{host::sysctl, lifecycle::Site};

/// What is done about an interface that the kernel does not forward from.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// Turn it on, rather than ask for it.
    pub set: bool,
    pub families: Vec<sysctl::Family>,
}

impl Forwarding {
    /// The same in the families that `site` translates to.
    pub fn of(&self, site: &Site) -> Self {
        let mut families = Vec::new();
        for family in site.snat.iter().map(sysctl::Family::of) {
            if !families.contains(&family) {
                families.push(family);
            }
        }
        Self { families, ..*self }
    }

    /// Sees to it that the kernel forwards what comes in by these interfaces.
    ///
    /// # Errors
    /// A sentence for everything that the operator has to set.
    pub fn ensure(&self, interfaces: &[&str]) -> Result<()> {
        let missing = sysctl::missing_forwarding(interfaces, &self.families);
        if !self.set && !missing.is_empty() {
            bail!(missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
        for missing in &missing {
            log::info!("setting what is missing: {missing}");
            sysctl::set(missing)?;
        }
        Ok(())
    }
}
