//! The deadline of a drain, and draining by hand.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use gateway_tests::{
    BackendSide, Family, Mode, eventually,
    packets::Capture,
    traffic::{Server, client},
};

use super::stage::{NEW, OLD, PATIENCE, Stage};

/// Waits for the end of a connection from which nothing more comes, and says how it ended.
fn end_of(stream: &TcpStream) -> io::Result<usize> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (&mut &*stream).read(&mut [0; 16])
}

#[test]
fn deadline_resets_both_ends_at_once() {
    for (side, mode, family) in
        [(BackendSide::Segment, Mode::XdpNative, Family::V6), (BackendSide::Bridge, Mode::XdpNative, Family::V4)]
    {
        let stage = Stage::new(side, mode, family);
        let servers = OLD.map(|index| stage.serve(index));
        let gateway = stage.start();
        stage.add_service(&gateway, &[]);
        let connections: Vec<_> = (0..40)
            .map(|_| {
                let stream = client::connect(&stage.lab.client, stage.public()).unwrap();
                client::read_identity(&stream).unwrap();
                stream
            })
            .collect();
        let _new = NEW.map(|index| stage.serve(index));
        stage.begin(&["--no-rollback-on-errors", "--drain-timeout", "500ms"]).wait(PATIENCE).success();
        for stream in &connections {
            let error = end_of(stream).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{side:?}: {error}");
        }
        eventually(PATIENCE, || {
            let resets: usize = servers.iter().map(Server::resets_seen).sum();
            if resets == 40 { Ok(()) } else { Err(resets) }
        });
        stage.wait_for_backends(&gateway, NEW);
    }
}

#[test]
fn drain_by_hand_signals_cuts_and_keeps_the_backend_for_later() {
    let stage = Stage::remote();
    let _servers = OLD.map(|index| stage.serve(index));
    let gateway = stage.start();
    stage.add_service(&gateway, &["--algorithm", "source", "--health-interval", "200ms"]);
    let stream = client::connect(&stage.lab.client, stage.public()).unwrap();
    let holder: usize = client::read_identity(&stream).unwrap().parse().unwrap();
    let other = OLD[1 - holder];
    let address = stage.address(holder).to_string();

    gateway.cli(&["backend", "drain", "web", &address]).success();
    stage.assert_served_by([other, other]);
    client::exchange(&stream, 1, 10_000).unwrap();
    let output = gateway.cli(&["backend", "drain", "web", &address, "--now"]).success();
    assert!(output.stdout.contains("has drained"), "{output:?}");
    assert_eq!(end_of(&stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(stage.signals()[holder], 1, "one signal for both orders");
    let listed = gateway.json(&["backend", "list", "web"]);
    let drained = listed.as_array().unwrap().iter().find(|it| it["address"] == *address).unwrap();
    assert_eq!((&drained["state"], &drained["drain"]["ended"]), (&"draining".into(), &true.into()));

    gateway.cli(&["backend", "set", "web", &address, "--active"]).success();
    eventually(PATIENCE, || if stage.answers() == holder { Ok(()) } else { Err("it gets no connections") });
    gateway.cli(&["backend", "drain", "web", &address, "--remove", "--wait", "--no-signal"]).success();
    assert_eq!(gateway.json(&["backend", "list", "web"]).as_array().unwrap().len(), 1);
    assert_eq!(stage.signals()[holder], 1);
}

#[test]
fn drop_at_the_deadline_tells_nobody() {
    let stage = Stage::remote();
    let _servers = OLD.map(|index| stage.serve(index));
    let gateway = stage.start();
    stage.add_service(&gateway, &["--on-deadline", "drop", "--algorithm", "source"]);
    let stream = client::connect(&stage.lab.client, stage.public()).unwrap();
    let holder: usize = client::read_identity(&stream).unwrap().parse().unwrap();
    let capture = Capture::start(&stage.lab.client, "eth0");
    let address = stage.address(holder).to_string();
    gateway.cli(&["backend", "drain", "web", &address, "--now"]).success();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    (&stream).write_all(b"anybody there?").unwrap();
    let silence = (&stream).read(&mut [0; 16]).unwrap_err();
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
    let resets = capture.finish().segments().filter(|segment| segment.tcp.rst).count();
    assert_eq!(resets, 0);
}
