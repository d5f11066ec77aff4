//! A full disk, a read-only state folder, a damaged store: the gateway says what is wrong and what to do, and packets
//! know nothing of it.

use std::{fs, path::PathBuf, time::Duration};

use gateway_tests::{
    Disk, Family, Gateway, Lab, Mode, Output, Process, Topology, gateway,
    scenario::{BACKEND_PORT, PORT, config, servers},
    traffic::{Behaviour, Failure, Heartbeat, Server, client},
};

use crate::datapath::Pinned;

const BEATS: usize = 20;
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Services at the command line's disposal.
const OWN_PORT: u16 = PORT + 100;

/// A front server whose state folder is a disk of its own.
struct Stage {
    // Unmounted before the lab's folder is removed.
    disk: Disk,
    config: String,
    _servers: Vec<Server>,
    lab: Lab,
}

impl Stage {
    fn new() -> Self {
        let lab = Topology::two_arm(1).build();
        let disk = Disk::mount(lab.directory().join("state"));
        Self { disk, config: config(&lab, Mode::XdpNative).to_toml(), _servers: servers(&lab, &Behaviour::Echo), lab }
    }

    fn start(&self) -> Gateway<'_> {
        Gateway::start_with(&self.lab, &self.config, &[])
    }

    /// A connection through a service of the file.
    fn connection(&self) -> Heartbeat {
        Heartbeat::start(&self.lab.client, self.lab.front.at(Family::V4, PORT))
    }

    fn add(&self, gateway: &Gateway, number: u16) -> Output {
        let (name, listen) = (format!("own{number}"), self.lab.front.at(Family::V4, OWN_PORT + number).to_string());
        let backend = format!("--backend={}", self.lab.backends[0].at(Family::V4, BACKEND_PORT));
        gateway.cli(&["service", "add", &name, "--listen", &listen, &backend, "--health", "none"])
    }

    /// Whether a service that was added takes connections.
    fn serves(&self, number: u16) -> Result<(), Failure> {
        let stream = client::connect(&self.lab.client, self.lab.front.at(Family::V4, OWN_PORT + number))?;
        client::exchange(&stream, 1, 1_000)
    }

    fn store(&self) -> PathBuf {
        self.disk.path().join("state.redb")
    }

    /// A start that has to fail, with these words among its last; the datapath and `connection` know nothing of it.
    #[track_caller]
    fn start_is_refused(&self, connection: &Heartbeat, words: &[&str]) {
        let before = Pinned::of(&self.lab);
        let mut run = Process::start(&mut gateway::run(&self.lab, &gateway::program(), &self.config));
        let output = run.wait(START_TIMEOUT);
        assert_eq!(output.code, Some(1), "{output:?}");
        for word in words {
            assert!(output.stderr.contains(word), "no {word:?} in {}", output.stderr);
        }
        assert_eq!(Pinned::of(&self.lab), before);
        connection.expect_beats(BEATS);
        client::connect(&self.lab.client, self.lab.front.at(Family::V4, PORT)).unwrap();
    }
}

fn names(gateway: &Gateway) -> Vec<String> {
    let listed = gateway.json(&["service", "list"]);
    let services = listed.as_array().expect("a list");
    services.iter().map(|service| service["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_full_disk_refuses_changes_until_there_is_room() {
    const MANY: u16 = 100;
    let stage = Stage::new();
    let gateway = stage.start();
    let connection = stage.connection();
    stage.add(&gateway, 0).success();
    stage.disk.fill();
    // Changes go on to succeed as long as the store has room within itself.
    let refused = (1..MANY).find_map(|number| {
        let output = stage.add(&gateway, number);
        (output.code != Some(0)).then_some((number, output))
    });
    let (number, output) = refused.expect("a full disk refuses some change");
    println!("change {number} is refused: {}", output.stderr);
    assert_eq!(output.code, Some(1), "{output:?}");
    for word in ["nothing is changed", "state.redb", "make room on its disk", "No space left on device"] {
        assert!(output.stderr.contains(word), "no {word:?} in {output:?}");
    }
    let own = |count: u16| (0..count).map(|number| format!("own{number}"));
    let expected = |count: u16| -> Vec<String> {
        let mut names: Vec<_> = own(count).chain(["v4", "v6"].map(str::to_owned)).collect();
        names.sort();
        names
    };
    // In memory and in the kernel all is as before, and so it is after the next attempt.
    for _ in 0..2 {
        assert_eq!(names(&gateway), expected(number));
        assert_eq!(stage.serves(number), Err(Failure::Refused));
        stage.serves(number - 1).unwrap();
        connection.expect_beats(BEATS);
        assert_eq!(stage.add(&gateway, number).code, Some(1));
    }
    stage.disk.make_room();
    stage.add(&gateway, number).success();
    stage.serves(number).unwrap();
    gateway.kill();
    let gateway = stage.start();
    assert_eq!(names(&gateway), expected(number + 1), "what was answered is on disk, and nothing else");
    stage.serves(number).unwrap();
    connection.expect_beats(BEATS);
    connection.stop().unwrap();
}

#[test]
fn a_start_on_a_full_disk_is_refused_and_packets_go_on() {
    let stage = Stage::new();
    let gateway = stage.start();
    let connection = stage.connection();
    gateway.kill();
    fs::remove_file(stage.store()).unwrap();
    stage.disk.fill();
    stage.start_is_refused(&connection, &["No space left on device", "make room on its disk", "state.redb"]);
    stage.disk.make_room();
    let gateway = stage.start();
    assert_eq!(names(&gateway), ["v4", "v6"]);
    connection.expect_beats(BEATS);
    connection.stop().unwrap();
}

#[test]
fn a_start_on_a_read_only_disk_is_refused_and_packets_go_on() {
    let stage = Stage::new();
    let gateway = stage.start();
    let connection = stage.connection();
    stage.add(&gateway, 0).success();
    gateway.stop();
    stage.disk.set_read_only(true);
    stage.start_is_refused(&connection, &["Read-only file system", "mount its disk for writing", "state.redb"]);
    stage.serves(0).unwrap();
    stage.disk.set_read_only(false);
    let gateway = stage.start();
    assert_eq!(names(&gateway), ["own0", "v4", "v6"]);
    connection.expect_beats(BEATS);
    connection.stop().unwrap();
}

/// As `docs/recovery.md` says.
#[test]
fn a_damaged_store_is_refused_until_it_is_restored_or_moved_away() {
    let stage = Stage::new();
    let gateway = stage.start();
    let connection = stage.connection();
    stage.add(&gateway, 0).success();
    gateway.stop();
    let whole = fs::read(stage.store()).unwrap();
    let mut damaged = whole.clone();
    let in_use = damaged.iter().rposition(|byte| *byte != 0).expect("it holds a service");
    for damage in [&b"not a store"[..], &whole[..in_use / 2], {
        damaged[in_use / 4..in_use].fill(0xa5);
        &damaged
    }] {
        fs::write(stage.store(), damage).unwrap();
        for _ in 0..2 {
            stage.start_is_refused(&connection, &["state.redb", "restore it from a copy", "move it away"]);
            assert!(fs::read(stage.store()).unwrap() == damage, "a store that is refused is left as it is");
        }
        stage.serves(0).unwrap();
    }
    fs::write(stage.store(), &whole).unwrap();
    let gateway = stage.start();
    assert_eq!(names(&gateway), ["own0", "v4", "v6"]);
    gateway.kill();
    fs::rename(stage.store(), stage.disk.path().join("damaged.redb")).unwrap();
    let gateway = stage.start();
    assert_eq!(names(&gateway), ["v4", "v6"]);
    stage.add(&gateway, 0).success();
    stage.serves(0).unwrap();
    connection.expect_beats(BEATS);
    connection.stop().unwrap();
}
