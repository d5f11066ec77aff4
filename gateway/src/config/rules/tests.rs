use super::*;
use crate::model::{Backend, Health, Limits, Policy};

fn service(name: &str, listen: &[&str], backends: &[&str]) -> Service {
    let backend = |address: &&str| Backend::new(address.parse().expect("an endpoint"));
    Service {
        name: name.to_owned(),
        listen: listen.iter().map(|listen| listen.parse().expect("a listen")).collect(),
        policy: Policy::default(),
        health: Health::default(),
        limits: Limits::default(),
        backends: backends.iter().map(backend).collect(),
    }
}

fn fields(service: &Service, others: &[Service], public: &[&str], snat: &[&str]) -> Vec<String> {
    let addresses =
        |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|text| text.parse().expect("an address")).collect() };
    let (public, snat, claims) = (addresses(public), addresses(snat), Claims::of(others));
    let context = Context {
        public_addresses: &public,
        snat_addresses: &snat,
        snat_ports: PortRange::new(40000, 50000),
        others: &claims,
    };
    check_service(service, &context).into_iter().map(|problem| problem.field.to_string()).collect()
}

#[test]
fn sound_service_has_no_problems() {
    let service = service("a", &[":80", "[2001:db8::9]:443"], &["10.0.0.2:80", "[fd00::2]:80"]);
    assert_eq!(fields(&service, &[], &["203.0.113.10"], &["10.0.0.1", "fd00::1"]), [""; 0]);
}

#[test]
fn service_may_wait_for_its_backends() {
    let both = service("a", &["203.0.113.10:80", "[2001:db8::9]:80"], &["10.0.0.2:80"]);
    assert_eq!(fields(&both, &[], &[], &[]), [""; 0]);
}

#[test]
fn every_problem_is_reported_with_its_field() {
    let mut wrong = service("A", &[":80", ":80", ":45000"], &["10.0.0.2:80", "10.0.0.2:80", "[fd00::2%1]:0"]);
    wrong.backends[1].weight = 0;
    wrong.policy.idle_timeout = std::time::Duration::ZERO;
    wrong.limits.new_per_second = Some(0);
    assert_eq!(
        fields(&wrong, &[], &[], &["10.0.0.1"]),
        [
            "name",
            "listen[1]",
            "listen[2]",
            "idle_timeout",
            "limits.new_per_second",
            "backends[1].address",
            "backends[1].weight",
            "backends[2].address",
            "backends[2].address",
        ]
    );
}

#[test]
fn service_without_listen_or_with_port_zero_is_refused() {
    let mut wrong = service("a", &[], &[]);
    assert_eq!(fields(&wrong, &[], &[], &[]), ["listen[0]"]);
    wrong.listen = vec![crate::model::Listen::EveryAddress(0)];
    assert_eq!(fields(&wrong, &[], &[], &[]), ["listen[0]"]);
}

#[test]
fn names_and_listens_of_others_are_taken() {
    let others = [service("a", &["203.0.113.10:80"], &[]), service("b", &[":81"], &[])];
    let public = ["203.0.113.10"];
    assert_eq!(fields(&service("a", &[":82"], &[]), &others, &public, &[]), ["name"]);
    assert_eq!(fields(&service("c", &[":80"], &[]), &others, &public, &[]), ["listen[0]"]);
    assert_eq!(fields(&service("c", &["203.0.113.10:81"], &[]), &others, &public, &[]), ["listen[0]"]);
    assert_eq!(fields(&service("c", &["203.0.113.99:81"], &[]), &others, &public, &[]), [""; 0]);
    assert_eq!(fields(&service("c", &["203.0.113.99:81"], &[]), &others, &[], &[]), ["listen[0]"]);
}

#[test]
fn backend_on_the_front_server_is_refused() {
    let own = service("a", &[":80"], &["203.0.113.10:8080", "10.0.0.1:8080", "203.0.113.10:80"]);
    let problems = fields(&own, &[], &["203.0.113.10"], &["10.0.0.1"]);
    assert_eq!(problems, ["backends[0].address", "backends[1].address", "backends[2].address"]);
}

#[test]
fn problem_is_json_with_the_name_of_its_field() {
    let problem = Problem::new(Field::BackendWeight(2), "too light", "add some");
    assert_eq!(
        serde_json::to_value(problem).expect("JSON"),
        serde_json::json!({ "field": "backends[2].weight", "message": "too light", "remedy": "add some" })
    );
}
