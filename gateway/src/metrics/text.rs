//! Prometheus' text format: one family after another, each with its help and its type once.

use anyhow::{Context, Result};
use prometheus::{
    TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::model::status::Handshakes;

/// Of the answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Microseconds in a second.
const MICROSECONDS: f64 = 1e6;

/// Metrics as text.
#[derive(Debug, Default)]
pub struct Text(String);

/// The labels of a sample.
pub type Labels = Vec<LabelPair>;

/// Labels by name and value.
pub fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    pairs.into_iter().map(pair).collect()
}

impl Text {
    /// Values that only grow. A family without samples is left out.
    pub fn counter(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, f64)>) -> Result<()> {
        let metric = |(labels, value)| {
            let mut counter = Counter::default();
            counter.set_value(value);
            let mut metric = Metric::from_label(labels);
            metric.set_counter(counter);
            metric
        };
        self.family(MetricType::COUNTER, name, help, samples.into_iter().map(metric).collect())
    }

    /// Values that go up and down. A family without samples is left out.
    pub fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, f64)>) -> Result<()> {
        let metric = |(labels, value)| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            let mut metric = Metric::from_label(labels);
            metric.set_gauge(gauge);
            metric
        };
        self.family(MetricType::GAUGE, name, help, samples.into_iter().map(metric).collect())
    }

    /// Times by their length in seconds. A family without samples is left out.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, Handshakes)>,
    ) -> Result<()> {
        let metric = |(labels, times): (Labels, Handshakes)| {
            let mut metric = Metric::from_label(labels);
            metric.set_histogram(histogram(&times));
            metric
        };
        self.family(MetricType::HISTOGRAM, name, help, samples.into_iter().map(metric).collect())
    }

    pub fn into_string(self) -> String {
        self.0
    }

    fn family(&mut self, kind: MetricType, name: &str, help: &str, metrics: Vec<Metric>) -> Result<()> {
        if metrics.is_empty() {
            return Ok(());
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        TextEncoder::new().encode_utf8(&[family], &mut self.0).with_context(|| format!("write the metric {name}"))
    }
}

/// The buckets with a bound, each with all that is shorter; the encoder adds the one without.
fn histogram(times: &Handshakes) -> Histogram {
    let mut below = 0;
    let bounded = times.buckets.iter().enumerate().filter_map(|(bucket, count)| {
        let bound = Handshakes::bound_us(bucket)?;
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(below);
        bucket.set_upper_bound(bound as f64 / MICROSECONDS);
        Some(bucket)
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(bounded.collect());
    histogram.set_sample_count(times.count());
    histogram.set_sample_sum(times.sum_us as f64 / MICROSECONDS);
    histogram
}
