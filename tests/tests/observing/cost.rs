//! What it costs to look at a gateway that has much to show. Run by hand, with a release build:
//!
//! ```sh
//! cargo build --release -p gateway
//! GATEWAY_BIN=$PWD/target/release/gateway cargo test -p gateway-tests --test observing -- cost --ignored --nocapture
//! ```

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use aya::maps::MapData;
use etherparse::PacketBuilder;
use gateway::{control::Client, datapath::Pins, tables::flow_table};
use gateway_common::abi::{Direction, Flow, Seen, TICK_SHIFT, Tuple, VERSION};
use gateway_tests::{
    Family, Gateway, GatewayConfig, Lab, Mode, ServiceConfig, Topology,
    scenario::{BACKEND_PORT, PORT},
};
use nix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;

use crate::scrape::{Scrape, with_metrics};

const FLOWS: u32 = 1_000_000;
const SERVICES: u16 = 1_000;
const BACKENDS: u16 = 10;
const ROUNDS: usize = 7;

/// The median time of what is done some times.
fn measure(what: &str, mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("{what}: {:?} to {:?}, median {:?}", times[0], times[ROUNDS - 1], times[ROUNDS / 2]);
    times[ROUNDS / 2]
}

/// Where the front server has a flow's source: 200 addresses, of which each has 5,000 ports.
fn snat(number: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(0x0a09_0000 + number / 5_000).into(), 40_000 + (number % 5_000) as u16)
}

/// Puts flows with a backend into the tables of a running gateway.
fn fill(lab: &Lab, backend: SocketAddr) {
    let pins = Pins::at(lab.id().pin_directory());
    let open = |name: &str| Ok(MapData::from_pin(pins.map(name))?);
    let mut table = flow_table::open(flow_table::FLOWS, &open).unwrap();
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).unwrap();
    let now = (Duration::from(now).as_nanos() >> TICK_SHIFT) as u32;
    for number in 0..FLOWS {
        let client = SocketAddr::new(Ipv4Addr::from(0xc600_0000 + number / 100).into(), 1_024 + (number % 100) as u16);
        let original = Tuple::from_sockets(client, lab.front.at(Family::V4, PORT));
        let reply = Tuple::from_sockets(backend, snat(number));
        let entry = Flow { backend: 1, created: now - number / 100, last_seen: now, seen: Seen::SYN, ..Flow::EMPTY };
        table.insert(&Flow { from: reply, to: original.reversed(), direction: Direction::Reply, ..entry }).unwrap();
        table.insert(&Flow { from: original, to: reply.reversed(), ..entry }).unwrap();
    }
}

#[test]
#[ignore = "measures; run by hand with a release build"]
fn a_million_flows_are_counted_and_listed() {
    for table in ["buckets", "hash"] {
        let lab = Topology::two_arm(1).build();
        let backend = lab.backends[0].at(Family::V4, BACKEND_PORT);
        let service = ServiceConfig::new("web", lab.front.at(Family::V4, PORT), &[backend]);
        let config = GatewayConfig::new(&lab, Mode::XdpNative).capacity(FLOWS + FLOWS / 4, 1 << 14).service(service);
        let gateway = Gateway::start_with(&lab, &config.with_flows(&format!("table = {table:?}")).to_toml(), &[]);
        fill(&lab, backend);
        assert_eq!(gateway.cli(&["flows", "--count"]).success().stdout, format!("{FLOWS}\n"));
        for arguments in [
            &["--count"][..],
            &["web", "--count"],
            &["--state", "established", "--count"],
            &["--limit", "1000"],
            &["--sort", "client", "--limit", "1000"],
            &["--sort", "age", "--limit", "1000"],
            &["--sort", "bytes", "--limit", "1000"],
            &["--limit", "100000", "--json"],
        ] {
            let command = [&["flows"], arguments].concat();
            measure(&format!("{table}: gateway {}", command.join(" ")), || drop(gateway.cli(&command).success()));
        }
        let client = Client::new(lab.directory().join("gateway.sock"));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let who = |number| runtime.block_on(client.who(snat(number), backend)).unwrap();
        let of_thousand = measure(&format!("{table}: 1,000 times GET /v1/who"), || {
            (0..1_000).for_each(|number| drop(who(number * 999)));
        });
        println!("{table}: who: {:?}", of_thousand / 1_000);
    }
}

#[test]
#[ignore = "measures; run by hand with a release build"]
fn a_thousand_services_are_scraped() {
    let lab = Topology::two_arm(1).build();
    let backends = |service: u16| {
        let address = |number| Ipv4Addr::from(0x0a64_0000 + u32::from(service) * u32::from(BACKENDS) + number);
        (0..u32::from(BACKENDS)).map(|number| SocketAddr::new(address(number).into(), 80)).collect::<Vec<_>>()
    };
    let services = (0..SERVICES).map(|number| {
        ServiceConfig::new(&format!("s{number}"), lab.front.at(Family::V4, 10_000 + number), &backends(number))
    });
    let config = services.fold(GatewayConfig::new(&lab, Mode::XdpNative), GatewayConfig::service);
    let backends = format!("\n[backends]\ncapacity = {}\n", 1 << 14);
    let _gateway = Gateway::start_with(&lab, &(with_metrics(&config) + &backends), &[]);
    let bytes = Scrape::of(&lab).0.len();
    measure(&format!("a scrape of {SERVICES} services with {BACKENDS} backends, {bytes} bytes"), || {
        drop(Scrape::of(&lab));
    });
}

/// Nanoseconds that the XDP program takes for a segment that the table has to be searched for, by the kernel's own test run.
fn packet_time(lab: &Lab) -> u64 {
    let programs = lab.id().pin_directory().join(format!("v{VERSION}/programs"));
    let build = fs::read_dir(programs).unwrap().next().unwrap().unwrap().path();
    let frame = lab.directory().join("frame");
    let (src, dst) = ([198, 51, 100, 7], [203, 0, 113, 77]);
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4(src, dst, 64);
    let mut bytes = Vec::new();
    builder.tcp(40_000, 81, 1, 1_000).write(&mut bytes, b"").unwrap();
    fs::write(&frame, bytes).unwrap();
    let (program, frame) = (build.join("gateway_xdp"), frame);
    let arguments = ["prog", "run", "pinned", program.to_str().unwrap(), "data_in", frame.to_str().unwrap()];
    let repeat = ["repeat", "1000000"];
    let said = lab.front.output("bpftool", &[&arguments[..], &repeat].concat()).success().stdout;
    let time = said.split("duration (average): ").nth(1).and_then(|rest| rest.split("ns").next());
    time.and_then(|time| time.trim().parse().ok()).unwrap_or_else(|| panic!("no time in {said:?}"))
}

#[test]
#[ignore = "measures; run by hand with a release build"]
fn packets_pass_beside_a_listing() {
    let lab = Topology::two_arm(1).build();
    let backend = lab.backends[0].at(Family::V4, BACKEND_PORT);
    let service = ServiceConfig::new("web", lab.front.at(Family::V4, PORT), &[backend]);
    let config = GatewayConfig::new(&lab, Mode::XdpNative).capacity(FLOWS + FLOWS / 4, 1 << 14).service(service);
    let gateway = Gateway::start(&lab, &config);
    fill(&lab, backend);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(packet_time(&lab));
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    gateway.cli(&["flows", "--sort", "bytes", "--limit", "1000"]).success();
                }
            });
            beside.push(packet_time(&lab));
            ended.store(true, Ordering::Relaxed);
        });
    }
    alone.sort_unstable();
    beside.sort_unstable();
    println!(
        "a packet: median {} ns, beside listings one after the other {} ns",
        alone[ROUNDS / 2],
        beside[ROUNDS / 2]
    );
}
