//! The daemon is killed in each phase, and at moments that nobody chose, and started again.

use std::time::Duration;

use gateway_tests::{
    eventually,
    traffic::{Heartbeat, client},
};

use super::stage::{NEW, OLD, PATIENCE, Stage};

const OFTEN: [&str; 2] = ["--health-interval", "200ms"];

/// A connection to one of the old backends that is in use.
#[track_caller]
fn connection(stage: &Stage) -> Heartbeat {
    let stream = client::connect(&stage.lab.client, stage.public()).unwrap();
    client::read_identity(&stream).unwrap();
    Heartbeat::on(stream)
}

#[test]
fn killed_before_the_switch_it_goes_on() {
    let stage = Stage::remote();
    let _old = OLD.map(|index| stage.serve(index));
    let gateway = stage.start();
    stage.add_service(&gateway, &OFTEN);
    let connection = connection(&stage);
    let mut deployment = stage.begin(&["--no-rollback-on-errors"]);
    stage.wait_for_phase(&gateway, "starting");
    gateway.kill();
    let gateway = stage.start();
    assert_eq!(stage.phase(&gateway), "starting");
    stage.assert_served_by(OLD);
    connection.expect_beats(30);
    connection.stop().unwrap();
    let _new = NEW.map(|index| stage.serve(index));
    deployment.wait(PATIENCE).success();
    stage.wait_for_backends(&gateway, NEW);
    assert_eq!(stage.signals(), [1, 1, 0, 0]);
}

#[test]
fn killed_before_the_switch_and_away_too_long_it_leaves_the_old_ones() {
    let stage = Stage::remote();
    let _old = OLD.map(|index| stage.serve(index));
    let gateway = stage.start();
    stage.add_service(&gateway, &OFTEN);
    let mut deployment = stage.begin(&["--timeout", "1s"]);
    stage.wait_for_phase(&gateway, "starting");
    gateway.kill();
    stage.assert_served_by(OLD);
    let gateway = stage.start();
    assert_eq!(deployment.wait(PATIENCE).code, Some(1));
    stage.wait_for_backends(&gateway, OLD);
    assert_eq!(stage.signals(), [0; 4]);
}

#[test]
fn killed_while_the_switch_can_be_undone_it_confirms_or_undoes_it() {
    for new_ones_live in [true, false] {
        let stage = Stage::remote();
        let _old = OLD.map(|index| stage.serve(index));
        let new = NEW.map(|index| stage.serve(index));
        let gateway = stage.start();
        stage.add_service(&gateway, &OFTEN);
        let mut deployment = stage.begin(&["--wait", "all", "--rollback-on-errors", "4s"]);
        deployment.wait_for_line("new connections", PATIENCE);
        gateway.kill();
        stage.assert_served_by(NEW);
        let new = new_ones_live.then_some(new);
        let gateway = stage.start();
        let code = deployment.wait(PATIENCE).code;
        if new.is_some() {
            assert_eq!(code, Some(0));
            stage.wait_for_backends(&gateway, NEW);
            assert_eq!(stage.signals(), [1, 1, 0, 0]);
        } else {
            assert_eq!(code, Some(1));
            stage.wait_for_backends(&gateway, OLD);
            assert_eq!(stage.signals(), [0; 4]);
            stage.assert_served_by(OLD);
        }
    }
}

#[test]
fn killed_during_the_drain_it_keeps_the_deadline() {
    let stage = Stage::remote();
    let _servers: Vec<_> = [OLD, NEW].concat().into_iter().map(|index| stage.serve(index)).collect();
    let gateway = stage.start();
    stage.add_service(&gateway, &OFTEN);
    let connection = connection(&stage);
    let mut deployment = stage.begin(&["--no-rollback-on-errors", "--drain-timeout", "4s"]);
    eventually(PATIENCE, || if stage.signals() == [1, 1, 0, 0] { Ok(()) } else { Err(stage.signals()) });
    gateway.kill();
    connection.expect_beats(30);
    stage.assert_served_by(NEW);
    let gateway = stage.start();
    connection.expect_beats(30);
    deployment.wait(PATIENCE).success();
    stage.wait_for_backends(&gateway, NEW);
    connection.stop().expect_err("cut at the deadline");
}

/// Kills come at moments spread over the whole of a deployment. A step that had not been written down is taken again,
/// so a process may be told to end twice, but never for nothing.
#[test]
fn killed_at_any_moment_it_ends_as_if_it_had_not_been() {
    const ROUNDS: u64 = 12;
    let stage = Stage::remote();
    let _servers: Vec<_> = [OLD, NEW].concat().into_iter().map(|index| stage.serve(index)).collect();
    for round in 0..ROUNDS {
        let gateway = stage.start();
        stage.add_service(&gateway, &OFTEN);
        let before = stage.signals();
        let deployment = stage.begin(&["--wait", "all", "--rollback-on-errors", "100ms"]);
        std::thread::sleep(Duration::from_millis(25 * round));
        gateway.kill();
        let gateway = stage.start();
        if stage.phase(&gateway).is_empty() {
            // Killed before the deployment began: its command has nothing to wait for.
            drop(deployment);
            stage.wait_for_backends(&gateway, OLD);
            assert_eq!(stage.signals(), before);
        } else {
            stage.wait_for_backends(&gateway, NEW);
            stage.assert_served_by(NEW);
            let signals = stage.signals();
            assert!(OLD.iter().all(|old| (1..=2).contains(&(signals[*old] - before[*old]))), "{before:?} {signals:?}");
            assert_eq!(signals[2..], before[2..]);
        }
        gateway.cli(&["service", "remove", "web"]).success();
    }
}
