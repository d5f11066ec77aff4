//! Interleaved rounds: every subject once, then every subject again, so that what disturbs the machine for a while
//! disturbs all of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, anyhow};

use crate::figure::{Figure, Findings, Point};

/// What the rounds have given so far.
#[derive(Default)]
pub struct Samples {
    figures: Vec<Figure>,
}

impl Samples {
    pub fn take(&mut self, case: &str, subject: &str, unit: &str, value: f64) {
        self.take_at(case, subject, None, unit, value);
    }

    pub fn take_at(&mut self, case: &str, subject: &str, at: Option<Point>, unit: &str, value: f64) {
        let same = |figure: &&mut Figure| figure.case == case && figure.subject == subject && figure.at == at;
        match self.figures.iter_mut().find(same) {
            Some(figure) => figure.samples.push(value),
            None => self.figures.push(Figure {
                case: case.to_owned(),
                subject: subject.to_owned(),
                at,
                unit: unit.to_owned(),
                samples: vec![value],
            }),
        }
    }

    /// Hands over, case by case.
    pub fn into_findings(mut self, findings: &mut Findings) {
        while let Some(first) = self.figures.first() {
            let case = first.case.clone();
            let (same, others) = self.figures.into_iter().partition(|figure| figure.case == case);
            self.figures = others;
            let same: Vec<Figure> = same;
            same.into_iter().for_each(|figure| findings.push(figure));
        }
    }
}

/// A subject.
pub trait Named {
    fn name(&self) -> &'static str;
}

/// Measures every subject in turn, `rounds` times over. One that fails is a finding, and is left out from then on.
pub fn interleave<S: Named>(
    findings: &mut Findings,
    case: &str,
    rounds: usize,
    subjects: &mut [S],
    measure: &mut dyn FnMut(&mut S, &mut Samples) -> Result<()>,
) {
    let mut samples = Samples::default();
    let mut well: Vec<&mut S> = subjects.iter_mut().collect();
    for _ in 0..rounds {
        well.retain_mut(|subject| match guarded(|| measure(subject, &mut samples)) {
            Ok(()) => true,
            Err(error) => {
                findings.fail(case, subject.name(), format!("{error:#}"));
                false
            }
        });
    }
    samples.into_findings(findings);
}

/// Makes an error of a panic: the lab panics where something does not work.
pub fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(anyhow!("{}", text.unwrap_or_else(|| "panicked".to_owned())))
    })
}
