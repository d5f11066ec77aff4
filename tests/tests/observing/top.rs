//! `gateway top` in a real terminal: its screens, its keys, and what it leaves behind.

use std::time::Duration;

use gateway_tests::{
    Family, Gateway, Mode, Terminal, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, config, numbered_servers},
    traffic::Churn,
};

const PATIENCE: Duration = Duration::from_secs(30);
const SIZE: (u16, u16) = (80, 24);

/// Waits until the terminal shows what is asked for, and gives all it shows.
#[track_caller]
fn wait_for(terminal: &Terminal, what: impl Fn(&str) -> bool) -> String {
    eventually(PATIENCE, || {
        let shown = terminal.shown();
        if what(&shown) { Ok(shown) } else { Err(shown) }
    })
}

/// The line that begins with a name, as words.
fn words<'a>(shown: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let lines = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.into_iter().find(|words| words.first() == Some(&name) || words.get(1) == Some(&name))
}

#[test]
fn screens_follow_traffic_and_keys() {
    let lab = Topology::two_arm(2).build();
    let _servers = numbered_servers(&lab);
    let _gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let churn = Churn::start(&lab.client, lab.front.at(Family::V4, PORT), 50);
    let terminal = Terminal::start(&lab, "$GATEWAY top --interval 300ms", SIZE);

    // + v4 2/2 up NEW/s OPEN HALF SYN-ACK FAIL/s IN OUT
    let is_busy =
        |shown: &str| words(shown, "v4").is_some_and(|words| words[4].parse::<f64>().is_ok_and(|new| new > 5.0));
    let shown = wait_for(&terminal, is_busy);
    let v4 = words(&shown, "v4").unwrap();
    assert!(v4[7].ends_with("µs") || v4[7].ends_with("ms"), "SYN-ACK time in {v4:?}");
    assert!(shown.starts_with("gateway ") && shown.contains("xdp-native") && shown.contains("forward "), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80) && shown.contains("F10Quit"), "{shown}");

    let backend = lab.backends[0].at(Family::V4, BACKEND_PORT).to_string();
    assert!(!shown.contains(&backend), "{shown}");
    terminal.press(&["Space"]);
    wait_for(&terminal, |shown| words(shown, &backend).is_some());
    terminal.press(&["/", "v", "6", "Enter"]);
    wait_for(&terminal, |shown| words(shown, "v6").is_some() && words(shown, "v4").is_none());
    // Keys after it would look like one key with it: terminals send the same bytes.
    terminal.press(&["Escape"]);
    wait_for(&terminal, |shown| words(shown, "v4").is_some());
    terminal.press(&["F1"]);
    wait_for(&terminal, |shown| shown.contains("sort the other way round"));
    terminal.press(&["x", "F6"]);
    wait_for(&terminal, |shown| shown.contains("Sort by") && shown.contains("SYN-ACK time"));
    terminal.press(&["Escape"]);
    terminal.resize((110, 30));
    let wide = wait_for(&terminal, |shown| shown.contains("P99") && !shown.contains("Sort by"));
    assert!(wide.lines().next().unwrap().contains("xdp-native"), "{wide}");
    assert_eq!(churn.stop().failed(), 0);
}

#[test]
fn terminal_is_as_before_whatever_ends_it() {
    let lab = Topology::two_arm(1).build();
    let _gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let after = "echo status $?; stty -a | grep -ow -e '-*icanon' -e '-*echo'; echo THE END; sleep 60";
    for (how, script, keys) in [
        ("key", "$GATEWAY top", &["q"][..]),
        ("Ctrl-C", "$GATEWAY top", &["C-c"]),
        ("SIGTERM", "timeout --foreground --signal=TERM 2 $GATEWAY top --interval 500ms", &[]),
        ("SIGINT", "timeout --foreground --signal=INT 2 $GATEWAY top --interval 500ms", &[]),
    ] {
        let terminal = Terminal::start(&lab, &format!("echo before; {script}; {after}"), SIZE);
        wait_for(&terminal, |shown| shown.contains("F10Quit"));
        if !keys.is_empty() {
            terminal.press(keys);
        }
        let shown = wait_for(&terminal, |shown| shown.contains("THE END"));
        let lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!((lines[0], &lines[2..]), ("before", &["icanon", "echo", "THE END"][..]), "{how}: {shown}");
    }
}

#[test]
fn one_picture_needs_no_terminal() {
    let lab = Topology::two_arm(1).build();
    let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let output = gateway.cli(&["top", "--once", "--interval", "200ms", "--cpu"]).success();
    assert!(words(&output.stdout, "v4").is_some() && !output.stdout.contains('\u{1b}'), "{}", output.stdout);
    let refused = gateway.cli(&["top"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("--once"), "{refused:?}");
}
