//! Looks at the datapath now and then, and tells what nobody has ordered: limits that packets meet, warnings,
//! interfaces.
//!
//! A limit that goes on being met is told again after 1 s, 2 s, 4 s and so on, once a minute at least: a flood fills
//! neither the log nor the ring of events.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    task::spawn_blocking,
    time::{self, Instant},
};

use super::{Engine, PacketTables};
use crate::model::{
    event::Happening,
    status::{AttachMode, DatapathStatus, ReasonCount},
};

/// Between two looks at the packets' reasons.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks at the reasons between two looks at all the rest, which takes longer.
const REASONS_FIRST: u32 = 5;

/// Longest time for which a limit that is met again and again goes untold.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Who looks; what was counted before there is one is no news.
pub struct Lookout<P> {
    engine: Arc<Engine<P>>,
    limits: Limits,
}

impl<P: PacketTables> Lookout<P> {
    pub fn new(engine: Arc<Engine<P>>) -> Result<Self> {
        let limits = Limits::since(&engine.reasons()?);
        Ok(Self { engine, limits })
    }

    /// Looks for as long as it is polled.
    pub async fn run(self) {
        if let Err(error) = self.try_run().await {
            log::error!("limits and warnings are no longer told, restart the gateway: {error:#}");
        }
    }

    async fn try_run(mut self) -> Result<()> {
        for look in 0_u32.. {
            let looking = self.engine.clone();
            let reasons = spawn_blocking(move || -> Result<Vec<ReasonCount>> {
                if look.is_multiple_of(REASONS_FIRST) {
                    looking.look()?;
                }
                looking.reasons()
            });
            let reasons = reasons.await.context("look at the packet tables")??;
            self.engine.events().publish(self.limits.met(&reasons, Instant::now()));
            time::sleep(INTERVAL).await;
        }
        Ok(())
    }
}

/// Whether packets of this reason have met a limit: one that is configured, one of memory or ports, or that of what is
/// there.
fn is_limit(reason: &str) -> bool {
    const LIMITS: [&str; 6] =
        ["limit_", "table_full", "ports_exhausted", "port_share_used", "no_backend", "cookie_sent"];
    LIMITS.iter().any(|limit| reason.starts_with(limit))
}

/// Packets that have met limits.
#[derive(Debug)]
struct Limits(HashMap<String, Limit>);

#[derive(Debug)]
struct Limit {
    /// Packets that have met it and were told.
    told: u64,
    /// When more may be told.
    due: Instant,
    pause: Duration,
}

impl Limits {
    /// What these reasons have is no news.
    fn since(reasons: &[ReasonCount]) -> Self {
        let limits = reasons.iter().map(|ReasonCount { reason, packets, .. }| {
            (reason.clone(), Limit { told: *packets, due: Instant::now(), pause: INTERVAL })
        });
        Self(limits.collect())
    }

    /// What there is to tell.
    fn met(&mut self, reasons: &[ReasonCount], now: Instant) -> Vec<Happening> {
        let limits = reasons.iter().filter(|count| is_limit(&count.reason));
        limits.filter_map(|ReasonCount { reason, packets, .. }| self.note(reason, *packets, now)).collect()
    }

    fn note(&mut self, reason: &str, packets: u64, now: Instant) -> Option<Happening> {
        let limit = self.0.entry(reason.to_owned()).or_insert(Limit { told: 0, due: now, pause: INTERVAL });
        if now < limit.due {
            return None;
        }
        let new = packets.saturating_sub(limit.told);
        limit.told = packets;
        if new == 0 {
            limit.pause = INTERVAL;
            return None;
        }
        limit.due = now + limit.pause;
        limit.pause = (limit.pause * 2).min(LONGEST_PAUSE);
        Some(Happening::LimitHit { reason: reason.to_owned(), packets: new })
    }
}

/// The interfaces and warnings that were there at the last look.
#[derive(Debug, Default)]
pub(super) struct Seen {
    interfaces: BTreeMap<String, AttachMode>,
    /// Sentences by their [`gist`].
    warnings: BTreeMap<String, String>,
}

impl Seen {
    /// What is others than at the last look.
    pub fn look(&mut self, status: &DatapathStatus) -> Vec<Happening> {
        let interfaces = status.interfaces.iter().map(|interface| (interface.name.clone(), interface.mode)).collect();
        let warnings = status.warnings.iter().map(|warning| (gist(warning), warning.clone())).collect();
        let mut happenings = Vec::new();
        for interface in self.interfaces.keys().filter(|name| !BTreeMap::contains_key(&interfaces, *name)) {
            happenings.push(Happening::InterfaceDetached { interface: interface.clone() });
        }
        for (interface, mode) in interfaces.iter().filter(|(name, mode)| self.interfaces.get(*name) != Some(*mode)) {
            happenings.push(Happening::InterfaceAttached { interface: interface.clone(), mode: *mode });
        }
        for (_, warning) in self.warnings.iter().filter(|(gist, _)| !BTreeMap::contains_key(&warnings, *gist)) {
            happenings.push(Happening::WarningCleared { warning: warning.clone() });
        }
        for (_, warning) in warnings.iter().filter(|(gist, _)| !self.warnings.contains_key(*gist)) {
            happenings.push(Happening::WarningRaised { warning: warning.clone() });
        }
        *self = Self { interfaces, warnings };
        happenings
    }
}

/// A warning without its figures: one that only tells others is the same warning.
fn gist(warning: &str) -> String {
    let is_figure = |word: &str| word.trim_matches(['(', ')']).parse::<u64>().is_ok();
    warning.split(' ').filter(|word| !is_figure(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::{Action, InterfaceStatus};

    fn count(reason: &str, packets: u64) -> [ReasonCount; 1] {
        [ReasonCount { reason: reason.into(), action: Action::Drop, packets }]
    }

    #[test]
    fn limit_is_told_when_it_is_met_and_more_and_more_seldom_while_it_lasts() {
        let (mut limits, start) = (Limits::since(&count("limit_rate", 5)), Instant::now());
        assert!(limits.met(&count("limit_rate", 5), start).is_empty(), "what was there before is no news");
        let mut told = Vec::new();
        // Ten packets a second for ten minutes.
        for second in 1..=600 {
            let now = start + INTERVAL * second;
            for what in limits.met(&count("limit_rate", 5 + 10 * u64::from(second)), now) {
                let Happening::LimitHit { reason, packets } = what else { panic!("{what:?}") };
                assert_eq!(reason, "limit_rate");
                told.push((second, packets));
            }
        }
        assert_eq!(told[..4], [(1, 10), (2, 10), (4, 20), (8, 40)]);
        assert!(told.len() < 20, "{told:?}");
        let all: u64 = told.iter().map(|(_, packets)| packets).sum();
        assert_eq!(all, 10 * u64::from(told.last().unwrap().0), "every packet is told of once");

        // It ends, is quiet for longer than the pause, and comes back.
        let end = start + Duration::from_secs(3600);
        assert_eq!(limits.met(&count("limit_rate", 6005), end).len(), 1, "the rest");
        let later = end + LONGEST_PAUSE;
        assert!(limits.met(&count("limit_rate", 6005), later).is_empty());
        for again in 1..=2 {
            let told = limits.met(&count("limit_rate", 6005 + again), later + INTERVAL * again as u32);
            assert_eq!(told, [Happening::LimitHit { reason: "limit_rate".into(), packets: 1 }], "told at once again");
        }
    }

    #[test]
    fn other_reasons_are_no_limits() {
        let (mut limits, now) = (Limits::since(&[]), Instant::now());
        for reason in ["forwarded", "unknown_flow", "not_ip"] {
            assert!(limits.met(&count(reason, 9), now).is_empty(), "{reason}");
        }
    }

    #[test]
    fn warning_is_told_when_it_comes_and_when_it_goes_whatever_its_figures() {
        let status = |warnings: &[&str]| DatapathStatus {
            warnings: warnings.iter().map(|warning| (*warning).to_owned()).collect(),
            ..DatapathStatus::default()
        };
        let mut seen = Seen::default();
        let kinds = |happenings: Vec<Happening>| happenings.iter().map(Happening::kind).collect::<Vec<_>>();
        assert_eq!(kinds(seen.look(&status(&["full: 80 % (80 of 100)"]))), ["warning-raised"]);
        assert!(seen.look(&status(&["full: 81 % (81 of 100)"])).is_empty());
        let other = seen.look(&status(&["ports towards 10.0.0.1:80 are 81 % full", "full: 99 % (99 of 100)"]));
        assert_eq!(kinds(other), ["warning-raised"]);
        let other = seen.look(&status(&["ports towards 10.0.0.2:80 are 81 % full"]));
        assert_eq!(kinds(other), ["warning-cleared", "warning-cleared", "warning-raised"]);
    }

    #[test]
    fn interfaces_come_go_and_change_their_mode() {
        let status = |interfaces: &[(&str, AttachMode)]| DatapathStatus {
            interfaces: interfaces
                .iter()
                .map(|(name, mode)| InterfaceStatus { name: (*name).to_owned(), ifindex: 2, mode: *mode })
                .collect(),
            ..DatapathStatus::default()
        };
        let mut seen = Seen::default();
        assert_eq!(seen.look(&status(&[("eth0", AttachMode::Tc), ("br0", AttachMode::Tc)])).len(), 2);
        let changed = seen.look(&status(&[("eth0", AttachMode::XdpNative)]));
        let interface = |name: &str| name.to_owned();
        assert_eq!(
            changed,
            [
                Happening::InterfaceDetached { interface: interface("br0") },
                Happening::InterfaceAttached { interface: interface("eth0"), mode: AttachMode::XdpNative },
            ]
        );
    }
}
