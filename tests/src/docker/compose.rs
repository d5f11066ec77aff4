//! The containers of a compose file, as `docker compose up` starts them; the plugin itself need not be there.

use yaml_rust2::{Yaml, YamlLoader};

use super::ContainerSpec;

/// The containers that the project `project` makes of a compose file, with its variable `VERSION`. They run the lab's
/// server, in the project's network, which is to be there.
///
/// # Panics
/// When the file is no compose file, or has a key that this does not know.
#[track_caller]
pub fn containers(file: &str, project: &str, version: &str) -> Vec<ContainerSpec> {
    let text = file.replace("${VERSION:-1}", version);
    let documents = YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("no YAML: {e}"));
    let services = documents[0]["services"].as_hash().expect("it has services");
    services.iter().flat_map(|(name, service)| of_service(text_of(name), service, project)).collect()
}

fn of_service(name: &str, service: &Yaml, project: &str) -> Vec<ContainerSpec> {
    let mut replicas = 1;
    let mut options = vec![format!("--network={project}")];
    for (key, value) in service.as_hash().expect("a service has keys") {
        match text_of(key) {
            // The images of the lab stand in for it.
            "image" => {}
            "environment" => options.extend(assignments("env", value)),
            "labels" => options.extend(assignments("label", value)),
            "deploy" => replicas = value["replicas"].as_i64().expect("a number of replicas"),
            "stop_signal" => options.push(format!("--stop-signal={}", text_of(value))),
            "stop_grace_period" => {
                let seconds = text_of(value).trim_end_matches('s');
                options.push(format!("--stop-timeout={seconds}"));
            }
            other => panic!("service {name} has the key {other}, which the test does not know"),
        }
    }
    let container = |number| {
        let spec = ContainerSpec::new(&format!("{project}-{name}-{number}"));
        options.iter().fold(spec, |spec, option| spec.option(option))
    };
    (1..=replicas).map(container).collect()
}

fn assignments(option: &str, values: &Yaml) -> Vec<String> {
    let values = values.as_hash().unwrap_or_else(|| panic!("{option} is a map"));
    values.iter().map(|(key, value)| format!("--{option}={}={}", text_of(key), text_of(value))).collect()
}

/// Compose wants text where a number or a truth value could be mistaken.
#[track_caller]
fn text_of(value: &Yaml) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value:?} has to be quoted"))
}
