//! What is to be done so that a service has the backends that its containers' labels ask for.
//!
//! A function of the state and of the containers: nothing is remembered, so it does not matter what was missed while
//! the daemon or the gateway was down. Only backends that came from labels are ever touched.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use super::{container::Activity, labels::Member};
use crate::{
    lifecycle::Entry,
    model::{Backend, BackendState, Deployment, NewBackend, Phase, Process, change::DrainOrder},
};

/// One thing to do about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the service, with a public port of its own.
    Create(Vec<NewBackend>),
    Add(NewBackend),
    /// Put these backends in the place of all others.
    Deploy(Vec<NewBackend>),
    /// Give up the deployment that is under way for a newer one.
    Abandon,
    Drain(SocketAddr, DrainOrder),
    /// Give it no more connections. Open ones go on.
    Remove(SocketAddr),
}

/// What is to be done, and what stands in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub findings: Vec<String>,
}

/// The containers of one deployment that can take connections.
struct Group<'a> {
    deployment: &'a str,
    members: Vec<&'a Member>,
}

/// What is due for a service of the control API, or for one that is not there yet. `members` are its containers,
/// the oldest first.
pub fn plan(entry: Option<&Entry>, members: &[Member]) -> Plan {
    let Some(entry) = entry else {
        let newest = groups(members, |_| true).pop();
        let actions = newest.map(|newest| Action::Create(newest.backends())).into_iter().collect();
        return Plan { actions, findings: Vec::new() };
    };
    let mut plan = Plan::default();
    for backend in entry.service().backends.iter().filter(|backend| container(backend).is_some()) {
        plan.actions.extend(wind_down(backend, members));
    }
    if plan.actions.is_empty() {
        bring_in(entry, members, &mut plan);
    }
    plan
}

/// The end of a backend whose container has ended, or is about to.
fn wind_down(backend: &Backend, members: &[Member]) -> Option<Action> {
    let member = members.iter().find(|member| is_behind(member, backend));
    let at_once = DrainOrder { timeout: Some(Duration::ZERO), signal: false, remove: true };
    match (backend.state, &backend.drain, member.map(|member| member.activity)) {
        // It gets no connections. A container that crashes before it first answers may be started again in time.
        (BackendState::Starting, ..) => None,
        (BackendState::Active, _, None) => Some(Action::Drain(backend.address, at_once)),
        // Whoever pauses a container means to go on with it.
        (BackendState::Active, _, Some(Activity::Paused)) => Some(Action::Remove(backend.address)),
        // Its process knows: it got Docker's signal.
        (BackendState::Active, _, Some(Activity::Stopping)) => {
            Some(Action::Drain(backend.address, DrainOrder { timeout: None, ..at_once }))
        }
        (BackendState::Active, ..) => None,
        (BackendState::Draining, Some(drain), _) => {
            let is_over = member.is_none_or(|member| member.started > drain.since);
            let is_told = drain.deadline <= drain.since;
            (is_over && !is_told).then_some(Action::Drain(backend.address, at_once))
        }
        (BackendState::Draining, None, _) => None,
    }
}

/// Takes in the containers of the newest deployment that has not failed.
fn bring_in(entry: &Entry, members: &[Member], plan: &mut Plan) {
    let backends = &entry.service().backends;
    let drains =
        |member: &Member| backends.iter().any(|it| is_behind(member, it) && it.state == BackendState::Draining);
    let mut groups = groups(members, |member| !drains(member));
    let latest = entry.deployment();
    let mut failed = Vec::new();
    while let Some(newest) = groups.last()
        && let Some(reason) = latest.and_then(|latest| newest.failure(latest))
    {
        plan.findings.push(format!(
            "service {}: deployment {} is not taken in: {reason}; start its containers anew to try again",
            entry.service().name,
            newest.deployment
        ));
        failed.extend(groups.pop().map(|group| group.deployment));
    }
    let Some(target) = groups.last() else { return };

    let active = || backends.iter().filter(|it| it.state == BackendState::Active);
    let others: Vec<_> = active().filter(|it| container(it).is_some_and(|(_, it)| it != target.deployment)).collect();
    let is_in_force = active().any(|it| container(it).is_some_and(|(_, it)| it == target.deployment));
    match latest.map(|latest| (&latest.phase, coming(entry, latest))) {
        Some((Phase::Starting { .. }, Some(coming))) if coming != target.deployment && !is_in_force => {
            plan.actions.push(Action::Abandon);
        }
        // Its other containers join after the switch; of those that have crashed the deadline will tell.
        Some((Phase::Starting { .. }, _)) => {}
        Some((Phase::Confirming { .. }, _)) if !others.is_empty() => {}
        _ if others.is_empty() => {
            let is_free = |member: &&&Member| backends.iter().all(|backend| backend.address != member.address);
            plan.actions.extend(target.members.iter().filter(is_free).map(|member| Action::Add(backend(member))));
        }
        _ => {
            let (given_up, replaced): (Vec<&Backend>, Vec<&Backend>) = others
                .into_iter()
                .partition(|it| container(it).is_some_and(|(_, deployment)| failed.contains(&deployment)));
            plan.actions.extend(given_up.iter().map(|backend| Action::Remove(backend.address)));
            if !replaced.is_empty() && given_up.is_empty() {
                // Backends that did not come from labels are listed, or they would go.
                let foreign = active().filter(|it| container(it).is_none());
                let kept = foreign.map(|it| NewBackend { weight: it.weight, ..NewBackend::new(it.address) });
                plan.actions.push(Action::Deploy(target.backends().into_iter().chain(kept).collect()));
            }
        }
    }
}

/// The deployment of containers that is being brought in; none if it is somebody else's.
fn coming<'a>(entry: &'a Entry, deployment: &Deployment) -> Option<&'a str> {
    let backends = &entry.service().backends;
    let new = backends.iter().filter(|backend| deployment.new.contains(&backend.address));
    new.filter_map(container).map(|(_, deployment)| deployment).next()
}

impl Group<'_> {
    fn backends(&self) -> Vec<NewBackend> {
        self.members.iter().map(|member| backend(member)).collect()
    }

    /// Why the latest deployment speaks against trying these containers again.
    fn failure(&self, latest: &Deployment) -> Option<String> {
        let is_new = |member: &&Member| latest.new.contains(&member.address);
        let all = |is_before: &dyn Fn(&Member) -> bool| self.members.iter().all(|member| is_before(member));
        match &latest.phase {
            // Started again they may answer.
            Phase::Failed { at, reason, .. } if all(&|it| is_new(&it) && it.started < *at) => Some(reason.clone()),
            // They answered once already: it takes others.
            Phase::RolledBack { at, reason } if self.members.iter().any(is_new) && all(&|it| it.created < *at) => {
                Some(reason.clone())
            }
            _ => None,
        }
    }
}

/// The running containers by deployment, the one with the newest container last.
fn groups(members: &[Member], is_wanted: impl Fn(&Member) -> bool) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
    for member in members.iter().filter(|it| it.activity == Activity::Running && is_wanted(it)) {
        groups.entry(&member.deployment).or_default().push(member);
    }
    let mut groups: Vec<Group<'_>> =
        groups.into_iter().map(|(deployment, members)| Group { deployment, members }).collect();
    let newest = |group: &Group<'_>| group.members.iter().map(|member| member.created).max();
    groups.sort_by_key(|group| newest(group).unwrap_or(SystemTime::UNIX_EPOCH));
    groups
}

fn backend(member: &Member) -> NewBackend {
    NewBackend {
        address: member.address,
        weight: member.weight,
        process: Some(Process::Container(member.container.clone())),
        deployment: Some(member.deployment.clone()),
    }
}

/// The container and the deployment of a backend that came from labels.
fn container(backend: &Backend) -> Option<(&str, &str)> {
    match (&backend.process, &backend.deployment) {
        (Some(Process::Container(id)), Some(deployment)) => Some((id, deployment)),
        _ => None,
    }
}

fn is_behind(member: &Member, backend: &Backend) -> bool {
    member.address == backend.address && container(backend).is_some_and(|(id, _)| id == member.container)
}
