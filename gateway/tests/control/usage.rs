//! Wrong command lines: the exit code is right, the message names what is wrong, nothing is touched.

use crate::support::{Daemon, gateway};

/// Arguments, the exit code they end with, and a part of the message.
const WRONG: &[(&[&str], i32, &str)] = &[
    (&[], 2, "Usage: gateway"),
    (&["serve"], 2, "unrecognized subcommand 'serve'"),
    (&["--colour", "status"], 2, "unexpected argument '--colour'"),
    (&["status", "now"], 2, "unexpected argument 'now'"),
    (&["status", "--socket"], 2, "a value is required for '--socket"),
    (&["service"], 2, "Usage: gateway service"),
    (&["service", "rename", "a"], 2, "unrecognized subcommand 'rename'"),
    (&["service", "add"], 2, "<NAME>"),
    (&["service", "add", "new"], 2, "--listen"),
    (&["service", "add", "", "--listen", ":81"], 2, "a value is required for '<NAME>'"),
    (&["service", "add", "new", "--listen", "81"], 2, "`81` is not ADDRESS:PORT"),
    (&["service", "add", "new", "--listen", ":0"], 2, "`:0` is not ADDRESS:PORT"),
    (&["service", "add", "new", "--listen", ":65536"], 2, "`:65536` is not ADDRESS:PORT"),
    (&["service", "add", "new", "--listen", "example.com:81"], 2, "is not ADDRESS:PORT"),
    (&["service", "add", "new", "--listen", "2001:db8::10:x"], 2, "is not ADDRESS:PORT"),
    (&["service", "add", "new", "--listen", ":81", "--backend", "10.0.1.1"], 2, "`10.0.1.1` is not ADDRESS:PORT"),
    (&["service", "add", "new", "--listen", ":81", "--backend", "10.0.1.1:80,weight=0"], 2, "is not weight=N"),
    (&["service", "add", "new", "--listen", ":81", "--backend", "10.0.1.1:80,height=1"], 2, "is not weight=N"),
    (&["service", "add", "new", "--listen", ":81", "--algorithm", "rr"], 2, "least-connections"),
    (&["service", "add", "new", "--listen", ":81", "--idle-timeout", "soon"], 2, "--idle-timeout"),
    (&["service", "add", "new", "--listen", ":81", "--drain-timeout", "-1s"], 2, "-1"),
    (&["service", "add", "new", "--listen", ":81", "--on-deadline", "wait"], 2, "[possible values: reset, drop]"),
    (&["service", "set", "file"], 2, "--algorithm"),
    (&["service", "set", "file", "--listen", ":82"], 2, "unexpected argument '--listen'"),
    (&["service", "show"], 2, "<NAME>"),
    (&["service", "url", "file", "web"], 2, "unexpected argument 'web'"),
    (&["env"], 2, "<NAME>"),
    (&["backend", "add", "file"], 2, "<A:P>"),
    (&["backend", "add", "file", "10.0.1.1"], 2, "invalid socket address"),
    (&["backend", "add", "file", "10.0.1.256:80"], 2, "invalid socket address"),
    (&["backend", "add", "file", "10.0.1.9:80", "--weight", "0"], 2, "0 is not in 1..=65535"),
    (&["backend", "add", "file", "10.0.1.9:80", "--weight", "65536"], 2, "65536 is not in 1..=65535"),
    (&["backend", "set", "file", "10.0.1.1:80"], 2, "--weight"),
    (&["backend", "drain", "file"], 2, "<A:P>"),
    (&["flows", "--state", "OPEN"], 2, "`OPEN` is not a TCP state; the states are SYN-SENT"),
    (&["flows", "--client", "198.51.100.7:80"], 2, "invalid IP address"),
    (&["flows", "--limit", "0"], 2, "a number of 1 to 100000 is needed"),
    (&["flows", "--sort", "size"], 2, "[possible values: service, backend, client, state, age, idle, bytes, packets]"),
    (&["flows", "--reverse"], 2, "--sort <KEY>"),
    (&["flows", "--count", "--limit", "3"], 2, "cannot be used with"),
    (&["flows", "--watch", "file"], 2, "an interval such as 5s is needed"),
    (&["flows", "--watch", "1ms"], 2, "100ms is the shortest"),
    (&["who", "10.0.0.1:40000"], 2, "<BACKEND_ADDRESS:PORT>"),
    (&["who", "10.0.0.1", "10.0.1.1:80"], 2, "invalid socket address"),
    (
        &["who", "10.0.0.1:40000", "10.0.1.1:80"],
        4,
        "no connection from 10.0.0.1:40000 to 10.0.1.1:80 is known; ask while",
    ),
    (&["explain", "--from", "198.51.100.7:5000"], 2, "--to <SERVICE:PORT>"),
    (&["explain", "--from", "198.51.100.7", "--to", "203.0.113.10:80"], 2, "invalid socket address"),
    (&["explain", "--from", "198.51.100.7:5000", "--to", "[2001:db8::10]:80"], 2, "two versions of the Internet"),
    (&["explain", "--from", "198.51.100.7:0", "--to", "203.0.113.10:80"], 2, "no SYN has port 0"),
    (&["check"], 2, "<FILE>"),
    (&["completions", "cmd"], 2, "[possible values: bash"),
    (&["check", "/nowhere/gateway.toml"], 5, "/nowhere/gateway.toml: cannot read the configuration"),
    (&["service", "show", "absent"], 4, "there is no service `absent`; `gateway service list` shows"),
    (&["service", "remove", "absent"], 4, "there is no service `absent`"),
    (&["service", "url", "absent"], 4, "there is no service `absent`"),
    (&["env", "a/../b"], 4, "there is no service `a/../b`"),
    (&["flows", "absent"], 4, "there is no service `absent`"),
    (&["backend", "list", "absent"], 4, "there is no service `absent`"),
    (&["backend", "drain", "file", "10.9.9.9:80"], 4, "service `file` has no backend 10.9.9.9:80"),
    (&["service", "add", "file", "--listen", ":81"], 5, "there is already a service `file` in the configuration file"),
    (&["service", "add", "New", "--listen", ":81"], 5, "\"New\" has a 'N' in it; use 1 to 63 of a-z"),
    (&["service", "add", "new", "--listen", ":80"], 5, "service `file` in the configuration file does"),
    (&["service", "add", "new", "--listen", ":50000"], 5, "inside the snat range"),
    (&["service", "add", "new", "--listen", "127.0.0.1:81"], 5, "loopback"),
    (&["service", "add", "new", "--listen", ":81", "--listen", "203.0.113.10:81"], 5, "overlaps another listen"),
    (&["service", "add", "new", "--listen", "203.0.113.10:81", "--backend", "[fd00::1]:80"], 5, "no IPv6 listen"),
    (&["service", "add", "new", "--listen", ":81", "--backend", "10.0.1.1:0"], 5, "has port 0"),
    (&["service", "add", "new", "--listen", ":81", "--idle-timeout", "0s"], 5, "idle_timeout 0s is out of range"),
    (&["service", "set", "file", "--algorithm", "source"], 5, "which is where to change it; edit the file"),
    (&["service", "remove", "file"], 5, "which is where to remove it"),
    (&["backend", "add", "file", "10.0.1.9:80"], 5, "which is where to add backends to it"),
    (&["backend", "remove", "file", "10.0.1.1:80"], 5, "which is where to remove backends of it"),
];

#[test]
fn wrong_command_lines_are_refused_with_the_right_exit_code() {
    let daemon = Daemon::start();
    for (arguments, code, message) in WRONG {
        let output = gateway(&daemon.socket).args(*arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    assert_eq!(daemon.tables.names(), ["file"]);
}

#[test]
fn every_command_that_needs_a_daemon_says_that_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let verbs: &[&[&str]] = &[
        &["status"],
        &["flows"],
        &["explain", "--from", "198.51.100.7:5000", "--to", "203.0.113.10:80"],
        &["env", "a"],
        &["service", "list"],
        &["service", "add", "a", "--auto-port"],
        &["service", "show", "a"],
        &["service", "set", "a", "--algorithm", "source"],
        &["service", "remove", "a"],
        &["service", "url", "a"],
        &["backend", "list"],
        &["backend", "add", "a", "10.0.1.1:80"],
        &["backend", "set", "a", "10.0.1.1:80", "--active"],
        &["backend", "drain", "a", "10.0.1.1:80"],
        &["backend", "remove", "a", "10.0.1.1:80"],
    ];
    for verb in verbs {
        let output = gateway(&folder.path().join("gateway.sock")).args(*verb).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{verb:?}: {stderr}");
        assert!(stderr.starts_with("gateway: no gateway answers on "), "{stderr}");
    }
}
