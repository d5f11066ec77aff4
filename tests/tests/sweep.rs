//! The sweeper over a flow table in the kernel: what is over goes, what lives stays, and pairs go together.

use std::time::Duration;

use aya::maps::{Array, HashMap, Map};
use gateway::{
    datapath::{self, Capacity, Datapath, Pins},
    host::bpffs,
    model::flow::FlowMap,
    tables::{
        Sweeper,
        flow_table::{self, FlowTable},
    },
};
use gateway_common::abi::{
    Answer, Direction, Flow, Hop, Limit, Limits, Seen, Settings, Source, TICK_SHIFT, Tuple, Usage, Volume,
    ticks_from_secs,
};
use gateway_tests::LabId;
use nix::{
    sys::resource::{UsageWho, getrusage},
    time::{ClockId, clock_gettime},
};

const IDLE_TIMEOUT: u32 = ticks_from_secs(3600);

/// Maps of their own, pinned in a folder that goes with them.
struct Kernel {
    pins: Pins,
    datapath: Datapath,
}

impl Kernel {
    fn new(flow_map: FlowMap) -> Self {
        let capacity = Capacity { flows: 1 << 18, half_open: 1 << 10, backends: 16, flow_map };
        bpffs::ensure_mounted("/sys/fs/bpf".as_ref()).unwrap();
        let pins = Pins::at(format!("/sys/fs/bpf/gwtest-{}", LabId::new()));
        let datapath = Datapath::load(pins.clone(), capacity).unwrap();
        let kernel = Self { pins, datapath };
        kernel.fill(0, capacity.flows);
        kernel
    }

    fn flows(&self) -> Box<dyn FlowTable> {
        flow_table::open("FLOWS", &|name| self.datapath.map(name)).unwrap()
    }

    /// Tells the programs, and so the sweeper, that there are so many flows of so many that there may be.
    fn fill(&self, flows: i64, capacity: u32) {
        let map = |name| Map::Array(self.datapath.map(name).unwrap());
        let mut settings: Array<_, Settings> = Array::try_from(map("SETTINGS")).unwrap();
        let present = settings.get(&0, 0).unwrap();
        settings.set(0, Settings { capacity, ..present }, 0).unwrap();
        let mut open: Array<_, i64> = Array::try_from(map("OPEN_FLOWS")).unwrap();
        open.set(0, flows, 0).unwrap();
    }

    fn sweeper(&self) -> Sweeper {
        Sweeper::new(|name| self.datapath.map(name)).unwrap()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if let Err(error) = datapath::detach(&self.pins) {
            eprintln!("cannot remove the pins: {error:#}");
        }
    }
}

fn now() -> u32 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).unwrap();
    (Duration::from(now).as_nanos() >> TICK_SHIFT) as u32
}

/// Both directions of the flow with a number, last seen so many seconds ago.
fn pair(number: u32, seen: [Seen; 2], idle: u64) -> [Flow; 2] {
    let [_, a, b, c] = number.to_be_bytes();
    let client = format!("198.{a}.{b}.{c}:40000").parse().unwrap();
    let (service, backend) = ("203.0.113.10:80".parse().unwrap(), "10.0.1.2:80".parse().unwrap());
    let snat = format!("10.{a}.{b}.{c}:50000").parse().unwrap();
    let (original, reply) = (Tuple::from_sockets(client, service), Tuple::from_sockets(backend, snat));
    let then = now().wrapping_sub(ticks_from_secs(idle));
    let flow = |from, to, direction, seen| Flow {
        from,
        to,
        traffic: Volume::EMPTY,
        backend: 1,
        created: then,
        last_seen: then,
        next_seq: 0,
        acked: 0,
        hop: Hop::NONE,
        direction,
        seen,
    };
    let [original_seen, reply_seen] = seen;
    [
        flow(original, reply.reversed(), Direction::Original, original_seen),
        flow(reply, original.reversed(), Direction::Reply, reply_seen),
    ]
}

#[test]
fn flows_that_are_over_go_in_pairs_and_the_others_stay() {
    FlowMap::ALL.into_iter().for_each(sweep_what_is_over);
}

fn sweep_what_is_over(flow_map: FlowMap) {
    const FIN: Seen = Seen::SYN.with(Seen::FIN);
    const RST: Seen = Seen::SYN.with(Seen::RST);
    const CUT: Seen = Seen::SYN.with(Seen::CUT);
    let open = [Seen::SYN, Seen::SYN];
    // What both directions have seen, how long the flow has been quiet, and whether it is over.
    let cases = [
        (open, 10, false),
        (open, 3_500, false),
        (open, 3_700, true),
        ([FIN, FIN], 30, false),
        ([FIN, FIN], 70, true),
        ([FIN, Seen::SYN], 70, false),
        ([FIN, Seen::SYN], 250, true),
        ([Seen::SYN, FIN], 250, true),
        ([RST, Seen::SYN], 70, false),
        ([RST, Seen::SYN], 250, true),
        ([Seen::SYN, RST], 250, true),
        ([CUT, CUT], 70, false),
        ([CUT, CUT], 250, true),
    ];
    let kernel = Kernel::new(flow_map);
    let mut flows = kernel.flows();
    for (number, (seen, idle, _)) in (0..).zip(cases) {
        for flow in pair(number, seen, idle) {
            flows.insert(&flow).unwrap();
        }
    }
    let swept = kernel.sweeper().sweep(|_| IDLE_TIMEOUT).unwrap();
    for (number, (seen, idle, over)) in (0..).zip(cases) {
        for flow in pair(number, seen, idle) {
            assert_eq!(flows.get(&flow.from).is_none(), over, "{seen:?} quiet for {idle} s: {:?}", flow.direction);
        }
    }
    let over = cases.iter().filter(|(_, _, over)| *over).count() as u64;
    assert_eq!((swept.removed, swept.flows), (over, cases.len() as u64 - over));
}

#[test]
fn finished_flows_make_room_where_it_is_scarce() {
    const FIN: Seen = Seen::SYN.with(Seen::FIN);
    const RST: Seen = Seen::SYN.with(Seen::RST);
    // What both directions have seen, how long the flow has been quiet, and whether it makes room.
    let cases = [
        ([Seen::SYN, Seen::SYN], 60, false),
        ([FIN, Seen::SYN], 60, false),
        ([FIN, FIN], 3, false),
        ([FIN, FIN], 10, true),
        ([Seen::SYN, RST], 3, false),
        ([Seen::SYN, RST], 10, true),
    ];
    for (capacity, scarce) in [(6, true), (7, false)] {
        let kernel = Kernel::new(FlowMap::Buckets);
        let mut flows = kernel.flows();
        for (number, (seen, idle, _)) in (0..).zip(cases) {
            pair(number, seen, idle).iter().for_each(|flow| flows.insert(flow).unwrap());
        }
        let [_, resting] = pair(99, [Seen::SYN, Seen::SYN.with(Seen::RESTING)], 10);
        flows.insert(&resting).unwrap();
        kernel.fill(cases.len() as i64, capacity);
        kernel.sweeper().sweep(|_| IDLE_TIMEOUT).unwrap();
        for (number, (seen, idle, goes)) in (0..).zip(cases) {
            for flow in pair(number, seen, idle) {
                let gone = flows.get(&flow.from).is_none();
                assert_eq!(gone, goes && scarce, "{seen:?} quiet for {idle} s of {capacity}: {:?}", flow.direction);
            }
        }
        assert!(flows.get(&resting.from).is_some());
    }
}

#[test]
fn a_resting_tuple_goes_without_its_flow() {
    let kernel = Kernel::new(FlowMap::Buckets);
    let mut flows = kernel.flows();
    let [_, flow] = pair(1, [Seen::SYN, Seen::SYN.with(Seen::RESTING)], 61);
    let [_, young] = pair(2, [Seen::SYN, Seen::SYN.with(Seen::RESTING)], 5);
    flows.insert(&flow).unwrap();
    flows.insert(&young).unwrap();
    let open = pair(3, [Seen::SYN, Seen::SYN], 5);
    open.iter().for_each(|flow| flows.insert(flow).unwrap());
    let swept = kernel.sweeper().sweep(|_| IDLE_TIMEOUT).unwrap();
    assert!(flows.get(&flow.from).is_none() && flows.get(&young.from).is_some());
    assert_eq!(swept.flows, 1, "what rests is no flow");
}

#[test]
fn accounts_of_limits_are_corrected_when_they_are_wrong_twice() {
    /// The backend's entry is empty, and so is its service's identifier.
    const SERVICE: u32 = 0;
    let kernel = Kernel::new(FlowMap::Buckets);
    let map = |name| kernel.datapath.map(name).unwrap();
    let mut limits = HashMap::<_, u32, Limits>::try_from(Map::HashMap(map("LIMITS"))).unwrap();
    let mut totals = HashMap::<_, u32, Usage>::try_from(Map::HashMap(map("TOTAL_USAGE"))).unwrap();
    let mut sources = HashMap::<_, Source, Usage>::try_from(Map::LruHashMap(map("SOURCE_USAGE"))).unwrap();
    let limit = Limit::new(Some(100), None);
    limits.insert(SERVICE, Limits::new(limit, limit, Answer::Reset), 0).unwrap();
    totals.insert(SERVICE, Usage { open: 50, due: 7 }, 0).unwrap();
    let mut flows = kernel.flows();
    let open = [Seen::SYN, Seen::SYN];
    let closed = [Seen::SYN.with(Seen::FIN); 2];
    let mut clients = Vec::new();
    for (number, seen) in (0..).zip([open, open, closed]) {
        let [original, reply] = pair(number, seen, 1);
        clients.push(Source::new(SERVICE, &original.from.src));
        [original, reply].into_iter().for_each(|flow| flows.insert(&flow).unwrap());
    }
    sources.insert(clients[2], Usage { open: 9, due: 0 }, 0).unwrap();
    let mut sweeper = kernel.sweeper();
    sweeper.sweep(|_| IDLE_TIMEOUT).unwrap();
    assert_eq!(totals.get(&SERVICE, 0).unwrap(), Usage { open: 50, due: 7 });
    sweeper.sweep(|_| IDLE_TIMEOUT).unwrap();
    assert_eq!(totals.get(&SERVICE, 0).unwrap(), Usage { open: 2, due: 7 });
    assert_eq!([0, 1, 2].map(|number| sources.get(&clients[number], 0).unwrap().open), [1, 1, 0]);
}

/// Prints the processor time; how much it may be is a matter for a quiet machine.
#[test]
fn a_large_table_is_swept_and_counted() {
    const FLOWS: u32 = 200_000;
    let kernel = Kernel::new(FlowMap::Buckets);
    let mut flows = kernel.flows();
    for number in 0..FLOWS {
        for flow in pair(number, [Seen::SYN, Seen::SYN], 60) {
            flows.insert(&flow).unwrap();
        }
    }
    let mut sweeper = kernel.sweeper();
    let cpu = || {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
        Duration::from_micros((usage.user_time().tv_sec() + usage.system_time().tv_sec()) as u64 * 1_000_000)
            + Duration::from_micros((usage.user_time().tv_usec() + usage.system_time().tv_usec()) as u64)
    };
    let before = cpu();
    let swept = sweeper.sweep(|_| IDLE_TIMEOUT).unwrap();
    println!("{FLOWS} flows swept in {:?} of processor time", cpu() - before);
    assert_eq!((swept.flows, swept.removed), (FLOWS.into(), 0));
    let named = swept.by_backend[&1];
    assert_eq!((named.flows, named.ports), (FLOWS.into(), FLOWS.into()));
}
