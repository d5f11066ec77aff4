//! From single probes to a backend's health.

use super::probe::Failure;
use crate::model::{HealthReport, HealthStatus};

/// A backend's health, and how far it is on the way to another one.
pub(super) struct Streak {
    report: HealthReport,
    rise: u32,
    fall: u32,
    /// Results in a row that speak against the present status.
    contrary: u32,
}

impl Streak {
    pub fn new(report: HealthReport, rise: u32, fall: u32) -> Self {
        Self { report, rise, fall, contrary: 0 }
    }

    pub fn status(&self) -> HealthStatus {
        self.report.status
    }

    /// Takes in the result of a probe; the report if that changes it.
    pub fn note(&mut self, result: Result<(), Failure>) -> Option<&HealthReport> {
        match result {
            Ok(()) => self.succeeded(),
            Err(Failure::Backend(reason)) => self.failed(reason),
            Err(Failure::Own(reason)) => self.with_error(reason),
        }
    }

    fn succeeded(&mut self) -> Option<&HealthReport> {
        if self.status() == HealthStatus::Up {
            self.contrary = 0;
            return None;
        }
        self.contrary += 1;
        let needed = if self.status() == HealthStatus::Unknown { 1 } else { self.rise };
        (self.contrary >= needed).then(|| self.becomes(HealthStatus::Up))
    }

    fn failed(&mut self, reason: String) -> Option<&HealthReport> {
        if !self.status().is_usable() {
            self.contrary = 0;
            return self.with_error(reason);
        }
        self.contrary += 1;
        let allowed = if self.status() == HealthStatus::Unknown { 1 } else { self.fall };
        if self.contrary < allowed {
            return self.with_error(reason);
        }
        self.becomes(HealthStatus::Down);
        self.with_error(reason)
    }

    fn becomes(&mut self, status: HealthStatus) -> &HealthReport {
        self.report = HealthReport::now(status);
        self.contrary = 0;
        &self.report
    }

    fn with_error(&mut self, reason: String) -> Option<&HealthReport> {
        if self.report.error.as_ref() == Some(&reason) {
            return None;
        }
        self.report.error = Some(reason);
        Some(&self.report)
    }
}

#[cfg(test)]
mod tests {
    use HealthStatus::{Down, Starting, Unknown, Up};

    use super::*;

    const REFUSED: &str = "connection refused";
    const SILENT: &str = "no answer within 1s";

    fn streak(status: HealthStatus) -> Streak {
        Streak::new(HealthReport::now(status), 2, 3)
    }

    fn refused() -> Result<(), Failure> {
        Err(Failure::Backend(REFUSED.to_owned()))
    }

    /// The status after each of these results.
    fn statuses(mut streak: Streak, results: &[bool]) -> Vec<HealthStatus> {
        let status = |&good: &bool| {
            streak.note(if good { Ok(()) } else { refused() });
            streak.status()
        };
        results.iter().map(status).collect()
    }

    #[test]
    fn first_result_decides_about_a_backend_that_was_there_before() {
        assert_eq!(statuses(streak(Unknown), &[true]), [Up]);
        assert_eq!(statuses(streak(Unknown), &[false]), [Down]);
    }

    #[test]
    fn new_backend_comes_in_after_rise_successes_in_a_row() {
        let results = [false, true, false, true, true];
        assert_eq!(statuses(streak(Starting), &results), [Starting, Starting, Starting, Starting, Up]);
    }

    #[test]
    fn backend_goes_after_fall_failures_in_a_row_and_returns_after_rise_successes() {
        let results = [false, false, true, false, false, false, true, false, true, true];
        assert_eq!(statuses(streak(Up), &results), [Up, Up, Up, Up, Up, Down, Down, Down, Down, Up]);
    }

    #[test]
    fn report_is_given_only_when_it_changes() {
        let mut streak = streak(Up);
        assert_eq!(streak.note(Ok(())), None);
        assert_eq!(streak.note(refused()).and_then(|report| report.error.as_deref()), Some(REFUSED));
        assert_eq!(streak.note(refused()), None);
        let down = streak.note(refused()).cloned().unwrap();
        assert_eq!((down.status, down.error.as_deref()), (Down, Some(REFUSED)));
        let silent = streak.note(Err(Failure::Backend(SILENT.to_owned()))).cloned().unwrap();
        assert_eq!(silent, HealthReport { error: Some(SILENT.to_owned()), ..down });
        assert_eq!(streak.note(Ok(())), None);
        let up = streak.note(Ok(())).unwrap();
        assert_eq!((up.status, up.error.as_deref()), (Up, None));
    }

    #[test]
    fn trouble_of_ones_own_is_shown_and_not_held_against_the_backend() {
        let mut streak = streak(Unknown);
        for _ in 0..10 {
            streak.note(Err(Failure::Own("cannot probe".to_owned())));
        }
        assert_eq!((streak.status(), streak.report.error.as_deref()), (Unknown, Some("cannot probe")));
    }
}
