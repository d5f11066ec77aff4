//! Who may use the control socket, with processes of other users.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    process::Command,
    time::Duration,
};

use gateway_tests::{Gateway, GatewayConfig, Lab, Mode, Output, Process, Topology, eventually, gateway::program};

const STRANGER: u32 = 61_001;
const GROUP: u32 = 61_002;
const PATIENCE: Duration = Duration::from_secs(10);

/// A command of the gateway as `user`, with `group` as the primary one.
fn as_user(lab: &Lab, user: u32, group: u32, arguments: &[&str]) -> Output {
    // Setting a user without root's rights to choose groups keeps those of root: setpriv(1) sets all of them.
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
    command.arg(copy_of_program(lab)).arg("--socket").arg(lab.directory().join("gateway.sock")).args(arguments);
    Process::start(&mut command).wait(PATIENCE)
}

#[track_caller]
fn wait_for_log(gateway: &Gateway, text: &str) {
    eventually(PATIENCE, || if gateway.log().contains(text) { Ok(()) } else { Err(gateway.log()) });
}

/// The program where every user can run it.
fn copy_of_program(lab: &Lab) -> std::path::PathBuf {
    let copy = lab.directory().join("gateway");
    if !copy.exists() {
        fs::copy(program(), &copy).expect("the lab's folder is writable");
    }
    copy
}

#[test]
fn strangers_are_kept_out_by_the_mode_and_where_it_is_loosened_by_their_credentials() {
    let lab = Topology::two_arm(1).build();
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::Tc));
    let socket = lab.directory().join("gateway.sock");
    let refused = as_user(&lab, STRANGER, STRANGER, &["status"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("not yours to use"), "{refused:?}");
    assert!(!gateway.log().contains("turned away"), "the kernel has refused it\n{}", gateway.log());

    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    for arguments in [&["status"][..], &["service", "add", "web", "--listen", ":21000"]] {
        let refused = as_user(&lab, STRANGER, STRANGER, arguments);
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!(refused.stderr.contains("not yours to use"), "{refused:?}");
    }
    wait_for_log(&gateway, &format!("uid {STRANGER}, pid "));
    assert_eq!(gateway.json(&["service", "list"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn root_of_another_user_namespace_is_a_stranger() {
    let lab = Topology::two_arm(1).build();
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::Tc));
    let socket = lab.directory().join("gateway.sock");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]).arg(copy_of_program(&lab)).arg("--socket").arg(&socket).arg("status");
    command.uid(STRANGER).gid(STRANGER);
    let refused = Process::start(&mut command).wait(PATIENCE);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("not yours to use"), "{refused:?}");
    wait_for_log(&gateway, &format!("uid {STRANGER}, pid "));
}

#[test]
fn members_of_the_sockets_group_are_served_and_changes_are_logged_with_who_made_them() {
    let lab = Topology::two_arm(1).build();
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::Tc));
    chown(lab.directory().join("gateway.sock"), None, Some(GROUP)).unwrap();
    as_user(&lab, STRANGER, GROUP, &["service", "add", "web", "--listen", ":21000"]).success();
    wait_for_log(&gateway, &format!("POST /v1/services of uid {STRANGER}, pid "));
    // By a supplementary group.
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={STRANGER}"), format!("--regid={STRANGER}"), format!("--groups=1,2,3,{GROUP}")]);
    command.arg(copy_of_program(&lab)).arg("--socket").arg(lab.directory().join("gateway.sock"));
    Process::start(command.args(["service", "remove", "web"])).wait(PATIENCE).success();
    wait_for_log(&gateway, "DELETE /v1/services/web of uid");
    gateway.cli(&["service", "add", "web", "--listen", ":21000"]).success();
    wait_for_log(&gateway, "POST /v1/services of uid 0, pid ");
}
