//! What holds of the tables between any two packets.

use std::collections::BTreeMap;

use super::HostTables;
use crate::{
    abi::{BackendCounters, Direction, Flow, Hop, Seen, Tuple},
    nat::{Tables, state},
};

/// All that packets may change, except cached hops, which are no more than a memory of the routes.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub flows: BTreeMap<Tuple, Flow>,
    pub half_open: BTreeMap<Tuple, Flow>,
    pub open_flows: Vec<i64>,
    pub totals: Vec<BackendCounters>,
}

impl Snapshot {
    pub fn of(tables: &HostTables) -> Self {
        let without_hops = |entries: BTreeMap<Tuple, Flow>| {
            entries.into_iter().map(|(tuple, flow)| (tuple, Flow { hop: Hop::default(), ..flow })).collect()
        };
        let backends = 0..tables.backends.len() as u32;
        Self {
            flows: without_hops(tables.flows.entries()),
            half_open: without_hops(tables.half_open.entries()),
            open_flows: backends.clone().map(|backend| tables.open_flows(backend)).collect(),
            totals: backends.map(|backend| tables.totals(backend)).collect(),
        }
    }
}

/// Tests that every flow is a whole pair, that no tuple belongs to two, and that the counts of open flows agree with
/// the entries. An error names the first entry that is wrong.
///
/// Half-open pairs are only held to that while the half-open table has forgotten nothing.
pub fn check(tables: &HostTables) -> Result<(), String> {
    let snapshot = Snapshot::of(tables);
    let Snapshot { flows, half_open, .. } = &snapshot;
    for (tuple, flow) in flows {
        check_pair(flows, tuple, flow).map_err(|problem| format!("flow {tuple:?} {problem}: {flow:?}"))?;
        if tables.half_open.forgotten() == 0 && half_open.contains_key(tuple) {
            return Err(format!("{tuple:?} is in both tables"));
        }
    }
    for (tuple, flow) in half_open {
        if flow.seen.contains(Seen::RESTING) {
            return Err(format!("half-open {tuple:?} rests"));
        }
        if tables.half_open.forgotten() == 0 {
            check_pair(half_open, tuple, flow).map_err(|problem| format!("half-open {tuple:?} {problem}: {flow:?}"))?;
        }
    }
    if tables.half_open.forgotten() == 0 {
        check_attempts(&snapshot.totals)?;
        check_limits(tables)?;
    }
    check_counts(&snapshot)
}

/// No attempt ends in two ways.
fn check_attempts(totals: &[BackendCounters]) -> Result<(), String> {
    let wrong = totals.iter().find(|total| total.attempts < total.refused + total.unanswered);
    wrong.map_or(Ok(()), |total| Err(format!("more attempts have ended than there were: {total:?}")))
}

/// The accounts of services with limits, and of their sources, agree with the entries.
fn check_limits(tables: &HostTables) -> Result<(), String> {
    for (service, by_source) in tables.limited() {
        let expected = tables.connections(service);
        let total = tables.total_usage(service).map_or(0, |usage| usage.open);
        if total != expected.values().sum::<i64>() {
            return Err(format!("service {service} has {total} connections by its account, not {expected:?}"));
        }
        for (source, open) in expected.iter().filter(|_| by_source) {
            let counted = tables.source_usage(source).map_or(0, |usage| usage.open);
            if counted != *open {
                return Err(format!("{source:?} has {counted} connections by its account, not {open}"));
            }
        }
    }
    Ok(())
}

fn check_pair(entries: &BTreeMap<Tuple, Flow>, tuple: &Tuple, flow: &Flow) -> Result<(), &'static str> {
    if flow.seen.contains(Seen::RESTING) {
        return if flow.direction == Direction::Reply { Ok(()) } else { Err("rests, but is no reply direction") };
    }
    let Some(twin) = entries.get(&flow.to.reversed()) else { return Err("has no twin") };
    if twin.direction == flow.direction {
        Err("has a twin of the same direction")
    } else if twin.seen.contains(Seen::RESTING) {
        Err("has a twin that rests")
    } else if twin.to.reversed() != *tuple {
        Err("has a twin that belongs to another flow")
    } else if twin.backend != flow.backend || twin.seen.contains(Seen::COOKIE) != flow.seen.contains(Seen::COOKIE) {
        Err("has a twin of another kind or with another backend")
    } else if !flow.seen.contains(Seen::COOKIE) && twin.created != flow.created {
        Err("has a twin of another age")
    } else {
        Ok(())
    }
}

/// Index 0 counts all flows, which have one original direction each, the others those of a backend that go on.
fn check_counts(snapshot: &Snapshot) -> Result<(), String> {
    let mut expected = vec![0; snapshot.open_flows.len()];
    for flow in snapshot.flows.values().filter(|flow| flow.direction == Direction::Original) {
        expected[0] += 1;
        let twin = snapshot.flows.get(&flow.to.reversed());
        if twin.is_some_and(|twin| !state(flow.seen, twin.seen).is_finished()) {
            expected[flow.backend as usize] += 1;
        }
    }
    if snapshot.open_flows == expected {
        Ok(())
    } else {
        Err(format!("open flows by backend are counted as {:?}, not {expected:?}", snapshot.open_flows))
    }
}
