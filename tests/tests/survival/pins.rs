//! Pins that are not this gateway's datapath, and such as are stale: recognised and told with the way out. Until it is
//! taken, what runs goes on unharmed.

use std::{fs, path::PathBuf, time::Duration};

use gateway_tests::{
    BackendSide, Family, Gateway, Lab, Mode, Process, Topology,
    gateway::{self, cli},
    link,
    scenario::{PORT, config, servers},
    traffic::{Behaviour, Heartbeat, Server, client},
};

use crate::datapath::{Pinned, pins};

const BEATS: usize = 20;
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A datapath whose daemon has stopped.
struct Stage {
    config: String,
    connection: Heartbeat,
    running: Pinned,
    _servers: Vec<Server>,
    lab: Lab,
}

impl Stage {
    fn new() -> Self {
        let lab = Topology::two_arm(1).build();
        let servers = servers(&lab, &Behaviour::Echo);
        let config = config(&lab, Mode::XdpNative).to_toml();
        let gateway = Gateway::start_with(&lab, &config, &[]);
        let connection = Heartbeat::start(&lab.client, lab.front.at(Family::V4, PORT));
        connection.expect_beats(BEATS);
        gateway.stop();
        Self { config, connection, running: Pinned::of(&lab), _servers: servers, lab }
    }

    fn root(&self) -> PathBuf {
        self.lab.id().pin_directory()
    }

    /// Where a pin can be kept meanwhile.
    fn beside(&self) -> PathBuf {
        let root = self.root();
        root.with_file_name(format!("{}-aside", root.file_name().unwrap().to_string_lossy()))
    }

    /// The folder of the version.
    fn folder(&self) -> PathBuf {
        let mut versions = fs::read_dir(self.root()).unwrap().flatten();
        versions.next().expect("something is pinned").path()
    }

    fn bpftool(&self, arguments: &[&str]) {
        self.lab.front.output("bpftool", arguments).success();
    }

    /// A start fails with these words and changes nothing.
    #[track_caller]
    fn start_is_refused(&self, words: &[&str]) {
        let before = pins(&self.lab);
        let output =
            Process::start(&mut gateway::run(&self.lab, &gateway::program(), &self.config)).wait(START_TIMEOUT);
        assert_eq!(output.code, Some(1), "{output:?}");
        for word in words {
            assert!(output.stderr.contains(word), "no {word:?} in {}", output.stderr);
        }
        assert_eq!(pins(&self.lab), before);
        self.connection.expect_beats(BEATS);
        client::connect(&self.lab.client, self.lab.front.at(Family::V4, PORT)).unwrap();
    }

    /// With the pins as they were the next daemon takes over what runs.
    #[track_caller]
    fn start_succeeds(self) {
        let gateway = Gateway::start_with(&self.lab, &self.config, &[]);
        assert_eq!(Pinned::of(&self.lab), self.running);
        self.connection.expect_beats(BEATS);
        self.connection.stop().unwrap();
        drop(gateway);
    }

    /// `gateway detach` takes everything off, and the next daemon starts afresh.
    #[track_caller]
    fn detach_is_the_way_out(&self) {
        cli(&self.lab, &["detach"]).success();
        assert_eq!(pins(&self.lab), Vec::<PathBuf>::new());
        assert!(!self.root().exists());
        let attached = self.lab.front.output("bpftool", &["net", "list"]).success().stdout;
        assert!(!attached.contains("gateway"), "{attached}");
        let _gateway = Gateway::start_with(&self.lab, &self.config, &[]);
        client::connect(&self.lab.client, self.lab.front.at(Family::V4, PORT)).unwrap();
    }
}

#[test]
fn a_datapath_of_another_version_runs_on_until_it_is_detached() {
    let stage = Stage::new();
    fs::rename(stage.folder(), stage.root().join("v1")).unwrap();
    stage.start_is_refused(&["another version of the gateway", "attached to eth0, eth1", "`gateway detach`"]);
    stage.detach_is_the_way_out();
}

#[test]
fn a_datapath_of_another_version_can_be_taken_up_again() {
    let stage = Stage::new();
    let (own, other) = (stage.folder(), stage.root().join("v1"));
    fs::rename(&own, &other).unwrap();
    stage.start_is_refused(&["another version of the gateway"]);
    fs::rename(other, own).unwrap();
    stage.start_succeeds();
}

#[test]
fn a_map_of_another_layout_is_refused() {
    let stage = Stage::new();
    let map = stage.folder().join("maps/SNAT");
    fs::remove_file(&map).unwrap();
    let path = map.to_string_lossy();
    stage.bpftool(&["map", "create", &path, "type", "array", "key", "4", "value", "4", "entries", "7", "name", "SNAT"]);
    stage.start_is_refused(&["runs over other maps", "`gateway detach`"]);
    stage.detach_is_the_way_out();
}

#[test]
fn a_map_of_another_layout_is_refused_where_nothing_runs() {
    let stage = Stage::new();
    let (maps, own) = (stage.folder().join("maps"), stage.folder());
    cli(&stage.lab, &["detach"]).success();
    fs::create_dir_all(&maps).unwrap();
    let path = maps.join("SNAT").to_string_lossy().into_owned();
    stage.bpftool(&["map", "create", &path, "type", "array", "key", "4", "value", "4", "entries", "7", "name", "SNAT"]);
    let output = Process::start(&mut gateway::run(&stage.lab, &gateway::program(), &stage.config)).wait(START_TIMEOUT);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("SNAT has another layout"), "{output:?}");
    let attached: Vec<_> = pins(&stage.lab).into_iter().filter(|pin| !pin.starts_with(own.join("maps"))).collect();
    assert_eq!(attached, Vec::<PathBuf>::new());
    stage.detach_is_the_way_out();
}

#[test]
fn a_map_that_is_gone_is_not_made_anew_under_a_running_datapath() {
    let stage = Stage::new();
    fs::remove_file(stage.folder().join("maps/FLOWS")).unwrap();
    stage.start_is_refused(&["maps/FLOWS is gone", "`gateway detach`"]);
    stage.detach_is_the_way_out();
}

#[test]
fn a_link_with_a_foreign_program_is_refused() {
    let stage = Stage::new();
    fs::remove_dir_all(stage.folder().join("programs")).unwrap();
    stage.start_is_refused(&["eth0 does not run a program of the gateway's that is pinned", "`gateway detach`"]);
    stage.detach_is_the_way_out();
}

#[test]
fn a_thing_of_another_kind_at_a_pins_place_is_refused() {
    let stage = Stage::new();
    let folder = stage.folder();
    let aside = folder.join("aside");
    // Each changes one pin, and says what the refusal says.
    let settings = folder.join("maps/SETTINGS");
    fs::rename(&settings, &aside).unwrap();
    fs::create_dir(&settings).unwrap();
    fs::rename(&aside, stage.root().join("aside")).unwrap();
    stage.start_is_refused(&["aside is not the gateway's", "move it away"]);
    let elsewhere = stage.beside();
    fs::rename(stage.root().join("aside"), &elsewhere).unwrap();
    stage.start_is_refused(&["maps/SETTINGS is a file or a folder, where the gateway pins a map", "`gateway detach`"]);
    fs::remove_dir(&settings).unwrap();
    let program = stage.running.programs.keys().next().unwrap().to_string_lossy().into_owned();
    stage.bpftool(&["prog", "pin", "pinned", &program, &settings.to_string_lossy()]);
    stage.start_is_refused(&["maps/SETTINGS is a program, where the gateway pins a map"]);
    fs::remove_file(&settings).unwrap();
    fs::rename(elsewhere, &settings).unwrap();
    let link = folder.join("xdp-native/eth0");
    let elsewhere = stage.beside();
    fs::rename(&link, &elsewhere).unwrap();
    stage.bpftool(&["prog", "pin", "pinned", &program, &link.to_string_lossy()]);
    stage.start_is_refused(&["xdp-native/eth0 is a program, where the gateway pins a link"]);
    fs::remove_file(&link).unwrap();
    fs::rename(elsewhere, &link).unwrap();
    stage.start_succeeds();
}

#[test]
fn a_thing_of_another_kind_at_a_links_place_is_detached_with_the_rest() {
    let stage = Stage::new();
    let program = stage.running.programs.keys().next().unwrap().to_string_lossy().into_owned();
    let link = stage.folder().join("xdp-native/eth0");
    fs::remove_file(&link).unwrap();
    stage.bpftool(&["prog", "pin", "pinned", &program, &link.to_string_lossy()]);
    stage.detach_is_the_way_out();
}

#[test]
fn names_that_no_pin_has_are_told_and_left_alone() {
    let stage = Stage::new();
    let create = |path: PathBuf| {
        let path = path.to_string_lossy().into_owned();
        stage
            .bpftool(&["map", "create", &path, "type", "array", "key", "4", "value", "4", "entries", "1", "name", "x"]);
    };
    for place in [stage.root().join("theirs"), stage.folder().join("theirs"), stage.folder().join("maps/theirs")] {
        create(place.clone());
        stage.start_is_refused(&[&format!("{} is not the gateway's", place.display()), "move it away"]);
        fs::remove_file(place).unwrap();
    }
    let theirs = stage.root().join("theirs");
    create(theirs.clone());
    let detached = cli(&stage.lab, &["detach"]).success();
    assert!(detached.stderr.contains("theirs is not the gateway's and was left alone"), "{detached:?}");
    assert_eq!(pins(&stage.lab), [theirs]);
}

#[test]
fn an_interface_that_was_made_anew_gets_its_programs_again() {
    for mode in Mode::ALL {
        let lab = Topology::new(BackendSide::Wire, 1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let config = config(&lab, mode);
        Gateway::start(&lab, &config).kill();
        let before = Pinned::of(&lab);
        lab.front.ip(&["link del eth1"]);
        link::connect((&lab.front, "eth1"), (&lab.backends[0], "eth0"));
        link::assign(&lab.front, "eth1", "10.0.0.1/24", "fd00::1/64");
        let backend = &lab.backends[0];
        link::assign(backend, "eth0", &format!("{}/24", backend.v4), &format!("{}/64", backend.v6));
        link::default_route(backend, "10.0.0.1", "fd00::1");
        let gateway = Gateway::start(&lab, &config);
        let after = Pinned::of(&lab);
        assert_eq!((&before.maps, &before.programs), (&after.maps, &after.programs), "{mode:?}");
        for (path, link) in &after.links {
            let renewed = path.ends_with("eth1");
            assert_eq!(before.links[path] != *link, renewed, "{mode:?}: {} {before:?} {after:?}", path.display());
        }
        for family in Family::ALL {
            let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
            client::exchange(&stream, 1, 10_000).unwrap();
        }
        drop(gateway);
    }
}
