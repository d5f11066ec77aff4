//! What a run has measured: figures, each of several samples, and what failed.

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// What one suite has found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Findings {
    pub figures: Vec<Figure>,
    pub failures: Vec<Failure>,
}

impl Figure {
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
}
