//! The stream of events, through the typed client and as bytes.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};

use gateway::{
    control::{ClientError, ErrorKind, views::EventQuery},
    model::{
        NewBackend,
        change::{BackendChange, WantedState},
        event::{Event, Happening},
        status::Action,
    },
};

use crate::support::{Daemon, gateway, new_service};

const FOLLOW: EventQuery = EventQuery { since: None, follow: true };

/// All events that there are.
fn all(daemon: &Daemon, query: &EventQuery) -> Vec<Event> {
    daemon.wait(async {
        let mut stream = daemon.client().events(query).await.unwrap();
        let mut events = Vec::new();
        while let Some((event, _)) = stream.next().await.unwrap() {
            events.push(event);
        }
        events
    })
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.what.kind()).collect()
}

#[test]
fn what_has_happened_is_listed_from_any_event_on() {
    let daemon = Daemon::start();
    daemon.wait(daemon.client().add_service(&new_service("web", ":81"))).unwrap();
    daemon.wait(daemon.client().remove_service("web")).unwrap();
    let events = all(&daemon, &EventQuery::default());
    assert_eq!(kinds(&events), ["service-added", "service-removed"]);
    assert!(events[0].at <= events[1].at);
    let since = Some(events[0].number);
    assert_eq!(all(&daemon, &EventQuery { since, follow: false }), events[1..]);
}

#[test]
fn follower_gets_what_happens_after_it_has_come() {
    let daemon = Daemon::start();
    let client = daemon.client();
    daemon.wait(async {
        let mut stream = client.events(&FOLLOW).await.unwrap();
        client.add_service(&new_service("web", ":81")).await.unwrap();
        let (event, json) = stream.next().await.unwrap().unwrap();
        assert_eq!((event.what.kind(), event.what.service()), ("service-added", Some("web")));
        assert!(json.starts_with(r#"{"number":1,"at":""#), "{json}");
        let backend = "10.0.1.7:80".parse().unwrap();
        client.add_backend("web", &NewBackend::new(backend)).await.unwrap();
        let drain = BackendChange { weight: None, state: Some(WantedState::Draining) };
        client.set_backend("web", backend, &drain).await.unwrap();
        for kind in ["backend-added", "backend-draining"] {
            assert_eq!(stream.next().await.unwrap().unwrap().0.what.kind(), kind);
        }
    });
}

#[test]
fn places_for_followers_are_limited_and_given_back() {
    let daemon = Daemon::start();
    let client = daemon.client();
    daemon.wait(async {
        let mut streams = Vec::new();
        let refused = loop {
            match client.events(&FOLLOW).await {
                Ok(stream) => streams.push(stream),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, ClientError::Answered(ref error) if error.kind == ErrorKind::Limit), "{refused}");
        assert_eq!(streams.len(), 32);
        client.status().await.expect("others are served meanwhile");
        client.events(&EventQuery::default()).await.expect("who does not follow needs no place");
        streams.pop();
        // The daemon notices that the connection is gone a little later.
        while client.events(&FOLLOW).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn stream_is_lines_of_json() {
    let daemon = Daemon::start();
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    write!(stream, "GET /v1/events?follow=true HTTP/1.1\r\nhost: gateway\r\n\r\n").unwrap();
    daemon.wait(daemon.client().add_service(&new_service("web", ":81"))).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("content-type: application/x-ndjson")), "{head:?}");
    let line = lines.find(|line| line.starts_with('{')).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&line).unwrap().what.kind(), "service-added");
}

#[test]
fn wrong_arguments_are_refused() {
    let daemon = Daemon::start();
    for path in ["/v1/events?since=-1", "/v1/events?follow=perhaps", "/v1/events?kind=lost"] {
        let mut stream = UnixStream::connect(&daemon.socket).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").unwrap();
        let status = BufReader::new(stream).lines().next().unwrap().unwrap();
        assert!(status.contains("400"), "{path}: {status}");
    }
}

#[test]
fn command_shows_what_has_happened() {
    let daemon = Daemon::start();
    daemon.wait(daemon.client().add_service(&new_service("web", ":81"))).unwrap();
    let run = |arguments: &[&str]| {
        let output = gateway(&daemon.socket).args(["events", "--no-follow"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run(&[]);
    assert!(text.contains("Z  service-added           service web added: listens on 203.0.113.10:81"), "{text}");
    let event: Event = serde_json::from_str(&run(&["--json", "--service", "web"])).unwrap();
    assert_eq!(event.number, 1);
    assert_eq!(run(&["--kind", "backend"]), "");
    let wrong = gateway(&daemon.socket).args(["events", "--kind", "nonsense"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn warnings_and_limits_are_told() {
    let daemon = Daemon::start();
    daemon.look_out();
    daemon.wait(async {
        let mut stream = daemon.client().events(&FOLLOW).await.unwrap();
        let mut next = async || stream.next().await.unwrap().unwrap().0.what;
        assert_eq!(next().await.kind(), "interface-attached");
        assert_eq!(next().await, Happening::WarningRaised { warning: "eth0 has no native XDP".into() });
        daemon.tables.count("limit_rate", Action::Drop, 12);
        assert_eq!(next().await, Happening::LimitHit { reason: "limit_rate".into(), packets: 12 });
    });
}
