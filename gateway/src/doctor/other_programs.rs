//! Programs of others on an interface.

use super::{Check, Finding, interfaces::Subject};
use crate::datapath::{self, OtherProgram};

const XDP: Check = Check { name: "XDP program", why: "an interface takes one, so the gateway cannot attach its own" };
const TC: Check = Check {
    name: "TC programs",
    why: "what a program before the gateway's drops or redirects never reaches the gateway",
};

pub(super) fn xdp(subject: &Subject<'_>) -> Finding {
    let name = &subject.interface.name;
    let Some(id) = subject.program else { return XDP.ok("none") };
    match datapath::other_xdp(subject.pins, id) {
        Ok(None) => XDP.ok(format!("the gateway's, {id}")),
        Ok(Some(other)) if !subject.wants_xdp() => XDP.ok(describe(&other)),
        Ok(Some(other)) => {
            let fix = match other.link {
                Some(link) => format!("bpftool link detach id {link}"),
                None => format!(
                    "ip link set dev {name} xdp off, or `bpftool link detach` of its link; or use mode = \"tc\""
                ),
            };
            subject.refuse(XDP, describe(&other), fix)
        }
        Err(_) => XDP.unknown(format!("program {id}")),
    }
}

pub(super) fn tc(subject: &Subject<'_>) -> Vec<Finding> {
    let before = match datapath::tc_before(subject.pins, &subject.interface.name) {
        Ok(before) => before,
        Err(error) => return vec![TC.unknown(format!("{error:#}"))],
    };
    let finding = |other: &OtherProgram| {
        let fix = match other.link {
            Some(link) => format!("bpftool link detach id {link}"),
            None => format!("bpftool net detach tcx_ingress dev {}", subject.interface.name),
        };
        TC.warning(format!("{} is asked first", describe(other)), fix)
    };
    if before.is_empty() { vec![TC.ok("none before the gateway's")] } else { before.iter().map(finding).collect() }
}

fn describe(program: &OtherProgram) -> String {
    format!("program {} ({}) of another's", program.id, program.name)
}
