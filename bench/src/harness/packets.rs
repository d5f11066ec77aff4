//! What packets a run consists of, and what the gateway is to make of them.

use anyhow::{Result, bail};
use gateway_common::nat::{Flags, Reason};

use super::plan::{Direction, Kind};

/// The packets of a run.
#[derive(Clone, Copy)]
pub struct Packets {
    pub kind: Kind,
    pub direction: Direction,
    pub flags: Flags,
    /// Each packet is of a flow of its own that is in no table.
    pub fresh: bool,
    /// To a port where no service listens.
    pub elsewhere: bool,
    /// How the gateway counts them.
    pub reason: Reason,
}

impl Packets {
    /// Data of established flows.
    pub const fn established(kind: Kind, direction: Direction) -> Self {
        Self { kind, direction, flags: Flags(0x18), fresh: false, elsewhere: false, reason: Reason::Forwarded }
    }

    /// SYNs, each of which opens a flow.
    pub const SYN: Self = Self {
        kind: Kind::Tcp4,
        direction: Direction::Original,
        flags: Flags::SYN,
        fresh: true,
        elsewhere: false,
        reason: Reason::Opened,
    };

    /// Whether all `repeat` packets of a run were counted as expected; an error says what they were.
    pub fn check(&self, repeat: u32, counted: impl Fn(Reason) -> u64) -> Result<()> {
        if counted(self.reason) == u64::from(repeat) {
            return Ok(());
        }
        let found = Reason::ALL.iter().map(|reason| (counted(*reason), reason)).filter(|(count, _)| *count > 0);
        let found: Vec<String> = found.map(|(count, reason)| format!("{count} were {}", reason.name())).collect();
        bail!("of {repeat} packets {}", found.join(", "))
    }
}
