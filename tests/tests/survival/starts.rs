//! Starts that are killed before they are done: what forwards goes on, and the next start completes them.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use gateway_tests::{
    Family, Gateway, Lab, Mode, Process, Topology,
    gateway::{self, cli},
    scenario::{PORT, config, servers},
    traffic::{Behaviour, Heartbeat, client},
};
use nix::sys::signal::Signal;

use crate::datapath::{Pinned, pins};

/// Over a running datapath, in both modes together, and of a first start.
const KILLS: usize = 20;
const FIRST_KILLS: usize = 8;
const BEATS: usize = 10;

/// Starts a daemon and kills it at a random moment; it would be ready after about `whole`.
fn killed_start(lab: &Lab, program: &Path, config: &str, whole: Duration, random: &mut fastrand::Rng) {
    let mut process = Process::start(&mut gateway::run(lab, program, config));
    // Beside other programs a start takes longer now and then.
    thread::sleep(whole.mul_f64(1.5 * random.f64()));
    process.signal(Signal::SIGKILL);
    process.wait(Duration::from_secs(10));
}

fn random() -> fastrand::Rng {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    fastrand::Rng::with_seed(seed)
}

#[test]
fn a_start_over_a_running_datapath_may_be_killed_at_any_moment() {
    for mode in Mode::ALL {
        let mut random = random();
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let to_toml = config(&lab, mode).to_toml();
        let builds = [gateway::program(), gateway::another_build(&lab)];
        Gateway::start_program(&lab, &builds[0], &to_toml, &[]).kill();
        let first = Pinned::of(&lab);
        let start = Instant::now();
        Gateway::start_program(&lab, &builds[1], &to_toml, &[]).kill();
        let whole = start.elapsed();
        let to = lab.front.at(Family::V4, PORT);
        let connection = Heartbeat::start(&lab.client, to);
        let mut replaced = 0;
        for kill in 0..KILLS / 2 {
            let before = Pinned::of(&lab);
            killed_start(&lab, &builds[kill % 2], &to_toml, whole, &mut random);
            connection.expect_beats(BEATS);
            client::exchange(&client::connect(&lab.client, to).unwrap(), 1, 1_000).unwrap();
            let after = Pinned::of(&lab);
            assert_eq!((&after.maps, after.link_ids()), (&first.maps, first.link_ids()), "{mode:?}, kill {kill}");
            replaced += usize::from(before.attached() != after.attached());
        }
        println!("{mode:?}: of {} killed starts, each within {whole:?}, {replaced} had replaced programs", KILLS / 2);
        let gateway = Gateway::start_program(&lab, &builds[0], &to_toml, &[]);
        let last = Pinned::of(&lab);
        assert_eq!(last.programs.len(), 2, "no other build's programs stay: {last:?}");
        assert!(last.attached().iter().all(|id| last.programs.values().any(|own| own == id)), "{last:?}");
        connection.expect_beats(BEATS);
        connection.stop().unwrap();
        drop(gateway);
    }
}

#[test]
fn a_first_start_may_be_killed_at_any_moment() {
    let mut random = random();
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let to_toml = config(&lab, Mode::XdpNative).to_toml();
    let to = lab.front.at(Family::V4, PORT);
    let start = Instant::now();
    Gateway::start_with(&lab, &to_toml, &[]).stop();
    let whole = start.elapsed();
    let mut unfinished = 0;
    for kill in 0..FIRST_KILLS {
        cli(&lab, &["detach"]).success();
        killed_start(&lab, &gateway::program(), &to_toml, whole, &mut random);
        let left = pins(&lab).len();
        let gateway = Gateway::start_with(&lab, &to_toml, &[]);
        let whole = Pinned::of(&lab);
        unfinished += usize::from(left > 0 && left < whole.maps.len() + whole.programs.len() + whole.links.len());
        let stream = client::connect(&lab.client, to).unwrap_or_else(|e| panic!("kill {kill}: {e}"));
        client::exchange(&stream, 1, 1_000).unwrap();
        gateway.kill();
    }
    println!("{unfinished} of {FIRST_KILLS} killed starts had pinned a part");
    cli(&lab, &["detach"]).success();
    assert_eq!(pins(&lab), Vec::<std::path::PathBuf>::new());
}
