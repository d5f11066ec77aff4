//! The host's network interfaces, each with every check about it.

use super::{Check, Finding, Scope, offloads, other_programs, queues, xdp};
use crate::{
    config::{self, Mode},
    datapath::{self, Pins},
    host::{
        device::{Device, Devices},
        links::{self, Interface, Kind},
        sysctl::{self, Family},
    },
};

const PRESENCE: Check = Check { name: "interface", why: "the gateway attaches to it" };
const FORWARDING: Check = Check { name: "forwarding", why: "the kernel finds no route for packets that come in by it" };
const MTU: Check = Check {
    name: "MTU",
    why: "larger packets are answered by ICMP errors, and connections hang where a firewall drops those",
};

/// An interface as the checks see it.
pub(super) struct Subject<'a> {
    pub interface: &'a Interface,
    /// None: nobody has said that the gateway is to run on it.
    pub mode: Option<Mode>,
    pub device: Device,
    /// The XDP program that is attached.
    pub program: Option<u32>,
    /// There are VLAN interfaces on top of it.
    pub tagged: bool,
    pub pins: &'a Pins,
    pub probe: bool,
}

impl Subject<'_> {
    /// Whether the gateway's first choice here is native XDP.
    pub fn wants_native(&self) -> bool {
        match self.mode.unwrap_or_default() {
            Mode::Auto => !datapath::faces_containers(&self.interface.kind),
            Mode::XdpNative => true,
            Mode::XdpGeneric | Mode::Tc => false,
        }
    }

    pub fn wants_xdp(&self) -> bool {
        self.wants_native() || self.mode == Some(Mode::XdpGeneric)
    }

    /// A warning where the gateway takes another mode instead, an error where it is told to take this one.
    pub fn refuse(&self, check: Check, detail: String, fix: String) -> Finding {
        match self.mode {
            Some(Mode::XdpNative | Mode::XdpGeneric) => check.error(detail, fix),
            _ => check.warning(detail, fix),
        }
    }
}

/// About each interface of the scope.
pub(super) async fn findings(scope: &Scope) -> Vec<Finding> {
    let facts = (links::snapshot().await, links::xdp_programs().await, Devices::connect());
    let (host, programs, mut devices) = match facts {
        (Ok(host), Ok(programs), Ok(devices)) => (host, programs, devices),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
            return vec![PRESENCE.unknown(format!("{error:#}"))];
        }
    };
    let mut findings = Vec::new();
    let mut present = Vec::new();
    for (name, mode) in wanted(scope, &host) {
        let Some(interface) = host.iter().find(|interface| interface.name == name) else {
            let missing = PRESENCE.error("there is none of this name", "name one that `ip link` shows");
            findings.push(missing.on(&name));
            continue;
        };
        let device = devices.look_at(interface.index, &name).await;
        let program = programs.get(&interface.index).copied();
        let tagged = host.iter().any(|it| matches!(it.kind, Kind::Vlan { parent, .. } if parent == interface.index));
        let subject = Subject { interface, mode, device, program, tagged, pins: &scope.pins, probe: scope.probe };
        findings.extend(about(&subject, &scope.families()).into_iter().map(|finding| finding.on(&name)));
        present.push(interface);
    }
    if !scope.config.interfaces.is_empty() {
        findings.extend(mtu(&present));
    }
    findings
}

fn wanted(scope: &Scope, host: &[Interface]) -> Vec<(String, Option<Mode>)> {
    if scope.config.interfaces.is_empty() {
        let shown = host.iter().filter(|it| it.up && matches!(it.kind, Kind::Physical | Kind::Bond | Kind::Bridge));
        return shown.map(|interface| (interface.name.clone(), None)).collect();
    }
    let named = |interface: &config::Interface| (interface.name.clone(), Some(interface.mode));
    scope.config.interfaces.iter().map(named).collect()
}

fn about(subject: &Subject<'_>, families: &[Family]) -> Vec<Finding> {
    let interface = subject.interface;
    let mut findings = vec![if interface.up {
        PRESENCE.ok("up")
    } else {
        PRESENCE.warning("down", format!("ip link set {} up", interface.name))
    }];
    findings.extend(forwarding(subject, families));
    findings.extend(xdp::findings(subject));
    findings.extend(offloads::findings(subject));
    findings.extend(queues::finding(subject));
    findings.push(other_programs::xdp(subject));
    findings.extend(other_programs::tc(subject));
    findings
}

/// An interface that the gateway is to run on has to forward; of others it is said.
fn forwarding(subject: &Subject<'_>, families: &[Family]) -> Vec<Finding> {
    let interface = subject.interface;
    let mut families = families.to_vec();
    if families.is_empty() {
        families.extend(interface.addresses.iter().map(|address| Family::of(&address.addr())));
        families.sort_unstable_by_key(Family::to_string);
        families.dedup();
    }
    let missing = sysctl::missing_forwarding(&[&interface.name], &families);
    let finding = |family: &Family| match missing.iter().find(|missing| missing.family == *family) {
        None => FORWARDING.ok(format!("{family} is on")),
        Some(missing) if subject.mode.is_some() => FORWARDING.error(format!("{family} is off"), missing.command()),
        Some(missing) => FORWARDING.warning(format!("{family} is off"), missing.command()),
    };
    families.iter().map(finding).collect()
}

/// Interfaces that take smaller packets than others do.
fn mtu(interfaces: &[&Interface]) -> Vec<Finding> {
    let most = interfaces.iter().map(|interface| interface.mtu).max().unwrap_or_default();
    let smaller = interfaces.iter().filter(|interface| interface.mtu < most);
    let finding = |interface: &&&Interface| {
        let detail = format!("{}, and {most} on another interface", interface.mtu);
        MTU.warning(detail, format!("ip link set dev {} mtu {most}", interface.name)).on(&interface.name)
    };
    let findings: Vec<Finding> = smaller.collect::<Vec<_>>().iter().map(finding).collect();
    if findings.is_empty() && most > 0 { vec![MTU.ok(format!("{most} everywhere"))] } else { findings }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use super::*;

    /// A network card with nothing remarkable.
    pub fn interface(name: &str) -> Interface {
        Interface {
            index: 2,
            name: name.to_owned(),
            kind: Kind::Physical,
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up: true,
            master: None,
            addresses: Vec::new(),
        }
    }

    pub fn subject(interface: &Interface) -> Subject<'_> {
        static PINS: LazyLock<Pins> = LazyLock::new(|| Pins::at("/sys/fs/bpf/none"));
        let (mode, program, pins) = (Some(Mode::Auto), None, &*PINS);
        Subject { interface, mode, device: Device::default(), program, tagged: false, pins, probe: false }
    }

    #[test]
    fn smaller_mtu_is_found() {
        let (eth0, mut eth1) = (interface("eth0"), interface("eth1"));
        assert_eq!(mtu(&[&eth0, &eth1])[0].fix, None);
        eth1.mtu = 1400;
        let findings = mtu(&[&eth0, &eth1]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].fix.as_deref(), Some("ip link set dev eth1 mtu 1500"));
    }
}
