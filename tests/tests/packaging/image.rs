//! The container image in a real Docker daemon.

use gateway_tests::{
    Docker, Family, Mode, Topology, eventually,
    gateway::program,
    scenario::{PORT, config, servers},
    traffic::{Behaviour, client},
};

use crate::{PATIENCE, packages};

#[test]
fn image_is_loaded_and_runs_the_gateway() {
    let gateway = program();
    let linked = std::process::Command::new("ldd").arg(&gateway).output().expect("ldd starts");
    let lab = Topology::two_arm(1).build();
    let Some(docker) = Docker::start(&lab) else { return };
    let archive = packages(&lab, &gateway, "1.2.3").join("gateway-1.2.3-image.tar").display().to_string();
    let loaded = docker.cli(&["load", "--input", &archive]).success().stdout;
    assert!(loaded.contains("gateway:1.2.3"), "{loaded}");
    // The program under test may need the machine's C library; that of a release is static.
    let libraries = String::from_utf8_lossy(&linked.stdout).contains("libc.so");
    let mounts = if libraries {
        &["-v", "/lib:/lib:ro", "-v", "/lib64:/lib64:ro", "-v", "/usr/lib:/usr/lib:ro"][..]
    } else {
        &[]
    };
    let version = docker.cli(&[&["run", "--rm"], mounts, &["gateway:1.2.3", "--version"]].concat()).success().stdout;
    assert!(version.starts_with("gateway ") && version.contains("datapath ABI"), "{version}");

    let _servers = servers(&lab, &Behaviour::Echo);
    let folder = lab.directory().join("etc");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("gateway.toml"), config(&lab, Mode::XdpNative).to_toml()).unwrap();
    let own = [
        format!("{}:/etc/gateway:ro", folder.display()),
        format!("{0}:{0}", lab.directory().display()),
        format!("GATEWAY_BPFFS={}", lab.id().pin_directory().display()),
    ];
    // As docs/packaging.md says.
    let places = ["-v", &own[0], "-v", &own[1], "-e", &own[2], "-v", "/sys/fs/bpf:/sys/fs/bpf"];
    let run = |own_rights: &[&str]| {
        let rights = ["--cap-drop=ALL", "--cap-add=NET_ADMIN", "--cap-add=NET_RAW", "--cap-add=KILL"];
        let open = ["--network", "host", "--security-opt", "seccomp=unconfined"];
        let run = ["run", "--detach", "--name", "gateway"];
        docker.cli(&[&run, &open[..], &rights, own_rights, mounts, &places, &["gateway:1.2.3"]].concat())
    };
    let started = run(&["--cap-add=BPF", "--cap-add=PERFMON"]);
    // Debian 12's Docker does not know them.
    if started.stderr.contains("unknown capability") {
        run(&["--cap-add=SYS_ADMIN"]).success();
    } else {
        started.success();
    }
    eventually(PATIENCE, || {
        client::connect(&lab.client, lab.front.at(Family::V4, PORT))
            .map(drop)
            .map_err(|error| (error, docker.cli(&["logs", "gateway"])))
    });
    let stopped = docker.cli(&["stop", "gateway"]).success();
    assert_eq!(stopped.stdout.trim(), "gateway");
    client::connect(&lab.client, lab.front.at(Family::V4, PORT)).expect("the datapath goes on without its daemon");
}
