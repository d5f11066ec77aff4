//! The examples for Prometheus and Grafana go with what the gateway tells.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use gateway_tests::{
    Family, Gateway, Mode, Topology,
    scenario::{BACKEND_PORT, PORT, config, servers},
    traffic::{Behaviour, client},
};
use serde::Deserialize;

use crate::scrape::{Scrape, with_metrics};

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// A dashboard as Grafana imports it: the parts that it cannot do without.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dashboard {
    title: String,
    uid: String,
    schema_version: u32,
    panels: Vec<Panel>,
    templating: Templating,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Panel {
    id: u32,
    title: String,
    r#type: String,
    grid_pos: Place,
    #[serde(default)]
    targets: Vec<Target>,
    datasource: Option<Datasource>,
}

#[derive(Debug, Deserialize)]
struct Place {
    h: u32,
    w: u32,
    x: u32,
    y: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    ref_id: String,
    expr: String,
    datasource: Datasource,
}

#[derive(Debug, Deserialize)]
struct Datasource {
    r#type: String,
    uid: String,
}

#[derive(Debug, Deserialize)]
struct Templating {
    list: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
struct Variable {
    name: String,
    r#type: String,
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("gateway_")).collect()
}

fn dashboard() -> (String, Dashboard) {
    let text = fs::read_to_string(example("dashboard.json")).unwrap();
    let dashboard = serde_json::from_str(&text).unwrap_or_else(|e| panic!("Grafana needs what is missing: {e}"));
    (text, dashboard)
}

#[test]
fn dashboard_has_what_grafana_imports() {
    let (text, dashboard) = dashboard();
    assert!(!dashboard.title.is_empty() && !dashboard.uid.is_empty() && dashboard.uid.len() <= 40);
    assert!(dashboard.schema_version >= 36);
    let variables: BTreeSet<_> = dashboard.templating.list.iter().map(|variable| variable.name.as_str()).collect();
    assert!(
        dashboard
            .templating
            .list
            .iter()
            .any(|it| (it.name.as_str(), it.r#type.as_str()) == ("datasource", "datasource"))
    );
    for word in text.split('$').skip(1) {
        let name: String =
            word.trim_start_matches('{').chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
        let of_grafana = name.starts_with("__");
        assert!(of_grafana || variables.contains(name.as_str()), "${name} is no variable");
    }
    let ids: BTreeSet<_> = dashboard.panels.iter().map(|panel| panel.id).collect();
    assert_eq!(ids.len(), dashboard.panels.len(), "two panels have one id");
    for panel in &dashboard.panels {
        let Place { h, w, x, y: _ } = panel.grid_pos;
        assert!(h > 0 && w > 0 && x + w <= 24, "{}", panel.title);
        if panel.r#type == "row" {
            continue;
        }
        assert!(!panel.targets.is_empty(), "{} asks for nothing", panel.title);
        let sources = panel.targets.iter().map(|target| &target.datasource).chain(&panel.datasource);
        for source in sources {
            assert_eq!(
                (source.r#type.as_str(), source.uid.as_str()),
                ("prometheus", "${datasource}"),
                "{}",
                panel.title
            );
        }
        let letters: BTreeSet<_> = panel.targets.iter().map(|target| &target.ref_id).collect();
        assert_eq!(letters.len(), panel.targets.len(), "{}", panel.title);
    }
    for (one, panel) in dashboard.panels.iter().enumerate() {
        for other in &dashboard.panels[one + 1..] {
            let apart = |a: u32, b: u32, c: u32, d: u32| a + b <= c || c + d <= a;
            let (p, q) = (&panel.grid_pos, &other.grid_pos);
            assert!(apart(p.x, p.w, q.x, q.w) || apart(p.y, p.h, q.y, q.h), "{} hides {}", panel.title, other.title);
        }
    }
}

/// Holds expressions against Prometheus' parser, as rules.
#[test]
fn queries_and_alerts_are_prometheus_own_language() {
    let (_, dashboard) = dashboard();
    let expressions = dashboard.panels.iter().flat_map(|panel| &panel.targets).map(|target| &target.expr);
    // Of a rule there is one with its name and labels.
    let rules = (0..).zip(expressions).map(|(number, expression): (usize, _)| {
        let (expression, number) = (expression.replace("$__rate_interval", "5m"), number.to_string());
        serde_json::json!({"record": "gateway:query", "expr": expression, "labels": {"query": number}})
    });
    let rules: Vec<_> = rules.collect();
    assert!(rules.len() > 15);
    // YAML is a superset of JSON.
    let queries = serde_json::json!({"groups": [{"name": "queries", "rules": rules}]});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.yml");
    fs::write(&file, queries.to_string()).unwrap();
    for file in [example("alerts.yml"), file] {
        let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output();
        let output = output.expect("promtool is of the package prometheus: run `cargo xtask setup`");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.contains("SUCCESS"), "{}: {said}", file.display());
    }
}

#[test]
fn every_metric_that_the_examples_name_is_in_a_scrape() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let gateway = Gateway::start_with(&lab, &with_metrics(&config(&lab, Mode::XdpNative)), &[]);
    let listen = lab.front.at(Family::V4, PORT + 1).to_string();
    let backend = lab.backends[0].at(Family::V4, BACKEND_PORT).to_string();
    gateway.cli(&["service", "add", "deployed", "--listen", &listen, "--backend", &backend]).success();
    let deploy = ["deploy", "deployed", "--backend", &backend, "--rollback-on-errors", "off"];
    gateway.cli(&deploy).success();
    let stream = client::connect(&lab.client, lab.front.at(Family::V4, PORT)).unwrap();
    client::exchange(&stream, 1, 1_000).unwrap();
    let scrape = Scrape::of(&lab);
    scrape.check();
    let there: BTreeSet<&str> = metrics(&scrape.0);
    for name in ["alerts.yml", "dashboard.json"] {
        let text = fs::read_to_string(example(name)).unwrap();
        let named = metrics(&text);
        assert!(named.len() > 10, "{name} names {named:?}");
        let absent: Vec<_> = named.difference(&there).collect();
        assert!(absent.is_empty(), "{name} names {absent:?}, which no scrape has");
    }
}
