//! Screens of made-up gateways, keys included.

use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    keys::{Outcome, press},
    screen::{Column, Mode},
    *,
};
use crate::{
    control::views::{BackendCount, BackendView, Counters, ServiceCount, ServiceView, StatusView},
    model::{
        BackendState, Health, HealthReport, HealthStatus, Limits, Owner, Policy,
        flow::Traffic,
        status::{
            Action, AttachMode, DatapathStatus, Handshakes, Hook, InterfaceStatus, ProgramStatus, ReasonCount,
            TableFill,
        },
    },
};

/// A backend that has taken so many connections, each answered within a millisecond, of 1,000 bytes there and 10,000 back.
fn backend(service: &str, address: &str, health: HealthStatus, connections: u64) -> BackendView {
    let mut handshakes = Handshakes { sum_us: connections * 700, ..Handshakes::default() };
    handshakes.buckets[5] = connections;
    let traffic = |bytes| Traffic { packets: connections * 5, bytes: connections * bytes };
    let (original, reply) = (traffic(1000), traffic(10_000));
    let refused = if health == HealthStatus::Down { connections } else { 0 };
    let (open_flows, half_open) = (connections / 10, 2);
    let counters =
        Counters { connections, handshakes, refused, open_flows, half_open, original, reply, ..Counters::default() };
    BackendView {
        service: service.into(),
        address: address.parse().unwrap(),
        weight: 1,
        state: BackendState::Active,
        health: Some(HealthReport::now(health)),
        process: None,
        deployment: None,
        drain: None,
        counters: Some(counters),
    }
}

fn service(name: &str, backends: Vec<BackendView>) -> ServiceView {
    ServiceView {
        name: name.into(),
        owner: Owner::File,
        url: String::new(),
        listen: vec![],
        addresses: vec![],
        policy: Policy::default(),
        health: Health::default(),
        limits: Limits::default(),
        deployment: None,
        backends,
    }
}

/// A gateway after so many seconds of traffic: two services, one backend down.
fn sample(start: Instant, seconds: u64) -> Sample {
    let interface = |name: &str, mode| InterfaceStatus { name: name.into(), ifindex: 2, mode };
    let reason = |reason: &str, action, a_second: u64| ReasonCount {
        reason: reason.into(),
        action,
        packets: a_second * seconds,
    };
    let datapath = DatapathStatus {
        interfaces: vec![interface("eth0", AttachMode::XdpNative), interface("docker0", AttachMode::Tc)],
        flows: TableFill { open: 600_000, capacity: 1_048_576 },
        half_open: TableFill { open: 120, capacity: 98_304 },
        reasons: vec![
            reason("forwarded", Action::Forward, 1_200_000),
            reason("not_ip", Action::Pass, 2),
            reason("unknown_flow", Action::Drop, 15),
            reason("no_route", Action::Drop, 0),
            reason("limit_rate_reset", Action::Answer, 40),
        ],
        programs: vec![ProgramStatus {
            hook: Hook::Xdp,
            interfaces: vec!["eth0".into()],
            runs: 1_000_000 * seconds,
            run_time_ns: 250_000_000 * seconds,
        }],
        warnings: vec!["the flow table is 81 % full".into(), "another".into()],
        ..DatapathStatus::default()
    };
    let status = StatusView {
        version: "0.1.0".into(),
        uptime_seconds: 3700 + seconds,
        services: ServiceCount::default(),
        backends: BackendCount::default(),
        datapath,
    };
    let web = vec![
        backend("web", "10.0.1.2:80", HealthStatus::Up, 1000 * seconds),
        backend("web", "[2001:db8::3]:80", HealthStatus::Down, 5 * seconds),
    ];
    let mqtt = vec![backend("mqtt", "10.0.1.4:1883", HealthStatus::Up, 20 * seconds)];
    Sample {
        at: start + Duration::from_secs(seconds),
        status,
        services: vec![service("mqtt", mqtt), service("web", web)],
    }
}

fn report() -> Report {
    let start = Instant::now();
    Report::between(Some(&sample(start, 100)), &sample(start, 102))
}

fn drawn(screen: &mut Screen, report: &Report, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let (notice, theme) = (Notice::default(), Theme { has_colour: true });
    terminal.draw(|frame| draw::draw(frame, screen, report, &notice, theme)).unwrap();
    text(terminal.backend())
}

fn type_keys(screen: &mut Screen, keys: &[KeyCode], report: &Report) -> Vec<Outcome> {
    keys.iter().map(|key| press(screen, KeyEvent::new(*key, KeyModifiers::NONE), report)).collect()
}

fn names(screen: &Screen, report: &Report) -> Vec<String> {
    screen.lines(report).iter().map(|line| line.row.name.clone()).collect()
}

#[test]
fn screen_of_80_columns_shows_everything() {
    let mut screen = Screen { unfolded: ["web".to_owned()].into(), ..Screen::default() };
    let shown = drawn(&mut screen, &report(), 80, 24);
    assert_eq!(shown, include_str!("tests/screen.txt"), "\n{shown}");
}

#[test]
fn more_columns_show_more_and_a_small_screen_less() {
    let (report, mut screen) = (report(), Screen::default());
    assert!(drawn(&mut screen, &report, 120, 24).contains("P99"));
    for (width, height) in [(80, 9), (40, 10), (10, 3), (1, 1)] {
        drawn(&mut screen, &report, width, height);
    }
}

#[test]
fn first_look_has_no_rates() {
    let report = Report::between(None, &sample(Instant::now(), 100));
    assert_eq!((report.total.new, report.packets[0].1, report.troubles.len()), (None, None, 0));
    let shown = drawn(&mut Screen::default(), &report, 80, 24);
    assert!(shown.contains("forward -/s") && shown.contains("C has it do so"), "{shown}");
}

#[test]
fn services_are_sorted_filtered_and_unfolded_by_keys() {
    let (report, mut screen) = (report(), Screen::default());
    assert_eq!(names(&screen, &report), ["web", "mqtt"], "most new connections first");
    type_keys(&mut screen, &[KeyCode::Char('I')], &report);
    assert_eq!(names(&screen, &report), ["mqtt", "web"]);
    // The menu: two up from the third column is the name.
    type_keys(&mut screen, &[KeyCode::F(6), KeyCode::Up, KeyCode::Up, KeyCode::Enter], &report);
    assert_eq!((screen.sort, screen.mode), (Column::Name, Mode::Table));
    assert_eq!(names(&screen, &report), ["mqtt", "web"]);
    type_keys(&mut screen, &[KeyCode::Down, KeyCode::Char(' ')], &report);
    assert_eq!(names(&screen, &report), ["mqtt", "web", "10.0.1.2:80", "[2001:db8::3]:80"]);
    type_keys(&mut screen, &[KeyCode::Char('E')], &report);
    assert_eq!(names(&screen, &report)[..2], ["web", "[2001:db8::3]:80"], "the one that fails first");

    type_keys(&mut screen, &[KeyCode::F(4), KeyCode::Char('1'), KeyCode::Char('8'), KeyCode::Enter], &report);
    assert_eq!(names(&screen, &report), ["mqtt", "10.0.1.4:1883"], "a backend that matches brings its service");
    assert!(drawn(&mut screen, &report, 80, 24).contains("only: 18"));
    type_keys(&mut screen, &[KeyCode::Esc, KeyCode::Char('t')], &report);
    assert_eq!(names(&screen, &report).len(), 5, "all are unfolded");
    type_keys(&mut screen, &[KeyCode::Char('t')], &report);
    assert_eq!(names(&screen, &report).len(), 2);
}

#[test]
fn cursor_stays_on_the_table_and_in_sight() {
    let start = Instant::now();
    let backends =
        |n: u64| (1..=50).map(|it| backend("wide", &format!("10.0.1.{it}:80"), HealthStatus::Up, n)).collect();
    let sample = |n| Sample { services: vec![service("wide", backends(n))], ..self::sample(start, n) };
    let report = Report::between(Some(&sample(1)), &sample(2));
    let mut screen = Screen { unfolded: ["wide".to_owned()].into(), sort: Column::Name, ..Screen::default() };
    let first = drawn(&mut screen, &report, 80, 24);
    assert!(first.contains("- wide") && !first.contains("10.0.1.9:80"), "{first}");
    type_keys(&mut screen, &[KeyCode::End], &report);
    let last = drawn(&mut screen, &report, 80, 24);
    assert!(last.contains("10.0.1.9:80") && !last.contains("- wide"), "{last}");
    type_keys(&mut screen, &[KeyCode::Down, KeyCode::PageUp], &report);
    assert_eq!(screen.cursor, 50 - screen.page);
    // What is gone cannot be pointed at.
    type_keys(&mut screen, &[KeyCode::End, KeyCode::Char(' ')], &report);
    drawn(&mut screen, &report, 80, 24);
    assert_eq!(screen.cursor, 0);
}

#[test]
fn keys_end_help_pause_and_refresh() {
    let (report, mut screen) = (report(), Screen::default());
    let help = type_keys(&mut screen, &[KeyCode::F(1)], &report);
    assert!(help == [Outcome::Stay] && drawn(&mut screen, &report, 80, 24).contains("sort the other way round"));
    // While there is help, the next key only takes it away.
    assert_eq!(type_keys(&mut screen, &[KeyCode::Char('q')], &report), [Outcome::Stay]);
    type_keys(&mut screen, &[KeyCode::Char('Z')], &report);
    assert!(drawn(&mut screen, &report, 80, 24).contains("paused"));
    let outcomes = type_keys(&mut screen, &[KeyCode::Char('r'), KeyCode::Char('C'), KeyCode::Char('q')], &report);
    assert_eq!(outcomes, [Outcome::Refresh, Outcome::ToggleCpu, Outcome::Quit]);
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    screen.mode = Mode::Filter;
    assert_eq!(press(&mut screen, control, &report), Outcome::Quit, "whatever is typed");
}

#[test]
fn without_colours_bars_are_reversed() {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let (mut screen, theme) = (Screen::default(), Theme { has_colour: false });
    terminal.draw(|frame| draw::draw(frame, &mut screen, &report(), &Notice::default(), theme)).unwrap();
    let cells = &terminal.backend().buffer().content;
    use ratatui::style::{Color, Modifier};
    assert!(cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(cells.iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)));
}
