//! The host's network interfaces and the packet filter's rules about them.

use super::{Check, Finding, Scope};
use crate::host::{
    links::{self, Interface, Kind},
    netfilter,
    sysctl::{self, Family},
};

const PRESENCE: Check = Check { name: "interface", why: "the gateway attaches to it" };
const FORWARDING: Check = Check { name: "forwarding", why: "the kernel finds no route for packets that come in by it" };
const XDP: Check = Check { name: "XDP", why: "an interface takes one XDP program, and native XDP is the fastest hook" };

/// About each interface of the scope.
pub(super) async fn findings(scope: &Scope) -> Vec<Finding> {
    let (host, programs) = match (links::snapshot().await, links::xdp_programs().await) {
        (Ok(host), Ok(programs)) => (host, programs),
        (Err(error), _) | (_, Err(error)) => return vec![PRESENCE.unknown(format!("{error:#}"))],
    };
    let of_interface = |interface: &Interface, wanted: bool| {
        let program = programs.get(&interface.index).copied();
        of_interface(interface, program, scope, wanted)
    };
    if scope.interfaces.is_empty() {
        let shown = host.iter().filter(|it| it.up && matches!(it.kind, Kind::Physical | Kind::Bond | Kind::Bridge));
        return shown.flat_map(|interface| of_interface(interface, false)).collect();
    }
    let of_name = |name: &String| match host.iter().find(|interface| interface.name == *name) {
        Some(interface) => of_interface(interface, true),
        None => vec![PRESENCE.missing("there is none of this name", "name one that `ip link` shows").on(name)],
    };
    scope.interfaces.iter().flat_map(of_name).collect()
}

/// The rules that keep the replies of local containers from the gateway.
pub(super) async fn rules() -> Vec<Finding> {
    let check = Check { name: "packet filter", why: "it drops the replies of containers before the gateway sees them" };
    let rules = netfilter::rules_against_replies().await;
    let finding = |rule: String| {
        check.warning(rule, "let it except the containers' network, or set net.bridge.bridge-nf-call-iptables=0")
    };
    rules.into_iter().map(finding).collect()
}

fn of_interface(interface: &Interface, program: Option<u32>, scope: &Scope, wanted: bool) -> Vec<Finding> {
    let name = &interface.name;
    let mut findings = vec![if interface.up {
        PRESENCE.good("up")
    } else {
        PRESENCE.warning("down", format!("ip link set {name} up"))
    }];
    findings.extend(forwarding(interface, scope, wanted));
    findings.push(xdp(interface, program));
    findings.into_iter().map(|finding| finding.on(name)).collect()
}

/// An interface that the gateway is to run on has to forward; of others it is said.
fn forwarding(interface: &Interface, scope: &Scope, wanted: bool) -> Vec<Finding> {
    let mut families = scope.families.clone();
    if families.is_empty() {
        families.extend(interface.addresses.iter().map(|address| Family::of(&address.addr())));
        families.sort_unstable_by_key(Family::to_string);
        families.dedup();
    }
    let missing = sysctl::missing_forwarding(&[&interface.name], &families);
    let finding = |family: &Family| match missing.iter().find(|missing| missing.family == *family) {
        None => FORWARDING.good(format!("{family} is on")),
        Some(missing) if wanted => FORWARDING.missing(format!("{family} is off"), missing.command()),
        Some(missing) => FORWARDING.warning(format!("{family} is off"), missing.command()),
    };
    families.iter().map(finding).collect()
}

fn xdp(interface: &Interface, program: Option<u32>) -> Finding {
    let driver = interface.driver().map_or(String::new(), |driver| format!("; the driver is {driver}"));
    match program {
        None => XDP.good(format!("no program{driver}")),
        Some(program) => XDP.good(format!("program {program} is attached (`bpftool prog show id {program}`){driver}")),
    }
}
