//! Programs on interfaces that are not the gateway's.

use anyhow::{Context, Result};
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType, loaded_links, loaded_programs};

use super::{Pins, inspect};

/// A program of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherProgram {
    pub id: u32,
    pub name: String,
    /// Its link, if it is attached by a single one.
    pub link: Option<u32>,
}

/// The XDP program with this identifier, unless it is the one that is pinned.
pub fn other_xdp(pins: &Pins, id: u32) -> Result<Option<OtherProgram>> {
    if inspect::pinned_programs(pins)?.contains_key(&id) {
        return Ok(None);
    }
    let mut programs = loaded_programs().filter_map(Result::ok);
    let program = programs.find(|program| program.id() == id).context("the kernel does not show the program")?;
    Ok(Some(describe(&program)))
}

/// The TC programs that an interface runs before the gateway's; all of them where the gateway's is not attached, because it
/// goes last. None where the kernel has no TCX.
pub fn tc_before(pins: &Pins, interface: &str) -> Result<Vec<OtherProgram>> {
    let ours = inspect::pinned_programs(pins)?;
    let Ok((_, programs)) = SchedClassifier::query_tcx(interface, TcAttachType::Ingress) else { return Ok(Vec::new()) };
    Ok(programs.iter().take_while(|program| !ours.contains_key(&program.id())).map(describe).collect())
}

fn describe(program: &ProgramInfo) -> OtherProgram {
    let links = loaded_links().filter_map(Result::ok).filter(|link| link.program_id() == program.id());
    let mut links = links.map(|link| link.id());
    let link = links.next().filter(|_| links.next().is_none());
    OtherProgram { id: program.id(), name: program.name_as_str().unwrap_or_default().to_owned(), link }
}
