//! The goals themselves.

use super::{
    Goal, Key, Measure, RATIO,
    Wanted::{self, AtLeast, AtMost},
};
use crate::names::{axis, live, micro, scale};

const MILLION: u64 = 1_000_000;
/// How much "flat" may rise.
const FLAT: f64 = 1.15;

const fn key(case: &'static str, subject: &'static str) -> Key {
    Key { case, subject, at: None }
}

const fn at_flows(case: &'static str, subject: &'static str, flows: u64) -> Key {
    Key { case, subject, at: Some((axis::FLOWS, flows)) }
}

fn ratio(name: &'static str, wanted: Wanted, figure: Key, base: Key) -> Goal {
    Goal { name, unit: RATIO, wanted, measure: Measure::Ratio(figure, base) }
}

fn figure(name: &'static str, unit: &'static str, limit: f64, figure: Key) -> Goal {
    Goal { name, unit, wanted: AtMost(limit), measure: Measure::Of(figure) }
}

pub fn goals() -> Vec<Goal> {
    [packets(), programs(), connections(), growth()].into_iter().flatten().collect()
}

/// Live frames.
fn packets() -> Vec<Goal> {
    let packets = |subject, flows| at_flows(live::PACKETS, subject, flows);
    let redirect = packets(live::REDIRECT_XDP, 1);
    let gateway = |flows| packets(live::GATEWAY_XDP, flows);
    vec![
        ratio("XDP NAT, 1 flow, against a plain redirect", AtMost(1.2), gateway(1), redirect),
        ratio("XDP NAT, 30,000 flows, against a plain redirect", AtMost(1.8), gateway(30_000), redirect),
        ratio("XDP NAT, 1,000,000 flows, against a plain redirect", AtMost(2.5), gateway(MILLION), redirect),
        // Packets per second are the inverse of the time per packet.
        ratio(
            "XDP NAT, packets/s of a core at 30,000 flows, against nftables",
            AtLeast(4.5),
            packets(live::NFTABLES, 30_000),
            gateway(30_000),
        ),
        ratio(
            "TC NAT against a plain TC redirect",
            AtMost(1.10),
            packets(live::GATEWAY_TC, 1),
            packets(live::REDIRECT_TC, 1),
        ),
    ]
}

/// Program time.
fn programs() -> Vec<Goal> {
    let hit = |subject, flows| at_flows(micro::BOTH, subject, flows);
    let (gateway, katran) = (micro::GATEWAY_XDP, micro::KATRAN);
    vec![
        ratio("program, flow hit, 1 flow, against Katran", AtMost(0.6), hit(gateway, 1), hit(katran, 1)),
        ratio(
            "program, flow hit, 1,000,000 flows, against Katran",
            AtMost(0.6),
            hit(gateway, MILLION),
            hit(katran, MILLION),
        ),
        ratio(
            "program, new flow, against Katran",
            AtMost(1.0),
            at_flows(micro::NEW, gateway, 1),
            at_flows(micro::NEW, katran, 1),
        ),
        ratio(
            "program, 10,000 services × 100 backends against 1 × 1",
            AtMost(1.15),
            at_flows(micro::MANY, gateway, 30_000),
            hit(gateway, 30_000),
        ),
    ]
}

/// Real connections.
fn connections() -> Vec<Goal> {
    let cpu = |subject| key(live::TWO_ARM.connection_cpu, subject);
    let (p50, p99) = (|subject| key(live::TWO_ARM.idle.p50, subject), |subject| key(live::TWO_ARM.idle.p99, subject));
    let bulk = |subject| key(live::CONTAINER.bulk.rate, subject);
    let gateway = live::GATEWAY_XDP;
    vec![
        ratio("CPU per connection against routing", AtMost(1.05), cpu(gateway), cpu(live::ROUTING)),
        ratio("CPU per connection against nftables", AtMost(0.65), cpu(gateway), cpu(live::NFTABLES)),
        ratio("CPU per connection against HAProxy", AtMost(0.2), cpu(gateway), cpu(live::HAPROXY)),
        ratio("latency p50 against routing", AtMost(1.0), p50(gateway), p50(live::ROUTING)),
        ratio("latency p99 against routing", AtMost(1.0), p99(gateway), p99(live::ROUTING)),
        ratio("latency p50 against HAProxy", AtMost(0.3), p50(gateway), p50(live::HAPROXY)),
        ratio("latency p99 against HAProxy", AtMost(0.3), p99(gateway), p99(live::HAPROXY)),
        ratio(
            "bulk to a container on the same host against routing",
            AtLeast(1.0),
            bulk(live::GATEWAY_TC),
            bulk(live::ROUTING),
        ),
    ]
}

/// Many backends, many flows, and the daemon's own work.
fn growth() -> Vec<Goal> {
    let by_backends = |backends| Key {
        case: scale::NEW_BY_BACKENDS,
        subject: scale::GATEWAY_XDP,
        at: Some((axis::BACKENDS, backends)),
    };
    let established = at_flows(micro::BOTH, micro::GATEWAY_XDP, 1);
    vec![
        Goal {
            name: "new flow against an established packet, 1 to 1,000 backends",
            unit: RATIO,
            wanted: AtMost(4.0),
            measure: Measure::LargestRatio([1, 1_000].map(by_backends).to_vec(), established),
        },
        ratio("new flow, 1,000 backends against 1 (flat)", AtMost(FLAT), by_backends(1_000), by_backends(1)),
        figure("sweep of 1,000,000 flows, CPU", "s", 0.3, at_flows(scale::SWEEP, scale::SWEEPER, MILLION)),
        figure(
            "apply one backend change among 1,000 services",
            "ms",
            5.0,
            Key { case: scale::APPLY_CHANGE, subject: scale::DAEMON, at: Some((axis::SERVICES, 1_000)) },
        ),
        figure("apply 1,000 services × 10 backends", "ms", 1_000.0, key(scale::APPLY_ALL, scale::DAEMON)),
        figure(
            "memory per flow, both directions",
            "bytes",
            192.0,
            at_flows(scale::MEMORY_PER_FLOW, scale::DAEMON, MILLION),
        ),
        figure(
            "start to first forwarded packet, datapath cached",
            "ms",
            200.0,
            Key { case: scale::START, subject: scale::CACHED, at: Some((axis::SERVICES, 1)) },
        ),
    ]
}
