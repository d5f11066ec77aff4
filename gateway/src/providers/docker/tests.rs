//! From what Docker answers to what is done about it, without a daemon.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use bollard::models::ContainerInspectResponse;

use super::{
    container::{Activity, Container, Network},
    inventory::Inventory,
    labels::Member,
    snapshot::Snapshot,
};

mod plans;

/// `docker inspect` of a container on docker0 with `STOPSIGNAL SIGUSR1` and `PORT=8000`.
const RUNNING: &str = include_str!("tests/running.json");
/// The same of one in the networks `n1` and `n2`.
const TWO_NETWORKS: &str = include_str!("tests/two-networks.json");

const DOCKER0: &str = "269f3cc8c5335e2b1e3f25d36cd0476c5bcbf206c6f1b0f416f7165a8f6a72c7";
const N1: &str = "060a6fbf79cea2f520c357e5b0489afc6f35a8b7ec725b13f3b04c4db27d1b58";
const N2: &str = "50b84b473f5bdb727fe38891071c8eea320eb8847ba1141dfbc0bd564eba0b80";

fn inspect(json: &str) -> Container {
    let answer: ContainerInspectResponse = serde_json::from_str(json).unwrap();
    Container::from_inspect(answer).unwrap()
}

fn labelled(json: &str, labels: &[(&str, &str)]) -> Container {
    let mut container = inspect(json);
    container.labels.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    container
}

fn networks(ids: &[&str]) -> Vec<Network> {
    ids.iter().map(|id| Network { id: (*id).to_owned(), bridge: format!("br-{}", &id[..12]) }).collect()
}

fn member(container: &Container) -> Result<Option<Member>, String> {
    Member::from_container(container, &networks(&[DOCKER0, N1, N2]))
}

#[test]
fn container_is_what_inspect_says() {
    let container = inspect(RUNNING);
    assert_eq!((container.name.as_str(), container.activity), ("aa", Activity::Running));
    assert_eq!((container.port.as_deref(), container.stop_signal.as_str()), (Some("8000"), "SIGUSR1"));
    assert!(container.created > SystemTime::UNIX_EPOCH && container.started > container.created);
    assert!(container.is_stopped_by("10") && container.is_stopped_by("9") && !container.is_stopped_by("15"));
}

#[test]
fn labels_have_their_defaults() {
    let member = member(&inspect(RUNNING)).unwrap().unwrap();
    assert_eq!((member.service.as_str(), member.weight), ("mqtt", 1));
    assert_eq!(member.address, "172.17.0.2:8000".parse::<SocketAddr>().unwrap());
    assert!(member.deployment.starts_with("sha256:"), "{}", member.deployment);
}

#[test]
fn labels_say_otherwise() {
    let labels = [("gateway.port", "1883"), ("gateway.weight", "7"), ("gateway.deployment", "v2")];
    let member = member(&labelled(RUNNING, &labels)).unwrap().unwrap();
    assert_eq!((member.address.port(), member.weight, member.deployment.as_str()), (1883, 7, "v2"));
    assert_eq!(super::tests::member(&labelled(RUNNING, &[("gateway.enable", "false")])), Ok(None));
}

#[test]
fn unusable_labels_have_a_sentence() {
    let cases = [
        (("gateway.enable", "1"), "label gateway.enable is `1`; it can be `true` or `false`"),
        (("gateway.service", ""), "it has no label gateway.service, which names the service"),
        (("gateway.port", "0"), "gateway.port is `0`; it has to be a number from 1 to 65535"),
        (("gateway.weight", "heavy"), "gateway.weight is `heavy`; it has to be a number from 1 to 65535"),
        (("gateway.network", "n9"), "it is not in the network n9 of label gateway.network, but in bridge"),
    ];
    for (label, sentence) in cases {
        assert_eq!(member(&labelled(RUNNING, &[label])), Err(sentence.to_owned()), "{label:?}");
    }
    let error = member(&labelled(RUNNING, &[("gateway.service", "My Service")])).unwrap_err();
    assert!(error.starts_with("label gateway.service: the name \"My Service\" has a 'M' in it; use"), "{error}");
}

#[test]
fn address_is_of_the_first_network_that_the_host_routes_to() {
    let container = labelled(TWO_NETWORKS, &[("gateway.service", "web")]);
    let address = |container: &Container, ids: &[&str]| {
        let member = Member::from_container(container, &networks(ids))?;
        Ok::<_, String>(member.unwrap().address.ip().to_string())
    };
    assert_eq!(address(&container, &[N1, N2]).unwrap(), "172.18.0.2");
    assert_eq!(address(&container, &[N2]).unwrap(), "172.19.0.2");
    assert!(address(&container, &[DOCKER0]).unwrap_err().contains("networks: n1, n2"));
    let named = labelled(TWO_NETWORKS, &[("gateway.service", "web"), ("gateway.network", "n2")]);
    assert_eq!(address(&named, &[N1, N2]).unwrap(), "172.19.0.2");
    assert!(address(&named, &[N1]).unwrap_err().contains("is not a bridge that this host routes to"));
}

#[test]
fn snapshot_has_services_bridges_and_findings() {
    let web = labelled(TWO_NETWORKS, &[("gateway.service", "web"), ("gateway.wieght", "2")]);
    let mut stopped = labelled(RUNNING, &[("gateway.port", "none")]);
    stopped.activity = Activity::Stopped;
    let snapshot = Snapshot::of([&inspect(RUNNING), &web, &stopped], &networks(&[DOCKER0, N1, N2]));
    assert_eq!(snapshot.services.keys().collect::<Vec<_>>(), ["mqtt", "web"]);
    let bridges = [N1, DOCKER0, N2].map(|id| format!("br-{}", &id[..12]));
    assert_eq!(snapshot.bridges, bridges.into());
    let typo = "container bb: unknown label gateway.wieght; did you mean `gateway.weight`?";
    assert_eq!(snapshot.findings, [typo.to_owned()].into());
}

#[test]
fn network_has_a_bridge_if_packets_can_be_routed_to_it() {
    let network = |json: &str| Network::from_inspect(serde_json::from_str(json).unwrap());
    let named = r#"{"Id": "269f3cc8c533aaaa", "Driver": "bridge", "Internal": false,
        "Options": {"com.docker.network.bridge.name": "docker0"}}"#;
    assert_eq!(network(named).unwrap().bridge, "docker0");
    let unnamed = r#"{"Id": "269f3cc8c533aaaa", "Driver": "bridge", "Internal": false, "Options": {}}"#;
    assert_eq!(network(unnamed).unwrap().bridge, "br-269f3cc8c533");
    assert_eq!(network(r#"{"Id": "1", "Driver": "bridge", "Internal": true}"#), None);
    assert_eq!(network(r#"{"Id": "1", "Driver": "macvlan"}"#), None);
}

#[test]
fn container_that_was_told_to_stop_stays_so_until_it_starts_again() {
    let container = inspect(RUNNING);
    let activity = |inventory: &Inventory| inventory.containers().next().map(|it| it.activity);
    let mut inventory = Inventory::default();
    inventory.replace(vec![container.clone()]);
    inventory.signalled(&container.id, "1");
    assert_eq!(activity(&inventory), Some(Activity::Running), "SIGHUP is not its stop signal");
    inventory.signalled(&container.id, "10");
    assert_eq!(activity(&inventory), Some(Activity::Stopping));
    inventory.replace(vec![container.clone()]);
    assert_eq!(activity(&inventory), Some(Activity::Stopping), "a listing knows nothing of signals");
    let started = container.started + Duration::from_secs(1);
    inventory.update(&container.id, Some(Container { started, ..container.clone() }));
    assert_eq!(activity(&inventory), Some(Activity::Running));
    inventory.update(&container.id, None);
    assert_eq!(activity(&inventory), None);
}
