//! How a deployment can go.

use gateway_tests::{
    BackendSide, Family, Mode, eventually,
    traffic::{Failure, Heartbeat, client},
};
use nix::sys::signal::Signal;

use super::stage::{NEW, OLD, PATIENCE, Stage};

#[test]
fn new_connections_move_open_ones_stay_and_the_old_processes_are_told_to_end() {
    for (side, mode, family) in [
        (BackendSide::Segment, Mode::XdpNative, Family::V4),
        (BackendSide::Segment, Mode::Tc, Family::V6),
        (BackendSide::Bridge, Mode::XdpNative, Family::V6),
    ] {
        let stage = Stage::new(side, mode, family);
        let _servers: Vec<_> = [OLD, NEW].concat().into_iter().map(|index| stage.serve(index)).collect();
        let gateway = stage.start();
        stage.add_service(&gateway, &["--health-interval", "200ms"]);
        stage.assert_served_by(OLD);
        let stream = client::connect(&stage.lab.client, stage.public()).unwrap();
        client::read_identity(&stream).unwrap();
        let connection = Heartbeat::on(stream);

        let mut deployment = stage.begin(&["--wait", "all", "--rollback-on-errors", "300ms"]);
        deployment.wait_for_line("new connections to web go to the new backends", PATIENCE);
        stage.assert_served_by(NEW);
        eventually(PATIENCE, || if stage.signals() == [1, 1, 0, 0] { Ok(()) } else { Err(stage.signals()) });
        connection.expect_beats(30);
        assert!(deployment.exit_status().is_none(), "{side:?}: ended while a connection is open");
        connection.stop().unwrap_or_else(|failure| panic!("{side:?}: {failure}"));
        let output = deployment.wait(PATIENCE).success();
        for index in OLD {
            assert!(output.stdout.contains(&format!("{} is gone", stage.address(index))), "{output:?}");
        }
        stage.wait_for_backends(&gateway, NEW);
        assert_eq!(stage.signals(), [1, 1, 0, 0]);
    }
}

#[test]
fn first_answer_is_enough_and_the_rest_join_later() {
    let stage = Stage::remote();
    let _old = OLD.map(|index| stage.serve(index));
    let gateway = stage.start();
    stage.add_service(&gateway, &["--health-interval", "200ms"]);
    let _first = stage.serve(NEW[0]);
    stage.begin(&["--detach", "--no-rollback-on-errors"]).wait(PATIENCE).success();
    stage.assert_served_by([NEW[0], NEW[0]]);
    let _second = stage.serve(NEW[1]);
    eventually(PATIENCE, || if stage.answers() == NEW[1] { Ok(()) } else { Err("the second one has not joined") });
    stage.wait_for_backends(&gateway, NEW);
}

#[test]
fn nothing_happens_to_the_old_ones_when_no_new_one_answers() {
    let stage = Stage::remote();
    let _old = OLD.map(|index| stage.serve(index));
    let gateway = stage.start();
    stage.add_service(&gateway, &["--health-interval", "200ms"]);
    let output = stage.begin(&["--timeout", "600ms"]).wait(PATIENCE);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("nothing was switched, nobody was signalled"), "{output:?}");
    for index in NEW {
        let reason = format!("{}: connection refused", stage.address(index));
        assert!(output.stdout.to_lowercase().contains(&reason), "{output:?}");
    }
    stage.assert_served_by(OLD);
    stage.wait_for_backends(&gateway, OLD);
    assert_eq!(stage.signals(), [0; 4]);
}

#[test]
fn interrupt_before_the_switch_undoes_and_after_it_lets_go() {
    let stage = Stage::remote();
    let _old = OLD.map(|index| stage.serve(index));
    let gateway = stage.start();
    stage.add_service(&gateway, &["--health-interval", "200ms"]);
    let mut early = stage.begin(&[]);
    stage.wait_for_phase(&gateway, "starting");
    early.signal(Signal::SIGINT);
    let output = early.wait(PATIENCE);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("cancelled"), "{output:?}");
    stage.wait_for_backends(&gateway, OLD);

    let _new = NEW.map(|index| stage.serve(index));
    let mut late = stage.begin(&["--rollback-on-errors", "1s"]);
    late.wait_for_line("new connections", PATIENCE);
    late.signal(Signal::SIGINT);
    let output = late.wait(PATIENCE).success();
    assert!(output.stdout.contains("carries the deployment through"), "{output:?}");
    stage.wait_for_backends(&gateway, NEW);
    assert_eq!(stage.signals(), [1, 1, 0, 0]);
}

#[test]
fn deployment_ends_where_an_old_backend_is_drained_by_hand() {
    let stage = Stage::remote();
    let _servers: Vec<_> = [OLD, NEW].concat().into_iter().map(|index| stage.serve(index)).collect();
    let gateway = stage.start();
    stage.add_service(&gateway, &["--health-interval", "200ms"]);
    let held = OLD.map(|_| client::connect(&stage.lab.client, stage.public()).unwrap());
    held.iter().for_each(|stream| drop(client::read_identity(stream).unwrap()));
    let mut deployment = stage.begin(&["--wait", "all", "--rollback-on-errors", "300ms"]);
    deployment.wait_for_line("new connections to web go to the new backends", PATIENCE);
    for index in OLD {
        let address = stage.address(index).to_string();
        gateway.cli(&["backend", "drain", "web", &address, "--now"]);
    }
    deployment.wait(PATIENCE).success();
}

#[test]
fn second_deployment_is_refused_while_the_first_can_be_undone() {
    let stage = Stage::remote();
    let _old = OLD.map(|index| stage.serve(index));
    let gateway = stage.start();
    stage.add_service(&gateway, &[]);
    let mut first = stage.begin(&[]);
    stage.wait_for_phase(&gateway, "starting");
    let second = stage.begin(&[]).wait(PATIENCE);
    assert_eq!(second.code, Some(5), "{second:?}");
    assert!(second.stderr.contains("under way"), "{second:?}");
    let _new = NEW.map(|index| stage.serve(index));
    first.wait_for_line("new connections", PATIENCE);
    first.signal(Signal::SIGINT);
    first.wait(PATIENCE).success();
}

#[test]
fn new_backends_that_refuse_connections_are_rolled_back() {
    let stage = Stage::remote();
    let _old = OLD.map(|index| stage.serve(index));
    let gateway = stage.start();
    // Probes so rare that only what connections meet tells how the new backends are.
    stage.add_service(&gateway, &["--health-interval", "1h", "--health-timeout", "1s"]);
    let new = NEW.map(|index| stage.serve(index));
    let mut deployment = stage.begin(&["--wait", "all", "--rollback-on-errors", "30s"]);
    deployment.wait_for_line("new connections", PATIENCE);
    drop(new);
    for _ in 0..5 {
        let refused = client::connect(&stage.lab.client, stage.public());
        assert!(matches!(refused, Err(Failure::Refused)) || stage.phase(&gateway) == "rolled-back", "{refused:?}");
    }
    let output = deployment.wait(PATIENCE);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("rolled back"), "{output:?}");
    stage.assert_served_by(OLD);
    stage.wait_for_backends(&gateway, OLD);
    assert_eq!(stage.signals(), [0; 4]);
}
