//! What a network card does to packets before a program sees them.

use super::{Check, Finding, interfaces::Subject};

const LRO: Check = Check {
    name: "LRO",
    why: "it merges segments so that they cannot be forwarded as they were, and drivers refuse native XDP with it",
};
const GRO_HW: Check =
    Check { name: "GRO-HW", why: "drivers that merge segments in hardware refuse native XDP meanwhile" };
const VLAN: Check = Check {
    name: "VLAN offload",
    why: "XDP does not see the tags that the card strips, so the gateway's own answers to tagged clients leave untagged",
};

pub(super) fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let has = |name: &str| subject.device.offloads.contains(name);
    let turn_off = |check: Check, offload: &str| {
        check.warning("on", format!("ethtool -K {} {offload} off", subject.interface.name))
    };
    let mut findings = vec![if has("rx-lro") { turn_off(LRO, "lro") } else { LRO.ok("off") }];
    if subject.wants_native() {
        findings.push(if has("rx-gro-hw") { turn_off(GRO_HW, "rx-gro-hw") } else { GRO_HW.ok("off") });
    }
    if subject.wants_xdp() && subject.tagged {
        findings.push(if has("rx-vlan-hw-parse") { turn_off(VLAN, "rxvlan") } else { VLAN.ok("off") });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Mode,
        doctor::{
            Outcome,
            interfaces::tests::{interface, subject},
        },
    };

    #[test]
    fn offloads_are_warned_about_where_they_are_in_the_way() {
        let eth0 = interface("eth0");
        let mut subject = subject(&eth0);
        let warned = |subject: &Subject<'_>| -> Vec<_> {
            let of = findings(subject).into_iter().filter(|finding| finding.result == Outcome::Warning);
            of.filter_map(|finding| finding.fix).collect()
        };
        assert_eq!(warned(&subject), [""; 0]);
        subject.device.offloads = ["rx-lro", "rx-gro-hw", "rx-vlan-hw-parse"].map(str::to_owned).into();
        assert_eq!(warned(&subject), ["ethtool -K eth0 lro off", "ethtool -K eth0 rx-gro-hw off"]);
        subject.tagged = true;
        assert_eq!(warned(&subject)[2], "ethtool -K eth0 rxvlan off");
        subject.mode = Some(Mode::Tc);
        assert_eq!(warned(&subject), ["ethtool -K eth0 lro off"]);
    }
}
