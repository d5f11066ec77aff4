//! Prometheus' text format: one family after another, each with its help and its type once.
//!
//! Written line by line into one buffer, with the labels of a backend written once for all its samples: ten thousand
//! backends have a quarter of a million of them, too many for a library that makes an object of each.

use std::{
    borrow::Borrow,
    fmt::{Arguments, Display, Write},
};

use crate::model::status::Handshakes;

/// Of the answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Microseconds in a second.
const MICROSECONDS: f64 = 1e6;

/// Of the buckets that the datapath has, the text has every second: `le` is four times that before.
const BUCKETS_A_BUCKET: usize = 2;

/// From here on not every integer has an `f64` of its own.
const EXACT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;

/// Metrics as text.
#[derive(Debug, Default)]
pub struct Text(String);

/// The labels of a sample, as they are written.
#[derive(Clone, Debug, Default)]
pub struct Labels(String);

/// Labels by name and value.
pub fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    let mut labels = Labels::default();
    pairs.into_iter().for_each(|(name, value)| labels.push(name, value));
    labels
}

impl Labels {
    /// These and another one.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut labels = self.clone();
        labels.push(name, value);
        labels
    }

    fn push(&mut self, name: &str, value: &str) {
        let Self(text) = self;
        text.reserve(name.len() + value.len() + r#","""#.len() + 1);
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\n' => text.push_str(r"\n"),
                '\\' | '"' => text.extend(['\\', character]),
                _ => text.push(character),
            }
        }
        text.push('"');
    }
}

impl Text {
    /// Values that only grow. A family without samples is left out.
    pub fn counter<L: Borrow<Labels>>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (L, f64)>) {
        self.family(name, help, "counter", samples, |text, labels, value| text.sample(name, labels, value));
    }

    /// Values that go up and down. A family without samples is left out.
    pub fn gauge<L: Borrow<Labels>>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (L, f64)>) {
        self.family(name, help, "gauge", samples, |text, labels, value| text.sample(name, labels, value));
    }

    /// Times by their length in seconds. A family without samples is left out.
    pub fn histogram<L: Borrow<Labels>>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, Handshakes)>,
    ) {
        let [bucket, sum, count] = ["bucket", "sum", "count"].map(|part| format!("{name}_{part}"));
        let bounds: Vec<String> = bounds().map(|bound| format!("le=\"{bound}\"")).collect();
        self.family(name, help, "histogram", samples, |text, labels, times| {
            let mut below = 0;
            for (of_bucket, bound) in times.buckets.chunks(BUCKETS_A_BUCKET).zip(&bounds) {
                below += of_bucket.iter().sum::<u64>();
                text.line(&bucket, [&labels.0, bound], below);
            }
            text.sample(&sum, labels, times.sum_us as f64 / MICROSECONDS);
            text.sample(&count, labels, times.count() as f64);
        });
    }

    pub fn into_string(self) -> String {
        self.0
    }

    fn family<L: Borrow<Labels>, V>(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        samples: impl IntoIterator<Item = (L, V)>,
        write: impl Fn(&mut Self, &Labels, V),
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_some() {
            self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        }
        samples.for_each(|(labels, value)| write(self, labels.borrow(), value));
    }

    fn sample(&mut self, name: &str, Labels(labels): &Labels, value: f64) {
        // Most are counts, and an integer is written several times as fast.
        if value.fract() == 0.0 && (0.0..EXACT).contains(&value) {
            self.line(name, [labels, ""], value as u64);
        } else {
            self.line(name, [labels, ""], value);
        }
    }

    fn line(&mut self, name: &str, labels: [&str; 2], value: impl Display) {
        let Self(text) = self;
        text.push_str(name);
        let mut before = '{';
        for part in labels.into_iter().filter(|part| !part.is_empty()) {
            text.push(before);
            text.push_str(part);
            before = ',';
        }
        if before == ',' {
            text.push('}');
        }
        self.push(format_args!(" {value}\n"));
    }

    fn push(&mut self, text: Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes all that is written");
    }
}

/// The upper bounds of a histogram's buckets in seconds, `+Inf` the last.
fn bounds() -> impl Iterator<Item = String> {
    let last_of_each = (0..Handshakes::default().buckets.len()).step_by(BUCKETS_A_BUCKET);
    last_of_each.map(|first| match Handshakes::bound_us(first + BUCKETS_A_BUCKET - 1) {
        Some(bound) => (bound as f64 / MICROSECONDS).to_string(),
        None => "+Inf".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Text)) -> String {
        let mut text = Text::default();
        write(&mut text);
        text.into_string()
    }

    #[test]
    fn labels_are_escaped() {
        let odd = labels([("a", "x\\y\"z\nw"), ("b", "")]);
        assert_eq!(odd.0, r#"a="x\\y\"z\nw",b="""#);
        assert_eq!(labels([("a", "\n\"")]).with("c", "plain").0, r#"a="\n\"",c="plain""#);
    }

    #[test]
    fn values_are_written_exactly() {
        for (value, written) in
            [(0.0, "0"), (12.0, "12"), (0.25, "0.25"), (-3.0, "-3"), (2e18, "2000000000000000000"), (7e-7, "0.0000007")]
        {
            let text = text(|text| text.gauge("a", "Help.", [(Labels::default(), value)]));
            assert_eq!(text, format!("# HELP a Help.\n# TYPE a gauge\na {written}\n"));
        }
    }

    #[test]
    fn family_without_samples_is_left_out() {
        assert_eq!(text(|text| text.counter::<Labels>("a_total", "Help.", [])), "");
    }

    #[test]
    fn buckets_hold_all_that_is_shorter() {
        let mut times = Handshakes { sum_us: 1_500_000, ..Handshakes::default() };
        times.buckets.fill(1);
        let text = text(|text| text.histogram("t", "Help.", [(labels([("s", "x")]), times)]));
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                r#"t_bucket{s="x",le="0.000064"} 2"#,
                r#"t_bucket{s="x",le="0.000256"} 4"#,
                r#"t_bucket{s="x",le="0.001024"} 6"#,
                r#"t_bucket{s="x",le="0.004096"} 8"#,
                r#"t_bucket{s="x",le="0.016384"} 10"#,
                r#"t_bucket{s="x",le="0.065536"} 12"#,
                r#"t_bucket{s="x",le="0.262144"} 14"#,
                r#"t_bucket{s="x",le="1.048576"} 16"#,
                r#"t_bucket{s="x",le="+Inf"} 17"#,
                r#"t_sum{s="x"} 1.5"#,
                r#"t_count{s="x"} 17"#,
            ]
        );
    }
}
