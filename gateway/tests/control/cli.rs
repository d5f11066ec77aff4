//! The command line against a control server in this process.

use std::process::Stdio;

use gateway::model::flow::FlowState;
use serde_json::Value;

use crate::support::{Daemon, flow, gateway};

/// Standard output of a command that succeeds.
#[track_caller]
fn run(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = gateway(&daemon.socket).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn json(daemon: &Daemon, arguments: &[&str]) -> Value {
    serde_json::from_str(&run(daemon, &[arguments, &["--json"]].concat())).unwrap()
}

#[test]
fn service_with_a_chosen_port_is_reached_at_its_url() {
    let daemon = Daemon::start();
    let added =
        run(&daemon, &["service", "add", "mqtt", "--auto-port", "--backend", "10.0.1.2:1883,weight=3", "--no-wait"]);
    assert_eq!(added, "service mqtt added: tcp://tcp-1.example.com:20000\n");
    assert_eq!(run(&daemon, &["service", "url", "mqtt"]), "tcp://tcp-1.example.com:20000\n");
    assert_eq!(run(&daemon, &["env", "mqtt"]), "TCP_URL=tcp://tcp-1.example.com:20000\n");
    assert_eq!(json(&daemon, &["env", "mqtt"])["TCP_URL"], "tcp://tcp-1.example.com:20000");
    assert_eq!(json(&daemon, &["service", "show", "mqtt"])["backends"][0]["weight"], 3);
}

#[test]
fn options_of_a_service_are_kept() {
    let daemon = Daemon::start();
    #[rustfmt::skip]
    run(&daemon, &[
        "service", "add", "a", "--listen", ":81", "--listen", "203.0.113.10:82", "--algorithm", "least-connections",
        "--idle-timeout", "10m", "--drain-timeout", "5s", "--on-deadline", "drop", "--no-backend", "drop",
        "--unknown-flow", "reset",
    ]);
    run(&daemon, &["service", "set", "a", "--algorithm", "source"]);
    let service = json(&daemon, &["service", "show", "a"]);
    let expected = [
        ("owner", "control"),
        ("algorithm", "source"),
        ("idle_timeout", "10m"),
        ("drain_timeout", "5s"),
        ("on_deadline", "drop"),
        ("no_backend", "drop"),
        ("unknown_flow", "reset"),
    ];
    for (field, value) in expected {
        assert_eq!(service[field], value, "{field}");
    }
    assert_eq!(service["listen"], serde_json::json!([":81", "203.0.113.10:82"]));
}

#[test]
fn backend_is_drained_and_brought_back() {
    let daemon = Daemon::start();
    let state = || json(&daemon, &["backend", "list", "file"])[0]["state"].clone();
    run(&daemon, &["backend", "drain", "file", "10.0.1.1:80"]);
    assert_eq!(state(), "draining");
    assert!(run(&daemon, &["service", "list"]).contains("1/2 in use"));
    run(&daemon, &["backend", "set", "file", "10.0.1.1:80", "--active", "--weight", "4"]);
    assert_eq!(state(), "active");
}

#[test]
fn backend_is_added_and_removed() {
    let daemon = Daemon::start();
    run(&daemon, &["service", "add", "web", "--listen", "[2001:db8::10]:81"]);
    run(&daemon, &["backend", "add", "web", "[fd00::2]:80", "--weight", "2", "--no-wait"]);
    assert_eq!(json(&daemon, &["backend", "list", "web"])[0]["address"], "[fd00::2]:80");
    run(&daemon, &["backend", "remove", "web", "[fd00::2]:80"]);
    run(&daemon, &["service", "remove", "web"]);
    assert_eq!(json(&daemon, &["service", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn tables_are_plain_text_when_they_go_to_a_file() {
    let daemon = Daemon::start();
    daemon.tables.set_flows(vec![flow("file", "198.51.100.1:5000", FlowState::Established)]);
    let status = run(&daemon, &["status"]);
    for part in ["eth0       xdp-native", "1 of 100 (1.0 %)", "pass    not_ip  3", "warning: eth0 has no native XDP"] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let flows = run(&daemon, &["flows", "file", "--state", "established"]);
    assert!(flows.contains("ESTABLISHED  file     198.51.100.1:5000"), "{flows}");
    let shown = run(&daemon, &["service", "show", "file"]);
    assert!(shown.contains("10.0.1.2:80  active"), "{shown}");
    assert!(![status, flows, shown].concat().contains('\u{1b}'), "no escape sequences");
}

#[test]
fn flows_say_how_many_more_there_are() {
    let daemon = Daemon::start();
    let open = |port: u16| flow("file", &format!("198.51.100.1:{port}"), FlowState::Established);
    daemon.tables.set_flows((1..=5).map(open).collect());
    assert!(run(&daemon, &["flows", "--limit", "2"]).ends_with("2 of 5 flows; --limit lists more\n"));
    assert_eq!(run(&daemon, &["flows", "--count"]), "5\n");
    let page = json(&daemon, &["flows", "--limit", "2"]);
    assert_eq!((page["total"].as_u64(), page["flows"].as_array().map(Vec::len)), (Some(5), Some(2)));
}

#[test]
fn who_names_the_client_of_a_connection() {
    let daemon = Daemon::start();
    daemon.tables.set_flows(vec![flow("file", "198.51.100.1:5000", FlowState::Established)]);
    let connection = ["who", "10.0.0.1:40000", "10.0.1.1:80"];
    assert!(run(&daemon, &connection).contains("198.51.100.1:5000  203.0.113.10:80  file"));
    assert_eq!(json(&daemon, &connection)["client"], "198.51.100.1:5000");
}

#[test]
fn reader_that_closes_early_is_no_failure() {
    let daemon = Daemon::start();
    let open = |port: u16| flow("file", &format!("198.51.100.1:{port}"), FlowState::Established);
    daemon.tables.set_flows((1..=1000).map(open).collect());
    let mut child = gateway(&daemon.socket).args(["flows", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn check_tells_valid_files_from_others() {
    let daemon = Daemon::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = path("good.toml", "[[interface]]\nname = \"lo\"\n");
    assert!(run(&daemon, &["check", &good]).contains("is valid"));
    assert_eq!(json(&daemon, &["check", &good])["valid"], true);

    let bad = path("bad.toml", "[flows]\ncapacity = \"many\"\n[flow]\n");
    let output = gateway(&daemon.socket).args(["check", &bad]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5));
    assert!(stderr.contains("bad.toml:2:"), "{stderr}");
    let output = gateway(&daemon.socket).args(["check", "--json", &bad]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["errors"][0]["line"], 2);

    let absent = path("absent.toml", "[[interface]]\nname = \"nowhere0\"\n");
    let output = gateway(&daemon.socket).args(["check", &absent]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn completions_and_manual_pages_cover_every_verb() {
    let daemon = Daemon::start();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&daemon, &["completions", shell]);
        assert!(script.contains("auto-port"), "{shell}");
    }
    assert!(run(&daemon, &["man"]).contains(".TH"));
    let folder = tempfile::tempdir().unwrap();
    run(&daemon, &["man", "--out", folder.path().to_str().unwrap()]);
    for page in ["gateway.1", "gateway-service-add.1", "gateway-flows.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}
