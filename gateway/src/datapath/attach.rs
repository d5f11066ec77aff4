//! Programs on interfaces.
//!
//! Every interface gets the TC program: it forwards what only the kernel's stack can deliver, and asks for
//! link-layer addresses. A NIC gets the XDP program before it. Interfaces that face containers get TC alone,
//! because frames there can be super-frames and have unfinished checksums.

use std::{io, path::Path};

use anyhow::{Context, Result};
use aya::{
    programs::{
        ProgramError, SchedClassifier, TcAttachType, XdpMode,
        links::{FdLink, LinkError, LinkOrder, PinnedLink},
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle},
        xdp::XdpLink,
    },
    sys::SyscallError,
};

use super::{
    Pins, link,
    programs::{Programs, TC},
};
use crate::{
    host::links::{Interface, Kind},
    model::status::AttachMode,
};

/// Priority and handle of the filter on kernels without TCX: fixed, so that it can be found and replaced.
const FILTER_PRIORITY: u16 = 49;
const FILTER_HANDLE: u16 = 0x6777;

const XDP_MODES: [AttachMode; 2] = [AttachMode::XdpNative, AttachMode::XdpGeneric];

/// What the configuration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Native XDP where the driver has it, generic XDP otherwise, TC alone towards containers.
    Auto,
    Exactly(AttachMode),
}

/// An interface with the programs on it.
#[derive(Clone, Debug)]
pub struct Attached {
    pub name: String,
    pub ifindex: u32,
    pub mode: AttachMode,
    /// Why the mode is not the best one, where that is worth knowing.
    pub warning: Option<String>,
}

pub fn attach(programs: &mut Programs, pins: &Pins, interface: &Interface, wanted: Wanted) -> Result<Attached> {
    let (mode, warning) = match wanted {
        Wanted::Exactly(mode) => {
            attach_xdp(programs, pins, interface, mode)?;
            (mode, None)
        }
        Wanted::Auto => attach_best(programs, pins, interface)?,
    };
    attach_tc(programs, pins, &interface.name)
        .with_context(|| format!("attach the TC program to {}", interface.name))?;
    Ok(Attached { name: interface.name.clone(), ifindex: interface.index, mode, warning })
}

/// Takes the programs off `name`, an interface that may be gone. `true`: the clsact qdisc that stays is the gateway's.
pub fn detach(pins: &Pins, name: &str) -> Result<bool> {
    for mode in XDP_MODES {
        detach_link(&pins.link(mode, name))?;
    }
    let tc = pins.link(AttachMode::Tc, name);
    match detach_filter(name) {
        Ok(()) => {}
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(error).with_context(|| format!("take the TC program off {name}")),
    }
    detach_link(&tc)?;
    pins.forget_filter(name)
}

/// Interfaces behind which packets have not left the host: they carry super-frames and unfinished checksums.
pub fn faces_containers(kind: &Kind) -> bool {
    !matches!(kind, Kind::Physical | Kind::Bond)
}

fn attach_best(programs: &mut Programs, pins: &Pins, interface: &Interface) -> Result<(AttachMode, Option<String>)> {
    let name = &interface.name;
    if faces_containers(&interface.kind) {
        attach_xdp(programs, pins, interface, AttachMode::Tc)?;
        return Ok((AttachMode::Tc, None));
    }
    let Err(native) = attach_xdp(programs, pins, interface, AttachMode::XdpNative) else {
        return Ok((AttachMode::XdpNative, None));
    };
    log::info!("{name}: native XDP is not to be had ({native:#}), trying generic XDP");
    let Err(generic) = attach_xdp(programs, pins, interface, AttachMode::XdpGeneric) else {
        let warning = format!("{name} runs generic XDP, which is slower: its driver refuses native XDP");
        return Ok((AttachMode::XdpGeneric, Some(warning)));
    };
    attach_xdp(programs, pins, interface, AttachMode::Tc)?;
    Ok((AttachMode::Tc, Some(format!("{name} runs without XDP: {generic:#}"))))
}

/// Makes `mode` the XDP mode of `interface`; with `Tc` there is no XDP program on it. Where that fails, the mode that was in
/// force stays.
fn attach_xdp(programs: &mut Programs, pins: &Pins, interface: &Interface, mode: AttachMode) -> Result<()> {
    let mut former = None;
    // The kernel allows one mode at a time.
    for other in XDP_MODES.into_iter().filter(|other| *other != mode) {
        if detach_link(&pins.link(other, &interface.name))? {
            former = Some(other);
        }
    }
    let attached = attach_in_mode(programs, pins, interface, mode);
    if attached.is_err()
        && let Some(former) = former
        && let Err(error) = attach_in_mode(programs, pins, interface, former)
    {
        log::warn!("{} is left to the TC program: {error:#}", interface.name);
    }
    attached
}

fn attach_in_mode(programs: &mut Programs, pins: &Pins, interface: &Interface, mode: AttachMode) -> Result<()> {
    let name = &interface.name;
    let flags = match mode {
        AttachMode::XdpNative => XdpMode::Driver,
        AttachMode::XdpGeneric => XdpMode::Skb,
        AttachMode::Tc => return Ok(()),
    };
    let program = &mut programs.xdp;
    let path = pins.link(mode, name);
    if let Some(link) = pinned(&path)? {
        let link = XdpLink::try_from(link).context("the pinned XDP link is of another kind")?;
        // Fails where the interface has been removed and made anew since: the link is dead then.
        if program.attach_to_link(link).is_ok() {
            return Ok(());
        }
        detach_link(&path)?;
    }
    let id = program.attach_to_if_index(interface.index, flags).map_err(|error| explain(error, name, mode))?;
    let link = FdLink::try_from(program.take_link(id)?).context("the kernel made no XDP link")?;
    link.pin(&path).with_context(|| format!("pin the XDP link of {name}"))?;
    Ok(())
}

fn attach_tc(programs: &mut Programs, pins: &Pins, name: &str) -> Result<()> {
    let program = &mut programs.tc;
    let path = pins.link(AttachMode::Tc, name);
    if let Some(link) = pinned(&path)? {
        let link = SchedClassifierLink::try_from(link).context("the pinned TC link is of another kind")?;
        if program.attach_to_link(link).is_ok() {
            return Ok(());
        }
        detach_link(&path)?;
    }
    let tcx = TcAttachOptions::TcxOrder(LinkOrder::default());
    match program.attach_with_options(name, TcAttachType::Ingress, tcx) {
        Ok(id) => {
            let link = FdLink::try_from(program.take_link(id)?).context("the kernel made no TC link")?;
            link.pin(&path).with_context(|| format!("pin the TC link of {name}"))?;
            Ok(())
        }
        // Kernels before 6.6 have no TCX: a filter in the clsact qdisc then, which needs no pin to stay.
        Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::EINVAL) => {
            pins.note_filter(name)?;
            attach_filter(program, pins, name)
        }
        Err(error) => Err(error.into()),
    }
}

/// Adds or replaces the filter on a kernel without TCX.
fn attach_filter(program: &mut SchedClassifier, pins: &Pins, name: &str) -> Result<()> {
    match tc::qdisc_add_clsact(name) {
        Ok(()) => pins.note_qdisc(name)?,
        Err(error) if error_code(&error) == Some(libc::EEXIST) => {}
        Err(error) => return Err(error).context("add the clsact qdisc"),
    }
    let id = match program.attach_to_link(filter(name)?) {
        Ok(id) => id,
        Err(_) => {
            let options = NlOptions { priority: FILTER_PRIORITY, handle: filter_handle(), ..NlOptions::default() };
            program.attach_with_options(name, TcAttachType::Ingress, TcAttachOptions::Netlink(options))?
        }
    };
    // The filter is to outlive this process, and dropping the link would remove it.
    std::mem::forget(program.take_link(id)?);
    Ok(())
}

fn detach_filter(name: &str) -> Result<(), TcError> {
    tc::qdisc_detach_program(name, TcAttachType::Ingress, TC)
}

fn filter(name: &str) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(name, TcAttachType::Ingress, FILTER_PRIORITY, filter_handle(), None)
}

fn filter_handle() -> TcHandle {
    TcHandle::new(0, FILTER_HANDLE)
}

/// The link pinned at `path`.
fn pinned(path: &Path) -> Result<Option<FdLink>> {
    match PinnedLink::from_pin(path) {
        Ok(link) => Ok(Some(link.into())),
        Err(LinkError::SyscallError(SyscallError { io_error, .. })) if io_error.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("open the pinned link {}", path.display())),
    }
}

fn detach_link(path: &Path) -> Result<bool> {
    link::detach(path).with_context(|| format!("detach the link that is pinned at {}", path.display()))
}

/// No filter, no qdisc or no interface to take a filter from.
fn is_absent(error: &TcError) -> bool {
    match error {
        TcError::IoError(error) => {
            error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
        }
        error => matches!(error_code(error), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)),
    }
}

/// The system's code, from wherever in the chain of causes it is.
fn error_code(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
}

fn explain(error: ProgramError, name: &str, mode: AttachMode) -> anyhow::Error {
    let remedy = match error_code(&error) {
        Some(libc::EBUSY | libc::EEXIST) => {
            "another XDP program is attached: see `ip link show`, and take it off or use mode \"tc\""
        }
        Some(libc::EOPNOTSUPP) => "the driver has no native XDP: use mode \"auto\", \"xdp-generic\" or \"tc\"",
        _ => "mode \"tc\" works without XDP",
    };
    anyhow::Error::new(error).context(format!("{name} refuses {} ({remedy})", mode.name()))
}
