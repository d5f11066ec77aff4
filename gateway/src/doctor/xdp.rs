//! Native XDP: whether the driver has it, and takes the frames that will come.

use super::{Check, Finding, interfaces::Subject};
use crate::{datapath, host::links::Kind};

const NATIVE: Check = Check {
    name: "native XDP",
    why: "it is the fastest hook: generic XDP and TC handle a packet only when the kernel has made a buffer for it",
};
const TARGET: Check =
    Check { name: "XDP redirect", why: "the device drops the frames that the gateway sends out by it otherwise" };
const FRAMES: Check = Check {
    name: "XDP frames",
    why: "a frame that does not fit one buffer needs a driver that shows programs several",
};

/// The largest MTU whose frames fit one buffer: a page of 4096 bytes less head room, tail room and headers.
const ONE_BUFFER: u32 = 3498;

pub(super) fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    if !subject.wants_native() {
        return Vec::new();
    }
    let mut findings = vec![native(subject)];
    findings.extend(target(subject));
    findings.extend(frames(subject));
    findings
}

fn native(subject: &Subject<'_>) -> Finding {
    let driver = subject.interface.driver().unwrap_or_else(|| "this kind of device".to_owned());
    let refused = |detail: String| {
        let fix = "use a network card whose driver has it; mode = \"xdp-generic\" or \"tc\" does without";
        subject.refuse(NATIVE, detail, fix.to_owned())
    };
    if subject.probe && subject.program.is_none() {
        return match datapath::try_attach(subject.interface.index) {
            Ok(()) => NATIVE.ok(format!("tried: {driver} takes the packet program")),
            Err(error) => refused(format!("tried: {error:#}")),
        };
    }
    match subject.device.xdp {
        Some(features) if features.native() => NATIVE.ok(format!("{driver} has it")),
        Some(_) => refused(format!("{driver} does not have it")),
        None => NATIVE.unseen(format!("this kernel does not say whether {driver} has it; --probe tries")),
    }
}

/// Most drivers take redirected frames while a program is attached, a veth while its peer polls.
fn target(subject: &Subject<'_>) -> Option<Finding> {
    let features = subject.device.xdp.filter(|features| features.native())?;
    let is_veth = subject.interface.kind == Kind::Veth;
    if features.redirect_target() {
        return Some(TARGET.ok("frames can be redirected to it"));
    }
    if is_veth {
        let fix = "ethtool -K PEER gro on, for the device at its other end";
        return Some(TARGET.error("its peer does not poll, so frames that are redirected to it are dropped", fix));
    }
    let detail = "a program is attached, and frames that are redirected to it are dropped all the same";
    subject.program.map(|_| TARGET.error(detail, "use mode = \"tc\" for it"))
}

fn frames(subject: &Subject<'_>) -> Option<Finding> {
    let features = subject.device.xdp.filter(|features| features.native())?;
    let mtu = subject.interface.mtu;
    let fix = format!("ip link set dev {} mtu {ONE_BUFFER}", subject.interface.name);
    Some(match () {
        () if mtu <= ONE_BUFFER => FRAMES.ok(format!("an MTU of {mtu} fits one buffer")),
        () if !features.receives_fragments() => {
            let detail = format!("an MTU of {mtu} needs several buffers, and the driver takes programs for one only");
            subject.refuse(FRAMES, detail, fix)
        }
        () if features.redirect_target() && !features.sends_fragments() => {
            FRAMES.warning(format!("with an MTU of {mtu}, large frames cannot be redirected to it"), fix)
        }
        () => FRAMES.ok(format!("an MTU of {mtu}, and several buffers for a frame")),
    })
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
        host::{
            device::{Device, XdpFeatures},
            links::Interface,
        },
    };

    fn results(interface: &Interface, features: XdpFeatures, mode: Mode) -> Vec<(&'static str, Outcome)> {
        let mut subject = subject(interface);
        (subject.mode, subject.device) = (Some(mode), Device { xdp: Some(features), ..Device::default() });
        findings(&subject).iter().map(|finding| (finding.name, finding.result)).collect()
    }

    #[test]
    fn driver_without_native_xdp_is_an_error_only_where_it_is_asked_for() {
        let eth0 = interface("eth0");
        assert_eq!(results(&eth0, XdpFeatures::NONE, Mode::Auto), [("native XDP", Outcome::Warning)]);
        assert_eq!(results(&eth0, XdpFeatures::NONE, Mode::XdpNative), [("native XDP", Outcome::Error)]);
        assert_eq!(results(&eth0, XdpFeatures::NONE, Mode::XdpGeneric), []);
    }

    #[test]
    fn large_frames_need_several_buffers() {
        let mut eth0 = interface("eth0");
        let of_frames = |eth0: &Interface, features| results(eth0, features, Mode::Auto)[2];
        assert_eq!(of_frames(&eth0, XdpFeatures::WITHOUT_FRAGMENTS), ("XDP frames", Outcome::Ok));
        eth0.mtu = 9000;
        assert_eq!(of_frames(&eth0, XdpFeatures::WITHOUT_FRAGMENTS), ("XDP frames", Outcome::Warning));
        assert_eq!(of_frames(&eth0, XdpFeatures::ALL), ("XDP frames", Outcome::Ok));
    }

    #[test]
    fn network_card_becomes_a_target_with_its_program_and_a_veth_with_its_peer() {
        let mut eth0 = interface("eth0");
        let of_target = |eth0: &Interface| results(eth0, XdpFeatures::NO_TARGET, Mode::XdpNative);
        assert!(of_target(&eth0).iter().all(|(name, _)| *name != "XDP redirect"));
        eth0.kind = Kind::Veth;
        assert_eq!(of_target(&eth0)[1], ("XDP redirect", Outcome::Error));
    }
}
