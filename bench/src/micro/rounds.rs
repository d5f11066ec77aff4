//! Samples of several subjects in turns.

use anyhow::Result;

use crate::{
    figure::{Figure, Findings},
    harness::{Harness, Hook, Packets, Program},
    names::micro as names,
};

/// How many samples, and how long each takes.
#[derive(Clone, Copy)]
pub struct Rounds {
    pub count: u32,
    pub seconds: f64,
}

/// A name with what it stands for.
pub type Subject = (&'static str, Hook, Program);

pub const UNIT: &str = "ns/packet";
/// Packets of the run that tells how long a sample is to be. It also fills the table of half-open flows, which is
/// small, so that samples find it as a busy gateway has it.
const TRIAL: u32 = 200_000;
/// A sample is at least so many packets.
const LEAST: f64 = 100_000.0;

impl Rounds {
    /// Measures a case at one place of its axis.
    pub fn measure(
        self,
        harness: &mut Harness,
        case: &str,
        at: Option<(&str, u64)>,
        packets: &Packets,
        subjects: &[Subject],
        findings: &mut Findings,
    ) {
        let mut trials = Vec::new();
        for subject @ (name, hook, program) in subjects {
            match self.repeat(harness, *hook, *program, packets) {
                Ok(repeat) => trials.push((subject, repeat, Vec::new())),
                Err(error) => findings.fail(&place(case, at), name, format!("{error:#}")),
            }
        }
        for _ in 0..self.count {
            for ((name, hook, program), repeat, samples) in &mut trials {
                match harness.run_net(*hook, *program, packets, *repeat) {
                    Ok(sample) => samples.push(sample),
                    Err(error) => findings.fail(&place(case, at), name, format!("{error:#}")),
                }
            }
        }
        for ((name, ..), _, samples) in trials.into_iter().filter(|(.., samples)| !samples.is_empty()) {
            let figure = Figure::new(case, name, UNIT, samples);
            findings.push(match at {
                Some((axis, value)) => figure.at(axis, value),
                None => figure,
            });
        }
    }

    /// What is taken off all others.
    pub fn measure_drivers(self, harness: &mut Harness, case: &str, packets: &Packets, findings: &mut Findings) {
        for (name, hook) in [(names::DRIVER_XDP, Hook::Xdp), (names::DRIVER_TC, Hook::Tc)] {
            let samples: Result<Vec<f64>> = self.repeat(harness, hook, Program::Empty, packets).and_then(|repeat| {
                (0..self.count).map(|_| harness.run(hook, Program::Empty, packets, repeat)).collect()
            });
            match samples {
                Ok(samples) => findings.push(Figure::new(case, name, UNIT, samples)),
                Err(error) => findings.fail(case, name, format!("{error:#}")),
            }
        }
    }

    fn repeat(self, harness: &mut Harness, hook: Hook, program: Program, packets: &Packets) -> Result<u32> {
        let ns = harness.run(hook, program, packets, TRIAL)?;
        Ok((self.seconds * 1e9 / ns.max(1.0)).clamp(LEAST, f64::from(u32::MAX)) as u32)
    }
}

fn place(case: &str, at: Option<(&str, u64)>) -> String {
    at.map_or_else(|| case.to_owned(), |(axis, value)| format!("{case}, {value} {axis}"))
}
