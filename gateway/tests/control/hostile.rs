//! Requests that are not as they should be: each is answered or closed, and the next one is served.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use crate::support::Daemon;

/// Longer than any limit of the server for a client that sends nothing more.
const PATIENCE: Duration = Duration::from_secs(20);

fn connect(daemon: &Daemon) -> UnixStream {
    let stream = UnixStream::connect(&daemon.socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes and returns everything that comes until the server closes.
fn exchange(daemon: &Daemon, request: &[u8]) -> String {
    let mut stream = connect(daemon);
    // The server may close before it has read everything.
    let _ = stream.write_all(request);
    read_to_close(&mut stream)
}

fn read_to_close(stream: &mut UnixStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("neither answered nor closed"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[track_caller]
fn assert_still_serving(daemon: &Daemon) {
    assert_eq!(daemon.wait(daemon.client().services()).unwrap().len(), 1);
}

#[test]
fn wrong_requests_are_answered_with_json() {
    let daemon = Daemon::start();
    let backend = "/v1/services/file/backends/10.0.1.1:80";
    let cases = [
        ("GET", "/", "", 404, "there is no / in this API"),
        ("GET", "/v2/services", "", 404, "there is no /v2/services"),
        ("PUT", "/v1/services", "{}", 405, "does not take PUT"),
        ("DELETE", "/v1/status", "", 405, "does not take DELETE"),
        ("POST", "/v1/services", "", 400, "EOF"),
        ("POST", "/v1/services", "{", 400, "EOF"),
        ("POST", "/v1/services", "[]", 400, "invalid"),
        ("POST", "/v1/services", r#"{"listen": [":81"]}"#, 400, "missing field `name`"),
        ("POST", "/v1/services", r#"{"name": "a", "listens": [":81"]}"#, 400, "unknown field `listens`"),
        ("POST", "/v1/services", r#"{"name": "a", "listen": ["x"]}"#, 400, "is not ADDRESS:PORT"),
        ("POST", "/v1/services", r#"{"name": "a", "listen": [":81"], "algorithm": "rr"}"#, 400, "unknown variant `rr`"),
        ("POST", "/v1/services", r#"{"name": "a", "listen": [":81"], "idle_timeout": "x"}"#, 400, "number"),
        ("POST", "/v1/services", r#"{"name": "a", "listen": [":81"], "backends": [{"address": "b"}]}"#, 400, "socket"),
        ("POST", "/v1/services", r#"{"name": "a", "listen": []}"#, 422, "no listen"),
        ("PATCH", backend, r#"{"weight": 65536}"#, 400, "65536"),
        ("PATCH", backend, r#"{"weight": 0}"#, 422, "weight 0"),
        ("PATCH", backend, r#"{"state": "gone"}"#, 400, "unknown variant `gone`"),
        ("PATCH", backend, r#"{"wait": 1}"#, 400, "unknown field `wait`"),
        ("PATCH", "/v1/services/file/backends/nowhere", "{}", 400, "nowhere"),
        ("GET", "/v1/services/%FF", "", 400, "UTF-8"),
        ("GET", "/v1/flows?state=OPEN", "", 400, "is not a TCP state"),
        ("GET", "/v1/flows?limit=-1", "", 400, "invalid digit"),
        ("GET", "/v1/flows?colour=red", "", 400, "unknown field `colour`"),
        ("GET", "/v1/services/absent", "", 404, "there is no service `absent`"),
    ];
    for (method, path, body, status, message) in cases {
        let answer = exchange(&daemon, request(method, path, body).as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path} {body}: {answer}");
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("{path}: {answer}"));
        assert!(json["error"].as_str().unwrap().contains(message), "{method} {path} {body}: {json}");
        assert!(json["kind"].is_string(), "{json}");
    }
    assert_still_serving(&daemon);
}

#[test]
fn oversized_bodies_are_refused() {
    let daemon = Daemon::start();
    let body = " ".repeat((1 << 20) + 1);
    let answer = exchange(&daemon, request("POST", "/v1/services", &body).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let chunks = "fffff\r\n".to_owned() + &" ".repeat(0xfffff) + "\r\n";
    let chunked = "POST /v1/services HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    let answer = exchange(&daemon, (chunked + &chunks + &chunks).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_still_serving(&daemon);
}

#[test]
fn what_is_not_http_is_answered_or_closed() {
    let daemon = Daemon::start();
    let long_header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    let conflict = "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned();
    let garbage = "\0\u{1}\u{16}\r\n\r\n".to_owned();
    for request in [long_header, long_path, many_headers, conflict, garbage, "\r\n\r\nHELO\r\n\r\n".into()] {
        let answer = exchange(&daemon, request.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_still_serving(&daemon);
}

#[test]
fn slow_clients_are_cut_and_do_not_lock_others_out() {
    let daemon = Daemon::start();
    let started = Instant::now();
    // As many as the server takes at a time, each stuck in its headers.
    let mut stuck: Vec<UnixStream> = (0..64).map(|_| connect(&daemon)).collect();
    for stream in &mut stuck {
        stream.write_all(b"GET /v1/status HTTP/1.1\r\n").unwrap();
    }
    assert_still_serving(&daemon);
    for stream in &mut stuck {
        let answer = read_to_close(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn body_that_does_not_come_is_answered() {
    let daemon = Daemon::start();
    let answer = exchange(&daemon, b"POST /v1/services HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_still_serving(&daemon);
}
