//! The goals, each judged by the figures of one run.

mod list;

use serde::{Deserialize, Serialize};

use crate::{figure::Findings, number};

/// What is wanted of a measured number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

/// A goal and what the run says about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub goal: String,
    /// `x` for ratios.
    pub unit: String,
    pub wanted: Wanted,
    /// `None`: the figures that it takes are not there.
    pub measured: Option<f64>,
}

impl Outcome {
    /// `None` if it was not measured.
    pub fn is_met(&self) -> Option<bool> {
        let measured = self.measured?;
        Some(match self.wanted {
            Wanted::AtMost(limit) => measured <= limit,
            Wanted::AtLeast(limit) => measured >= limit,
        })
    }

    pub fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        }
    }

    pub fn wanted(&self) -> String {
        match self.wanted {
            Wanted::AtMost(limit) => format!("≤ {}", self.spell(limit)),
            Wanted::AtLeast(limit) => format!("≥ {}", self.spell(limit)),
        }
    }

    pub fn found(&self) -> String {
        self.measured.map(|measured| self.spell(measured)).unwrap_or_default()
    }

    fn spell(&self, value: f64) -> String {
        if self.unit == RATIO { number::ratio(value) } else { format!("{} {}", number::quantity(value), self.unit) }
    }
}

const RATIO: &str = "x";

/// A figure by its keys.
#[derive(Clone, Copy)]
struct Key {
    case: &'static str,
    subject: &'static str,
    at: Option<(&'static str, u64)>,
}

impl Key {
    fn median(self, findings: &Findings) -> Option<f64> {
        findings.find(self.case, self.subject, self.at).map(crate::figure::Figure::median)
    }
}

/// How a goal's number comes from figures.
enum Measure {
    /// The median itself.
    Of(Key),
    /// The first figure over the second.
    Ratio(Key, Key),
    /// The largest of several figures over the second one.
    LargestRatio(Vec<Key>, Key),
}

impl Measure {
    fn evaluate(&self, findings: &Findings) -> Option<f64> {
        match self {
            Self::Of(key) => key.median(findings),
            Self::Ratio(key, base) => Some(key.median(findings)? / base.median(findings)?),
            Self::LargestRatio(keys, base) => {
                let medians: Option<Vec<f64>> = keys.iter().map(|key| key.median(findings)).collect();
                Some(medians?.into_iter().reduce(f64::max)? / base.median(findings)?)
            }
        }
    }
}

/// One row of the goals.
struct Goal {
    name: &'static str,
    unit: &'static str,
    wanted: Wanted,
    measure: Measure,
}

/// Every goal, judged.
pub fn judge(findings: &Findings) -> Vec<Outcome> {
    let outcomes = list::goals().into_iter().map(|goal| Outcome {
        goal: goal.name.to_owned(),
        unit: goal.unit.to_owned(),
        wanted: goal.wanted,
        measured: goal.measure.evaluate(findings).filter(|number| number.is_finite()),
    });
    outcomes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figure::Figure,
        names::{axis, live, scale},
    };

    fn outcome<'a>(outcomes: &'a [Outcome], start: &str) -> &'a Outcome {
        outcomes.iter().find(|outcome| outcome.goal.starts_with(start)).expect("there is such a goal")
    }

    #[test]
    fn without_figures_nothing_is_measured() {
        let outcomes = judge(&Findings::default());
        assert!(!outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.verdict() == "not measured"));
    }

    #[test]
    fn goals_have_names_of_their_own() {
        let mut names: Vec<_> = list::goals().iter().map(|goal| goal.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn a_ratio_is_judged_from_both_figures() {
        let mut findings = Findings::default();
        let figure = |subject, ns| Figure::new(live::PACKETS, subject, "ns/packet", vec![ns]).at(axis::FLOWS, 1);
        findings.push(figure(live::GATEWAY_XDP, 180.0));
        assert_eq!(outcome(&judge(&findings), "XDP NAT, 1 flow").is_met(), None);
        findings.push(figure(live::REDIRECT_XDP, 150.0));
        let outcomes = judge(&findings);
        let outcome = outcome(&outcomes, "XDP NAT, 1 flow");
        assert_eq!((outcome.measured, outcome.is_met()), (Some(1.2), Some(true)));
        assert_eq!((outcome.wanted().as_str(), outcome.found().as_str()), ("≤ 1.20×", "1.20×"));
    }

    #[test]
    fn a_figure_is_judged_by_itself() {
        let mut findings = Findings::default();
        let push = |findings: &mut Findings, s| {
            findings.figures.clear();
            findings.push(Figure::new(scale::SWEEP, scale::SWEEPER, "s", vec![s]).at(axis::FLOWS, 1_000_000));
        };
        push(&mut findings, 0.25);
        assert_eq!(outcome(&judge(&findings), "sweep").verdict(), "met");
        push(&mut findings, 0.35);
        assert_eq!(outcome(&judge(&findings), "sweep").verdict(), "missed");
    }
}
