//! Kernel settings and mounts.

use std::path::Path;

use gateway::host::{
    bpffs::{self, Mounted},
    requirements,
    sysctl::{self, Family},
};
use gateway_tests::link;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::Wire;

#[test]
fn forwarding_is_told_and_set_by_interface_and_family() {
    let wire = Wire::new();
    // A dot in the name, as VLAN interfaces have.
    link::connect((&wire.host, "eth1.5"), (&wire.peer, "eth1"));
    wire.host.sysctl("net/ipv4/ip_forward", "0");
    wire.host.sysctl("net/ipv6/conf/eth1.5/accept_ra", "1");
    wire.host.run(|| {
        let families = [Family::V4, Family::V6];
        let missing = sysctl::missing_forwarding(&["eth0", "eth1.5"], &families);
        assert_eq!(missing.len(), 4, "{missing:?}");
        for missing in missing.iter().filter(|missing| missing.interface == "eth1.5") {
            sysctl::set(missing).unwrap();
        }
        for family in families {
            assert!(sysctl::forwarding(family, "eth1.5").unwrap());
            assert!(!sysctl::forwarding(family, "eth0").unwrap());
        }
        assert_eq!(sysctl::missing_forwarding(&["eth1.5"], &families), []);
        let accept_ra = std::fs::read_to_string("/proc/sys/net/ipv6/conf/eth1.5/accept_ra").unwrap();
        assert_eq!(accept_ra.trim(), "2");
        assert!(sysctl::forwarding(Family::V4, "eth7").unwrap_err().to_string().contains("eth7"));
    });
}

#[test]
fn printed_command_turns_forwarding_on() {
    let wire = Wire::new();
    link::connect((&wire.host, "eth1.5"), (&wire.peer, "eth1"));
    wire.host.sysctl("net/ipv4/ip_forward", "0");
    let missing = wire.host.run(|| sysctl::missing_forwarding(&["eth1.5"], &[Family::V4, Family::V6]));
    assert_eq!(missing.len(), 2);
    for missing in missing {
        let sentence = missing.to_string();
        let command = sentence.split('"').nth(1).expect("the sentence quotes a command");
        wire.host.output("sh", &["-c", command]).success();
    }
    assert!(wire.host.run(|| sysctl::forwarding(Family::V4, "eth1.5")).unwrap());
    assert!(wire.host.run(|| sysctl::forwarding(Family::V6, "eth1.5")).unwrap());
}

#[test]
fn local_port_range_is_the_kernels() {
    let wire = Wire::new();
    wire.host.sysctl("net/ipv4/ip_local_port_range", "33000\t34000");
    assert_eq!(wire.host.run(sysctl::ip_local_port_range).unwrap(), (33_000, 34_000));
}

#[test]
fn bpffs_is_mounted_once_and_its_folders_are_made() {
    const NONE: Option<&str> = None;
    Wire::new().host.run(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
        // Hides the bpffs of the machine.
        mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), NONE).unwrap();
        let pins = Path::new(bpffs::MOUNT_POINT).join("gateway/maps");
        assert_eq!(bpffs::ensure_mounted(&pins).unwrap(), Mounted::Freshly);
        assert!(pins.is_dir());
        assert_eq!(bpffs::ensure_mounted(&pins).unwrap(), Mounted::Already);
        assert_eq!(bpffs::ensure_mounted(Path::new(bpffs::MOUNT_POINT)).unwrap(), Mounted::Already);
    });
}

#[test]
fn machine_that_runs_these_tests_meets_the_requirements() {
    assert_eq!(requirements::unmet().unwrap(), []);
}
