//! The daemon is stopped, killed, started again and replaced by another build, again and again, while a thousand
//! transfers run and connections open all the time.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Mode, ServiceConfig, Topology, forward_in_kernel, gateway,
    scenario::{BACKEND_PORT, PORT, config, numbered_servers, servers},
    traffic::{Behaviour, Churn, Heartbeat, Prober, Transfers, client, prober},
};

use crate::datapath::Pinned;

const TRANSFERS: usize = 1_000;
const NEW_PER_SECOND: u32 = 50;
/// The longest gap in forwarding, beyond the longest that the machine makes in a path without the gateway.
const LONGEST_GAP: Duration = Duration::from_millis(50);
/// How long the datapath is left alone where it is.
const ALONE: Duration = Duration::from_millis(200);

/// Where the prober's service listens, and its backend.
const PROBE: u16 = PORT + 1;
const PROBE_BACKEND: u16 = BACKEND_PORT + 1;

/// What happens to the daemon in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// Stopped, and for a while there is none.
    Stop,
    /// Killed, and for a while there is none.
    Kill,
    /// Stopped and started at once.
    Restart,
    /// Another build takes over.
    Upgrade,
}

/// Five of each, in an order of their own.
fn rounds() -> Vec<Event> {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rounds = [Event::Stop, Event::Kill, Event::Restart, Event::Upgrade].repeat(5);
    fastrand::Rng::with_seed(seed).shuffle(&mut rounds);
    rounds
}

/// The same way through a front server where the kernel translates, for the pauses that are the machine's.
struct Beside {
    lab: Lab,
    _server: gateway_tests::traffic::Server,
}

impl Beside {
    fn new() -> Self {
        let lab = Topology::two_arm(1).build();
        let to = lab.front.at(Family::V4, PROBE);
        forward_in_kernel(&lab.front, to, &lab.backends_at(Family::V4, PROBE_BACKEND));
        Self { _server: prober::server(&lab.backends[0], PROBE_BACKEND), lab }
    }

    fn probe(&self) -> Prober {
        Prober::start(&self.lab.client, self.lab.front.at(Family::V4, PROBE))
    }
}

fn transfers_outlive_twenty_changes_of_the_daemon(mode: Mode) {
    let lab = Topology::two_arm(2).build();
    let beside = Beside::new();
    let _servers = numbered_servers(&lab);
    let _probed = prober::server(&lab.backends[0], PROBE_BACKEND);
    let probed =
        ServiceConfig::new("probe", lab.front.at(Family::V4, PROBE), &[lab.backends[0].at(Family::V4, PROBE_BACKEND)]);
    let config = config(&lab, mode).service(probed);
    let builds = [gateway::program(), gateway::another_build(&lab)];
    let mut daemon = Daemon { lab: &lab, config, builds, build: 0, running: None };
    daemon.start();

    let transfers = Transfers::start(&lab.client, lab.front.at(Family::V4, PORT), TRANSFERS);
    let probers = [Prober::start(&lab.client, lab.front.at(Family::V4, PROBE)), beside.probe()];
    let newcomers = Churn::start(&lab.client, lab.front.at(Family::V6, PORT), NEW_PER_SECOND);
    let start = Instant::now();
    for (round, event) in rounds().into_iter().enumerate() {
        daemon.suffer(event);
        let tally = transfers.tally();
        assert!(tally.broken.is_empty() && tally.whole == 0, "round {round}, {event:?}: {tally:?}");
    }
    let lasted = start.elapsed();
    let newcomers = newcomers.stop();
    let [through, beside] = probers.map(|prober| prober.stop().expect("a prober's connection lives on"));
    let transfers = transfers.stop();

    println!(
        "{mode:?}: 20 rounds in {lasted:?}; {} transfers, {} bytes as they were sent; {} connections opened meanwhile; \
         longest gap of {} words {:?}, of {} words beside the gateway {:?}",
        transfers.whole,
        transfers.bytes,
        newcomers.served(),
        through.words,
        through.longest,
        beside.words,
        beside.longest
    );
    assert_eq!((transfers.whole, &transfers.broken), (TRANSFERS, &Default::default()), "{transfers:?}");
    assert_eq!(newcomers.failed(), 0, "{newcomers:?}");
    assert!(newcomers.served() > 100, "{newcomers:?}");
    let least = u64::try_from(lasted.as_millis()).unwrap() / 4;
    assert!(through.words > least, "{} words in {lasted:?} show no gaps", through.words);
    assert!(through.longest <= LONGEST_GAP + beside.longest, "a gap in forwarding: {through:?}, beside it {beside:?}");
}

struct Daemon<'lab> {
    lab: &'lab Lab,
    config: GatewayConfig,
    builds: [PathBuf; 2],
    /// Which of them runs.
    build: usize,
    running: Option<Gateway<'lab>>,
}

impl Daemon<'_> {
    fn start(&mut self) {
        let program = &self.builds[self.build];
        self.running = Some(Gateway::start_program(self.lab, program, &self.config.to_toml(), &[]));
    }

    fn suffer(&mut self, event: Event) {
        let before = Pinned::of(self.lab);
        let running = self.running.take().expect("a daemon runs between the rounds");
        match event {
            Event::Kill => running.kill(),
            _ => assert_eq!(running.stop().code, Some(0)),
        }
        if matches!(event, Event::Kill | Event::Stop) {
            self.newcomer_is_accepted();
            thread::sleep(ALONE);
        }
        if event == Event::Upgrade {
            self.build = 1 - self.build;
        }
        self.start();
        let after = Pinned::of(self.lab);
        assert_eq!(before.maps, after.maps, "{event:?}");
        assert_eq!(before.link_ids(), after.link_ids(), "{event:?}");
        if event == Event::Upgrade {
            let stayed = after
                .programs
                .values()
                .chain(&after.attached())
                .any(|id| before.programs.values().any(|before| before == id) || before.attached().contains(id));
            assert!(!stayed, "programs of the build before: {before:?} {after:?}");
        } else {
            assert_eq!(before, after, "{event:?}");
        }
        assert!(after.attached().iter().all(|id| after.programs.values().any(|own| own == id)), "{after:?}");
    }

    /// Asked for by name, because the steady load might by chance have had nothing to do while there was no daemon.
    fn newcomer_is_accepted(&self) {
        let stream = client::connect(&self.lab.client, self.lab.front.at(Family::V4, PORT)).unwrap();
        client::read_identity(&stream).unwrap();
        client::exchange(&stream, 1, 10_000).unwrap();
    }
}

#[test]
fn a_thousand_transfers_outlive_twenty_changes_of_the_daemon_with_xdp() {
    transfers_outlive_twenty_changes_of_the_daemon(Mode::XdpNative);
}

#[test]
fn a_thousand_transfers_outlive_twenty_changes_of_the_daemon_with_tc() {
    transfers_outlive_twenty_changes_of_the_daemon(Mode::Tc);
}

#[test]
fn programs_are_adopted_by_the_same_build_and_replaced_by_another() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let to_toml = config(&lab, mode).to_toml();
        let start = |program: PathBuf| Gateway::start_program(&lab, &program, &to_toml, &[]);
        let gateway = start(gateway::program());
        let connection = Heartbeat::start(&lab.client, lab.front.at(Family::V4, PORT));
        let first = Pinned::of(&lab);
        assert!(first.programs.len() == 2 && !first.maps.is_empty(), "{mode:?}: {first:?}");
        gateway.stop();
        assert_eq!(Pinned::of(&lab), first, "{mode:?}: a stop");
        let gateway = start(gateway::program());
        assert_eq!(Pinned::of(&lab), first, "{mode:?}: a start of the same build");
        connection.expect_beats(10);
        gateway.kill();
        let gateway = start(gateway::another_build(&lab));
        let other = Pinned::of(&lab);
        assert_eq!((&other.maps, other.link_ids()), (&first.maps, first.link_ids()), "{mode:?}: maps and links stay");
        assert_eq!(other.programs.len(), 2, "{mode:?}: {other:?}");
        for (path, id) in &other.programs {
            assert!(!first.programs.contains_key(path), "{mode:?}: {path:?} is pinned as before");
            assert!(first.programs.values().all(|before| before != id), "{mode:?}: {id} is a program of before");
        }
        assert!(other.attached().iter().all(|id| other.programs.values().any(|own| own == id)), "{mode:?}: {other:?}");
        connection.expect_beats(10);
        connection.stop().unwrap();
        drop(gateway);
    }
}
