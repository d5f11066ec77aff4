//! What is shown: the gateway at one look, with rates since the look before.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use super::{
    activity::{Activity, rate},
    sample::Sample,
};
use crate::{
    control::views::{BackendView, Counters, ServiceView},
    model::{
        BackendState, HealthStatus,
        status::{Action, TableFill},
    },
};

/// The gateway at one moment, and what it did since the moment before.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub version: String,
    pub uptime: Duration,
    /// `eth0 xdp-native`.
    pub interfaces: Vec<String>,
    pub flows: TableFill,
    pub half_open: TableFill,
    /// Packets a second by what is done with them.
    pub packets: [(Action, Option<f64>); 4],
    /// Packets a second of the reasons to drop or to answer that occurred, the most frequent first.
    pub troubles: Vec<(String, f64)>,
    pub programs: Vec<ProgramCost>,
    pub warnings: Vec<String>,
    pub services: Vec<Row>,
    /// All services together.
    pub total: Activity,
}

/// What a packet program costs.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramCost {
    pub hook: &'static str,
    /// Nanoseconds for a packet; absent where the kernel does not count, or nothing comes.
    pub per_packet_ns: Option<f64>,
    /// Of one core, 1 for all of it; absent likewise.
    pub load: Option<f64>,
}

/// A service or a backend of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    pub state: String,
    pub tone: Tone,
    pub activity: Activity,
    /// Of a service.
    pub backends: Vec<Row>,
}

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    /// On its way in or out, or not as it should be in parts.
    Passing,
    Bad,
}

impl Report {
    /// What `after` shows, with rates since `before`.
    pub fn between(before: Option<&Sample>, after: &Sample) -> Self {
        let status = &after.status.datapath;
        let time = before.map(|before| after.at.saturating_duration_since(before.at));
        let known = before.map(totals);
        let services: Vec<Row> = after.services.iter().map(|it| service_row(it, known.as_ref(), time)).collect();
        let reasons = reason_rates(before, after, time);
        let of_action = |action| {
            let rates = reasons.iter().filter(|(_, of, _)| *of == action).map(|(_, _, rate)| *rate);
            (action, rates.sum())
        };
        Self {
            version: after.status.version.clone(),
            uptime: Duration::from_secs(after.status.uptime_seconds),
            interfaces: status.interfaces.iter().map(|it| format!("{} {}", it.name, it.mode.name())).collect(),
            flows: status.flows,
            half_open: status.half_open,
            packets: [Action::Forward, Action::Pass, Action::Answer, Action::Drop].map(of_action),
            troubles: troubles(&reasons),
            programs: program_costs(before, after, time),
            warnings: status.warnings.clone(),
            total: services.iter().map(|row| row.activity).fold(Activity::NONE, Activity::and),
            services,
        }
    }
}

type Totals<'a> = HashMap<(&'a str, SocketAddr), Counters>;

fn totals(sample: &Sample) -> Totals<'_> {
    let backends = sample.services.iter().flat_map(|service| &service.backends);
    backends.filter_map(|it| Some(((it.service.as_str(), it.address), it.counters?))).collect()
}

fn service_row(service: &ServiceView, known: Option<&Totals<'_>>, time: Option<Duration>) -> Row {
    let backends: Vec<Row> = service
        .backends
        .iter()
        .map(|backend| {
            let key = (service.name.as_str(), backend.address);
            // One that has come since the look before began at nothing.
            let before = known.map(|totals| totals.get(&key).copied().unwrap_or_default());
            let after = backend.counters.unwrap_or_default();
            let (state, tone) = state(backend);
            let activity = Activity::between(before.as_ref(), &after, time);
            Row { name: backend.address.to_string(), state: state.to_owned(), tone, activity, backends: Vec::new() }
        })
        .collect();
    let (in_use, all) = (service.in_use(), service.backends.len());
    let tone = match in_use {
        0 => Tone::Bad,
        some if some < all => Tone::Passing,
        _ => Tone::Good,
    };
    let activity = backends.iter().map(|row| row.activity).fold(Activity::NONE, Activity::and);
    Row { name: service.name.clone(), state: format!("{in_use}/{all} up"), tone, activity, backends }
}

fn state(backend: &BackendView) -> (&'static str, Tone) {
    let health = backend.health.as_ref().map(|health| health.status);
    match (backend.state, health) {
        (BackendState::Starting, _) => ("starting", Tone::Passing),
        (BackendState::Draining, _) if backend.drain.as_ref().is_some_and(|drain| drain.ended) => {
            ("drained", Tone::Passing)
        }
        (BackendState::Draining, _) => ("draining", Tone::Passing),
        (BackendState::Active, Some(HealthStatus::Down)) => ("down", Tone::Bad),
        (BackendState::Active, Some(HealthStatus::Up)) => ("up", Tone::Good),
        (BackendState::Active, _) => ("active", Tone::Good),
    }
}

type ReasonRate<'a> = (&'a str, Action, Option<f64>);

fn reason_rates<'a>(before: Option<&Sample>, after: &'a Sample, time: Option<Duration>) -> Vec<ReasonRate<'a>> {
    let before = before.into_iter().flat_map(|before| &before.status.datapath.reasons);
    let before: HashMap<&str, u64> = before.map(|count| (count.reason.as_str(), count.packets)).collect();
    let reasons = after.status.datapath.reasons.iter().map(|count| {
        let reason = count.reason.as_str();
        (reason, count.action, rate(before.get(reason).copied(), count.packets, time))
    });
    reasons.collect()
}

fn troubles(reasons: &[ReasonRate<'_>]) -> Vec<(String, f64)> {
    let troubles = reasons.iter().filter(|(_, action, _)| matches!(action, Action::Drop | Action::Answer));
    let mut troubles: Vec<_> = troubles
        .filter_map(|(reason, _, rate)| Some(((*reason).to_owned(), rate.filter(|rate| *rate > 0.0)?)))
        .collect();
    troubles.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    troubles
}

fn program_costs(before: Option<&Sample>, after: &Sample, time: Option<Duration>) -> Vec<ProgramCost> {
    let known = before.map_or(&[][..], |before| &before.status.datapath.programs);
    let programs = after.status.datapath.programs.iter().filter(|program| !program.interfaces.is_empty());
    let costs = programs.map(|program| {
        let before = known.iter().find(|it| it.hook == program.hook);
        let runs = rate(before.map(|it| it.runs), program.runs, time).filter(|runs| *runs > 0.0);
        let nanoseconds = rate(before.map(|it| it.run_time_ns), program.run_time_ns, time);
        let cost = runs.zip(nanoseconds);
        ProgramCost {
            hook: program.hook.name(),
            per_packet_ns: cost.map(|(runs, nanoseconds)| nanoseconds / runs),
            load: cost.map(|(_, nanoseconds)| nanoseconds / 1e9),
        }
    });
    costs.collect()
}
