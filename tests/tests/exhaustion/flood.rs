//! A flood of SYNs at a service, from addresses all over the Internet, as fast as one thread can make them.

use std::{
    collections::BTreeMap,
    env, fs, thread,
    time::{Duration, Instant},
};

use gateway_tests::{
    Family, FarClient, Gateway, GatewayConfig, Lab, Mode, ServiceConfig, Topology,
    packets::{FloodWire, Strangers},
    scenario::{BACKEND_PORT, PORT},
    traffic::{Churn, Instance, Pace, Sessions, Tally, syns::repeated_syns},
};

/// The variable that says how many seconds a flood lasts.
const SECONDS: &str = "GATEWAY_FLOOD_SECONDS";

const HALF_OPEN: u32 = 65_536;
/// Of each service and family.
const SESSIONS: usize = 250;
const NEW_PER_SECOND: u32 = 25;
/// In which a client sends its SYN four times, after 1, 3 and 7 s.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the front server's segment to a client in another part of the world and back.
const ROUND_TRIP: Duration = Duration::from_millis(200);
/// What the daemon's own memory may grow by, in KiB: it reads the tables, it keeps none of them.
const GROWTH: u64 = 32 << 10;

/// The service that is flooded, and the one beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Flooded,
    Other,
}

impl Target {
    const ALL: [Self; 2] = [Self::Flooded, Self::Other];

    fn index(self) -> usize {
        self as usize
    }

    fn port(self) -> u16 {
        PORT + self as u16
    }
}

/// Each service with each family.
fn all() -> impl Iterator<Item = (Target, Family)> {
    Target::ALL.into_iter().flat_map(|target| Family::ALL.map(|family| (target, family)))
}

fn config(lab: &Lab, mode: Mode) -> GatewayConfig {
    let config = GatewayConfig::new(lab, mode).capacity(HALF_OPEN, HALF_OPEN).sources(&[], "40000-65535");
    all().fold(config, |config, (target, family)| {
        let name = format!("{target:?}-{family:?}").to_lowercase();
        let backend = lab.backends[target.index()].at(family, BACKEND_PORT);
        config.service(ServiceConfig::new(&name, lab.front.at(family, target.port()), &[backend]))
    })
}

/// Packets by reason.
fn reasons(gateway: &Gateway) -> BTreeMap<String, u64> {
    let status = gateway.json(&["status"]);
    let rows = status["reasons"].as_array().expect("status lists reasons").iter();
    rows.map(|row| (row["reason"].as_str().unwrap().to_owned(), row["packets"].as_u64().unwrap())).collect()
}

/// The daemon's own memory, in KiB.
fn memory(gateway: &mut Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.process().id())).expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the kernel counts memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn duration(default: u64) -> Duration {
    let seconds = env::var(SECONDS).map_or(default, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

#[track_caller]
fn withstands(mode: Mode, strangers: Strangers, duration: Duration) {
    let mut lab = Topology::two_arm(2).build();
    let wire = FloodWire::lay(&mut lab, strangers);
    let far = FarClient::join(&lab, ROUND_TRIP);
    let server = |target: Target| {
        let backend = &lab.backends[target.index()];
        Instance::start(backend, backend.at(Family::V4, BACKEND_PORT), &format!("{target:?}"))
    };
    let _servers = Target::ALL.map(server);
    let mut gateway = Gateway::start(&lab, &config(&lab, mode));
    let to = |(target, family): (Target, Family)| lab.front.at(family, target.port());
    let sessions: Vec<_> = all().map(|at| (at, Sessions::start(&lab.client, to(at), SESSIONS))).collect();

    let (memory_before, reasons_before) = (memory(&mut gateway), reasons(&gateway));
    let repeated_before = [repeated_syns(&lab.client), repeated_syns(&far.host)];
    let flood = wire.flood(&lab, &Family::ALL.map(|family| to((Target::Flooded, family))));
    let start = Instant::now();
    let pace = Pace { workers: 16, deadline: HANDSHAKE, ..Pace::new(NEW_PER_SECOND) };
    let [near, distant] = [&lab.client, &far.host]
        .map(|client| -> Vec<_> { all().map(|at| (at, Churn::start_at(client, to(at), pace.clone()))).collect() });
    let (mut most_half_open, mut most_memory) = (0, 0);
    while start.elapsed() < duration {
        let status = gateway.json(&["status"]);
        let fill = |field: &str| status["half_open"][field].as_u64().unwrap();
        assert!(fill("open") <= fill("capacity"), "{}", status["half_open"]);
        most_half_open = most_half_open.max(fill("open"));
        most_memory = most_memory.max(memory(&mut gateway));
        thread::sleep(Duration::from_millis(500));
    }
    near.iter().chain(&distant).for_each(|(_, churn)| churn.end());
    let stop = |loads: Vec<((Target, Family), Churn)>| -> Vec<((Target, Family), Tally)> {
        loads.into_iter().map(|(at, churn)| (at, churn.stop())).collect()
    };
    let (near, distant) = (stop(near), stop(distant));
    let (lasted, sent) = (start.elapsed(), flood.stop());
    let repeated_after = [repeated_syns(&lab.client), repeated_syns(&far.host)];
    let reasons: BTreeMap<_, _> = reasons(&gateway)
        .into_iter()
        .map(|(reason, packets)| (reason.clone(), packets - reasons_before[&reason]))
        .filter(|(_, packets)| *packets > 0)
        .collect();

    println!(
        "{mode:?}, strangers {strangers:?}: {sent} SYNs in {lasted:?}, {:.0}/s",
        sent as f64 / lasted.as_secs_f64()
    );
    println!("packets: {reasons:?}");
    println!("half-open flows at most {most_half_open}; the daemon's memory {memory_before} KiB, then {most_memory}");
    let repeated = [0, 1].map(|end| repeated_after[end] - repeated_before[end]);
    println!("SYNs repeated by the near client {}, by the far client {}", repeated[0], repeated[1]);
    for (name, tallies) in [("near", &near), ("far", &distant)] {
        for (at, tally) in tallies {
            println!("{name} {at:?}: {} served, failed {:?}", tally.served(), tally.failures);
        }
    }
    assert!(most_memory < memory_before + GROWTH, "{memory_before} KiB, then {most_memory}");
    let tallies = sessions.into_iter().map(|(at, sessions)| (at, sessions.stop()));
    for (at, tally) in tallies {
        println!("sessions {at:?}: {} exchanges", tally.exchanges);
        assert_eq!((tally.cut(), tally.failed(), tally.ended_by_server), (0, 0, 0), "{at:?}: {tally:?}");
        assert_eq!(tally.opened(), SESSIONS, "{at:?}");
        assert!(tally.exchanges > SESSIONS * duration.as_secs() as usize / 2, "{at:?}: {tally:?}");
    }
    for ((target, family), tally) in near.into_iter().chain(distant) {
        let all = tally.served() + tally.failed();
        let least = if target == Target::Flooded { all * 95 / 100 } else { all };
        assert!(all > 0 && tally.served() >= least, "{target:?} {family:?}: {tally:?}");
    }
}

#[test]
fn a_flood_of_syns_through_xdp_harms_no_connection() {
    withstands(Mode::XdpNative, Strangers::Silent, duration(15));
}

#[test]
fn a_flood_whose_strangers_reset_harms_no_connection() {
    withstands(Mode::XdpNative, Strangers::Reset, duration(10));
}

#[test]
fn a_flood_of_syns_through_tc_harms_no_connection() {
    withstands(Mode::Tc, Strangers::Silent, duration(10));
}
