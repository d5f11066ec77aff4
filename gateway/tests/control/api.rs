//! The control API through its typed client.

use gateway::{
    control::{
        ClientError, ErrorKind,
        views::{BackendQuery, ExplainQuery, FlowQuery},
    },
    model::{
        BackendState, NewBackend, Owner, Process,
        change::{BackendChange, NewService, PolicyChange, ServiceChange, WantedState},
        flow::FlowState,
    },
};

use crate::support::{Daemon, flow, new_service};

fn backend(address: &str) -> NewBackend {
    NewBackend { weight: 2, ..NewBackend::new(address.parse().unwrap()) }
}

#[track_caller]
fn kind<T: std::fmt::Debug>(result: Result<T, ClientError>) -> ErrorKind {
    match result {
        Err(ClientError::Answered(error)) => error.kind,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn service_comes_changes_and_goes() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let new = NewService { backends: vec![backend("10.0.1.7:1883")], ..new_service("mqtt", ":1883") };
    let added = daemon.wait(client.add_service(&new)).unwrap();
    assert_eq!((added.url.as_str(), added.owner), ("tcp://tcp-1.example.com:1883", Owner::Control));
    assert_eq!(added.addresses.len(), 2);

    let policy = PolicyChange { drain_timeout: Some(std::time::Duration::from_secs(5)), ..PolicyChange::default() };
    let change = ServiceChange { policy, ..ServiceChange::default() };
    assert_eq!(daemon.wait(client.set_service("mqtt", &change)).unwrap().policy.drain_timeout.as_secs(), 5);
    let shown = daemon.wait(client.service("mqtt")).unwrap();
    assert_eq!(shown.connections(), 1);
    assert_eq!(daemon.tables.names(), ["file", "mqtt"]);

    daemon.wait(client.remove_service("mqtt")).unwrap();
    assert_eq!(kind(daemon.wait(client.service("mqtt"))), ErrorKind::NotFound);
    assert_eq!(daemon.tables.names(), ["file"]);
}

#[test]
fn backend_comes_drains_and_goes() {
    let daemon = Daemon::start();
    let client = daemon.client();
    daemon.wait(client.add_service(&new_service("web", "[2001:db8::10]:81"))).unwrap();
    let address = "[fd00::7]:80".parse().unwrap();
    daemon.wait(client.add_backend("web", &backend("[fd00::7]:80"))).unwrap();
    let drain = BackendChange { weight: None, state: Some(WantedState::Draining) };
    let drained = daemon.wait(client.set_backend("web", address, &drain)).unwrap();
    assert_eq!((drained.state, drained.weight), (BackendState::Draining, 2));

    let query = BackendQuery { service: Some("web".into()) };
    let listed = daemon.wait(client.backends(&query)).unwrap();
    assert_eq!(listed[0].counters.map(|counters| counters.open_flows), Some(1));
    assert_eq!(daemon.wait(client.backends(&BackendQuery::default())).unwrap().len(), 3);
    daemon.wait(client.remove_backend("web", address)).unwrap();
    assert_eq!(kind(daemon.wait(client.remove_backend("web", address))), ErrorKind::NotFound);
}

#[test]
fn process_behind_a_backend_is_identified_wherever_it_is_named() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let with_process = |address: &str, id| NewBackend {
        process: Some(Process::Pid { id, start: None }),
        ..NewBackend::new(address.parse().unwrap())
    };
    let own = std::process::id();
    let new = NewService { backends: vec![with_process("10.0.1.7:80", own)], ..new_service("web", ":81") };
    let with_service = daemon.wait(client.add_service(&new)).unwrap().backends.remove(0);
    let alone = daemon.wait(client.add_backend("web", &with_process("10.0.1.8:80", own))).unwrap();
    assert!(matches!(with_service.process, Some(Process::Pid { start: Some(_), .. })), "{with_service:?}");
    assert_eq!(with_service.process, alone.process);

    // Larger than any process id that Linux gives.
    const NOBODY: u32 = 1 << 30;
    let new = NewService { backends: vec![with_process("10.0.1.9:80", NOBODY)], ..new_service("new", ":82") };
    assert_eq!(kind(daemon.wait(client.add_service(&new))), ErrorKind::Invalid);
    assert_eq!(kind(daemon.wait(client.add_backend("web", &with_process("10.0.1.9:80", NOBODY)))), ErrorKind::Invalid);
}

#[test]
fn refusals_carry_their_kind_and_a_remedy() {
    let daemon = Daemon::start();
    let client = daemon.client();
    assert_eq!(kind(daemon.wait(client.remove_service("file"))), ErrorKind::OwnedByFile);
    assert_eq!(kind(daemon.wait(client.add_service(&new_service("file", ":81")))), ErrorKind::Conflict);
    assert_eq!(kind(daemon.wait(client.add_service(&new_service("new", ":50000")))), ErrorKind::Invalid);
    assert_eq!(kind(daemon.wait(client.service("a/b c?d"))), ErrorKind::NotFound);
    let error = daemon.wait(client.add_service(&new_service("new", ":80"))).unwrap_err();
    assert_eq!(error.exit_code(), 5);
    assert!(error.to_string().contains("; listen on another port"), "{error}");
}

#[test]
fn failing_tables_are_reported_and_change_nothing() {
    let daemon = Daemon::start();
    let client = daemon.client();
    daemon.tables.fail_once();
    let error = daemon.wait(client.add_service(&new_service("new", ":81"))).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(
        error.to_string().contains("nothing is changed: put the change into the packet tables: no space"),
        "{error}"
    );
    assert_eq!(daemon.wait(client.services()).unwrap().len(), 1);
}

#[test]
fn flows_are_filtered_and_limited() {
    let daemon = Daemon::start();
    let client = daemon.client();
    daemon.tables.set_flows(vec![
        flow("file", "198.51.100.1:5000", FlowState::Established),
        flow("file", "198.51.100.2:5000", FlowState::Established),
        flow("gone", "198.51.100.1:5001", FlowState::TimeWait),
    ]);
    let list = |query: FlowQuery| daemon.wait(client.flows(&query));

    let page = list(FlowQuery { service: Some("file".into()), limit: Some(1), ..FlowQuery::default() }).unwrap();
    assert_eq!((page.flows.len(), page.total), (1, 2));
    let page = list(FlowQuery { client: "198.51.100.1".parse().ok(), ..FlowQuery::default() }).unwrap();
    assert_eq!(page.total, 2);
    let page = list(FlowQuery { state: Some(FlowState::TimeWait), ..FlowQuery::default() }).unwrap();
    assert_eq!(page.flows[0].service, "gone");
    list(FlowQuery { service: Some("gone".into()), ..FlowQuery::default() }).expect("its flows outlive a service");
    assert_eq!(kind(list(FlowQuery { service: Some("never".into()), ..FlowQuery::default() })), ErrorKind::NotFound);
    assert_eq!(kind(list(FlowQuery { limit: Some(1_000_000), ..FlowQuery::default() })), ErrorKind::BadRequest);
}

#[test]
fn explanations_are_of_two_ends_of_one_family() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let ends = |from: &str, to: &str| ExplainQuery { from: from.parse().unwrap(), to: to.parse().unwrap() };
    let explain = |from, to| daemon.wait(client.explain(&ends(from, to)));
    let explained = explain("198.51.100.1:5000", "[::ffff:203.0.113.10]:80").unwrap();
    assert_eq!(explained.to, "203.0.113.10:80".parse().unwrap(), "an IPv4 address, however it is written");
    assert_eq!((explained.verdict.reason.as_str(), explained.flows.open), ("no_service", 1));
    explain("[2001:db8::7]:5000", "[2001:db8::10]:80").unwrap();
    assert_eq!(kind(explain("[2001:db8::7]:5000", "203.0.113.10:80")), ErrorKind::BadRequest);
    assert_eq!(kind(explain("198.51.100.1:0", "203.0.113.10:80")), ErrorKind::BadRequest);
}

#[test]
fn status_counts_by_owner_and_state() {
    let daemon = Daemon::start();
    let status = daemon.wait(daemon.client().status()).unwrap();
    assert_eq!((status.services.file, status.services.control), (1, 0));
    assert_eq!((status.backends.active, status.backends.draining), (2, 0));
    assert_eq!(status.datapath.interfaces[0].name, "eth0");
}

#[test]
fn concurrent_changes_all_take_effect() {
    let daemon = Daemon::start();
    let add = |n: usize| {
        let client = daemon.client();
        async move { client.add_service(&new_service(&format!("s{n:02}"), &format!(":{}", 1000 + n))).await }
    };
    let added = daemon.wait(futures_util::future::join_all((0..100).map(add)));
    assert_eq!(added.iter().filter(|result| result.is_ok()).count(), 100);
    assert_eq!(daemon.wait(daemon.client().services()).unwrap().len(), 101);
}

#[test]
fn of_concurrent_claims_to_one_listen_one_wins() {
    let daemon = Daemon::start();
    let add = |n: usize| {
        let client = daemon.client();
        async move { client.add_service(&new_service(&format!("s{n}"), ":1000")).await }
    };
    let added = daemon.wait(futures_util::future::join_all((0..10).map(add)));
    assert_eq!(added.into_iter().filter(Result::is_ok).count(), 1);
}

#[test]
fn change_among_a_hundred_backends_is_in_force_within_ten_milliseconds() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let backends = (1..=100).map(|n| backend(&format!("10.0.1.{n}:80"))).collect();
    daemon.wait(client.add_service(&NewService { backends, ..new_service("wide", ":81") })).unwrap();
    let address = "10.0.1.50:80".parse().unwrap();
    let mut times: Vec<std::time::Duration> = (1..=21)
        .map(|weight| {
            let change = BackendChange { weight: Some(weight), state: None };
            let started = std::time::Instant::now();
            daemon.wait(client.set_backend("wide", address, &change)).unwrap();
            daemon.tables.last_applied().duration_since(started)
        })
        .collect();
    times.sort();
    println!("median {:?}, longest {:?}", times[10], times[20]);
    assert!(times[10].as_millis() < 10, "median {:?}", times[10]);
}
