//! Metrics as a scrape of the daemon has them.

use std::{
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio},
};

use gateway_tests::{GatewayConfig, Lab};

/// Where the daemon serves them, in the front server's namespace.
pub const LISTEN: &str = "127.0.0.1:9469";

/// A configuration with `[metrics]`.
pub fn with_metrics(config: &GatewayConfig) -> String {
    format!("{}\n[metrics]\nlisten = {LISTEN:?}\n", config.to_toml())
}

/// One scrape.
#[derive(Debug)]
pub struct Scrape(pub String);

impl Scrape {
    #[track_caller]
    pub fn of(lab: &Lab) -> Self {
        let url = format!("http://{LISTEN}/metrics");
        Self(lab.front.output("curl", &["-sS", "--fail", &url]).success().stdout)
    }

    /// The value of a sample, by everything before it.
    #[track_caller]
    pub fn value(&self, sample: &str) -> f64 {
        self.find(sample).unwrap_or_else(|| panic!("no {sample} in\n{}", self.0))
    }

    pub fn find(&self, sample: &str) -> Option<f64> {
        let rest = self.0.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        rest.map(|value| value.parse().expect("a sample's value is a number"))
    }

    /// Of a backend, with more labels beside, as in `,direction="reply"`.
    #[track_caller]
    pub fn of_backend(&self, metric: &str, service: &str, backend: SocketAddr, labels: &str) -> f64 {
        self.value(&format!("{metric}{{service=\"{service}\",backend=\"{backend}\"{labels}}}"))
    }

    /// Every sample of a counter or histogram, with its value.
    pub fn totals(&self) -> impl Iterator<Item = (&str, f64)> {
        let samples = self.0.lines().filter(|line| !line.starts_with('#'));
        samples.filter_map(|line| line.rsplit_once(' ')).filter_map(|(sample, value)| {
            let name = sample.split('{').next()?;
            let grows = ["_total", "_bucket", "_count", "_sum"].iter().any(|end| name.ends_with(end));
            Some((sample, value.parse().ok()?)).filter(|_| grows)
        })
    }

    /// Holds the text against the rules of Prometheus' own tool.
    #[track_caller]
    pub fn check(&self) {
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = promtool.spawn().expect("promtool is of the package prometheus: run `cargo xtask setup`");
        child.stdin.take().expect("it is piped").write_all(self.0.as_bytes()).expect("promtool reads");
        let output = child.wait_with_output().expect("promtool ends");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.is_empty(), "promtool says:\n{said}\nof\n{}", self.0);
    }
}
