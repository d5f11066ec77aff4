//! What a run has measured: figures, each of several samples, what they are compared with, and what failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::progress::Progress;

/// One quantity, measured several times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// What was done: `established, original direction`.
    pub case: String,
    /// Who did it: `gateway XDP`, `nftables`.
    pub subject: String,
    /// Where on the case's axis, for curves: 30,000 of `flows`.
    pub at: Option<Point>,
    /// Of the samples: `ns/packet`, `connections/s`, `Gbit/s`.
    pub unit: String,
    /// In the order of their measurement; never empty.
    pub samples: Vec<f64>,
}

/// A place on an axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Point {
    /// What varies: `flows`, `services`.
    pub axis: String,
    pub value: u64,
}

/// What could not be measured, or went wrong while it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub case: String,
    pub subject: String,
    pub error: String,
}

/// What the suites have found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    pub figures: Vec<Figure>,
    /// The subject that the others of a case are compared with.
    pub baselines: BTreeMap<String, String>,
    pub failures: Vec<Failure>,
    #[serde(skip)]
    progress: Progress,
}

impl Figure {
    /// A figure that belongs to no curve.
    pub fn new(case: &str, subject: &str, unit: &str, samples: Vec<f64>) -> Self {
        Self { case: case.to_owned(), subject: subject.to_owned(), at: None, unit: unit.to_owned(), samples }
    }

    /// The same as a point of a curve.
    pub fn at(self, axis: &str, value: u64) -> Self {
        Self { at: Some(Point { axis: axis.to_owned(), value }), ..self }
    }

    /// The middle of the samples, the lower one of two.
    pub fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() - 1) / 2]
    }

    pub fn min(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn max(&self) -> f64 {
        self.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Whether more of it is better, which is so for rates alone.
    pub fn more_is_better(&self) -> bool {
        self.unit.ends_with("/s")
    }

    /// Whether both are measures of the same thing, in different runs.
    pub fn is_same_measure(&self, other: &Self) -> bool {
        let identity = |it: &Self| (it.case.clone(), it.subject.clone(), it.at.clone(), it.unit.clone());
        identity(self) == identity(other)
    }
}

impl Findings {
    pub fn new(progress: Progress) -> Self {
        Self { progress, ..Self::default() }
    }

    /// Says what is done next to whoever watches.
    pub fn step(&self, what: &str) {
        self.progress.step(what);
    }

    /// Names the subject that the others of `case` are compared with.
    pub fn baseline(&mut self, case: &str, subject: &str) {
        self.baselines.insert(case.to_owned(), subject.to_owned());
    }

    /// Takes a figure over; one without a sample is a failure.
    pub fn push(&mut self, figure: Figure) {
        if figure.samples.is_empty() {
            self.fail(&figure.case, &figure.subject, "no sample was taken");
        } else {
            self.figures.push(figure);
        }
    }

    pub fn fail(&mut self, case: &str, subject: &str, error: impl ToString) {
        let failure = Failure { case: case.to_owned(), subject: subject.to_owned(), error: error.to_string() };
        self.progress.say(&format!("FAILED: {case}, {subject}: {}", failure.error));
        self.failures.push(failure);
    }

    /// The figure at one place, if it was measured.
    pub fn find(&self, case: &str, subject: &str, at: Option<(&str, u64)>) -> Option<&Figure> {
        let is_there = |point: Option<&Point>| point.map(|point| (point.axis.as_str(), point.value)) == at;
        self.figures.iter().find(|it| it.case == case && it.subject == subject && is_there(it.at.as_ref()))
    }

    /// What `figure` is compared with: the baseline at the same place, or where it does not depend on the place, its
    /// only figure.
    pub fn baseline_of(&self, figure: &Figure) -> Option<&Figure> {
        let baseline = self.baselines.get(&figure.case)?;
        let same = |it: &&Figure| it.case == figure.case && it.subject == *baseline && it.unit == figure.unit;
        let mut candidates = self.figures.iter().filter(same);
        candidates.clone().find(|it| it.at == figure.at).or_else(|| {
            let only = candidates.next()?;
            candidates.next().is_none().then_some(only)
        })
    }

    /// How many times the baseline `figure` is, by their medians.
    pub fn ratio(&self, figure: &Figure) -> Option<f64> {
        let baseline = self.baseline_of(figure)?.median();
        (baseline != 0.0).then(|| figure.median() / baseline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(subject: &str, samples: &[f64]) -> Figure {
        Figure::new("case", subject, "ns", samples.to_vec())
    }

    #[test]
    fn median_is_the_middle_and_the_lower_one_of_two() {
        assert_eq!(figure("a", &[9.0, 1.0, 5.0]).median(), 5.0);
        assert_eq!(figure("a", &[9.0, 1.0, 5.0, 3.0]).median(), 3.0);
        assert_eq!(figure("a", &[7.0]).median(), 7.0);
    }

    #[test]
    fn spread_is_from_the_smallest_to_the_largest() {
        let figure = figure("a", &[9.0, 1.0, 5.0]);
        assert_eq!((figure.min(), figure.max()), (1.0, 9.0));
    }

    #[test]
    fn baseline_at_the_same_place_comes_before_the_only_one() {
        let mut findings = Findings::default();
        findings.baseline("case", "base");
        findings.push(figure("base", &[2.0]));
        let curve = figure("a", &[6.0]).at("flows", 10);
        assert_eq!(findings.ratio(&curve), Some(3.0));
        findings.push(figure("base", &[3.0]).at("flows", 10));
        assert_eq!(findings.ratio(&curve), Some(2.0));
    }

    #[test]
    fn a_baseline_of_several_places_is_not_taken_for_another_place() {
        let mut findings = Findings::default();
        findings.baseline("case", "base");
        findings.push(figure("base", &[2.0]).at("flows", 1));
        findings.push(figure("base", &[3.0]).at("flows", 10));
        assert_eq!(findings.ratio(&figure("a", &[6.0]).at("flows", 100)), None);
    }

    #[test]
    fn a_figure_without_samples_is_a_failure() {
        let mut findings = Findings::default();
        findings.push(figure("a", &[]));
        assert_eq!((findings.figures.len(), findings.failures.len()), (0, 1));
    }
}
