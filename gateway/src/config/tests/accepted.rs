use super::*;
use crate::model::Health;

/// The example of the outward contract, word for word.
const CONTRACT: &str = r#"
[control]
socket = "/run/gateway/gateway.sock"
state  = "/var/lib/gateway"            # what was set through the CLI survives here

[metrics]
listen = "127.0.0.1:9469"              # Prometheus text, /healthz, /readyz; absent = off

[public]
hostname = "tcp-1.example.com"         # used in service URLs
address  = ["203.0.113.10", "2001:db8::10"]
ports    = "20000-29999"               # for services that ask for a port

[[interface]]
name = "eth0"
mode = "auto"                          # auto | xdp-native | xdp-generic | tc

[snat]
addresses = ["10.0.0.1", "fd00::1"]    # the front server's internal addresses
ports     = "40000-65535"              # default: above the kernel's ip_local_port_range and clear of every service

[flows]
capacity  = 1048576

[defaults]                             # of every service
algorithm     = "maglev"               # maglev | least-connections | source
idle_timeout  = "2h4m"
drain_timeout = "30s"
on_deadline   = "reset"                # reset | drop : flows still open when the drain ends
no_backend    = "reset"                # reset | drop : SYN to a service with no usable backend
unknown_flow  = "drop"                 # drop | reset : segment of a service that belongs to no flow

[[service]]
name   = "mqtt"
listen = "203.0.113.10:20003"          # address:port, [v6]:port, or ":port" for every public address
  [service.health]                     # tcp handshake by default
  kind = "tcp"                         # tcp | http | grpc | none
  interval = "2s"
  timeout  = "1s"
  rise = 1
  fall = 3
  [service.limits]                     # all off unless set
  connections            = 100000      # open flows
  connections_per_source = 100
  new_per_second             = 5000
  new_per_second_per_source  = 50
  [[service.backend]]
  address = "10.0.1.2:1883"
  weight  = 1

[docker]                               # absent = off
socket = "/var/run/docker.sock"
"#;

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn contracts_example_is_valid_without_a_warning() {
    let config = accept(CONTRACT);
    assert_eq!(config.services.len(), 1);
    assert_eq!(config.services[0].limits.new_per_second, Some(5000));
    assert_eq!(config.services[0].health, Health::default());
    assert_eq!(config.docker, Some(Docker::default()));
    assert_eq!(warnings(&config), [] as [&str; 0]);
}

#[test]
fn example_file_is_valid_without_a_warning() {
    let config = accept(EXAMPLE);
    assert_eq!(warnings(&config), [] as [&str; 0]);
    assert_eq!(config.interfaces[0], Interface { name: "eth0".to_owned(), mode: Mode::Auto });
    assert_eq!(config.snat.ports, PortRange::new(40000, 65535));
    let postgres = &config.services[1];
    assert_eq!(postgres.listen.len(), 2);
    assert_eq!(postgres.policy.algorithm, Algorithm::LeastConnections);
    assert_eq!(postgres.policy.idle_timeout, Duration::from_secs(12 * 3600));
    assert_eq!(postgres.policy.on_deadline, Answer::Reset);
}

#[test]
fn keys_in_comments_of_the_example_are_the_defaults() {
    let uncommented: String = EXAMPLE
        .lines()
        .take_while(|line| !line.starts_with("# Containers of Docker"))
        .map(|line| {
            match line.trim_start().strip_prefix("# ").and_then(|rest| Some((rest, rest.split_once(" = ")?.0))) {
                Some((rest, key)) if key.trim().chars().all(|c| c.is_ascii_lowercase() || c == '_') => rest,
                _ => line,
            }
        })
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(uncommented.lines().any(|line| line.starts_with("idle_timeout  = \"2h4m\"")), "{uncommented}");
    let (all_written, default) = (accept(&uncommented), Config::default());
    assert_eq!(all_written.control, default.control);
    assert_eq!(all_written.flows, default.flows);
    assert_eq!(all_written.backends, default.backends);
    assert_eq!(all_written.defaults, default.defaults);
}

#[test]
fn empty_file_is_all_defaults() {
    let config = accept("");
    assert_eq!(config.control.socket.to_str(), Some("/run/gateway/gateway.sock"));
    assert_eq!(config.flows.capacity, 1_048_576);
    assert_eq!(config.flows.half_open, 65_536);
    assert_eq!(config.flows.full, Answer::Drop);
    assert_eq!(config.backends.capacity, 65_536);
    assert!(config.metrics.is_none() && config.docker.is_none() && config.services.is_empty());
}

#[test]
fn a_full_table_answers_as_the_file_says() {
    assert_eq!(accept("[flows]\nfull = \"reset\"").flows.full, Answer::Reset);
}

#[test]
fn services_inherit_the_defaults_they_do_not_override() {
    let config = accept(
        r#"
        service = [{ name = "a", listen = ":80", no_backend = "reset" }]
        [defaults]
        no_backend = "drop"
        drain_timeout = "0s"
        "#,
    );
    assert_eq!(config.services[0].listen, [Listen::EveryAddress(80)]);
    assert_eq!(config.services[0].policy.no_backend, Answer::Reset);
    assert_eq!(config.services[0].policy.drain_timeout, Duration::ZERO);
}

#[test]
fn one_port_serves_two_services_on_two_addresses() {
    accept(
        r#"
        service = [
            { name = "a", listen = "203.0.113.10:80" },
            { name = "b", listen = "203.0.113.11:80" },
            { name = "c", listen = "[2001:db8::1]:80" },
        ]
        "#,
    );
}

#[test]
fn every_address_leaves_other_addresses_alone() {
    accept(
        r#"
        public.address = "203.0.113.10"
        service = [{ name = "a", listen = ":80" }, { name = "b", listen = "198.51.100.1:80" }]
        "#,
    );
}

#[test]
fn every_address_with_backends_of_one_family_gets_a_warning() {
    let config = accept(
        r#"
        public.address = ["203.0.113.10", "2001:db8::10"]
        service = [{ name = "a", listen = ":80", backend = [{ address = "10.0.0.2:80" }] }]
        "#,
    );
    let warnings = warnings(&config);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("IPv6 clients of listen :80 are refused"), "{warnings:#?}");
}

#[test]
fn public_metrics_get_a_warning() {
    let config = accept("metrics.listen = \"0.0.0.0:9469\"");
    assert!(warnings(&config)[0].contains("can be read by anyone"), "{:?}", config.warnings);
}

#[test]
fn dashboard_is_off_unless_asked_for_and_a_public_one_gets_a_warning() {
    assert!(accept("").dashboard.is_none());
    let local = accept("dashboard.listen = \"[::1]:9470\"");
    assert_eq!((local.dashboard.map(|it| it.listen), local.warnings.len()), (Some("[::1]:9470".parse().unwrap()), 0));
    let public = accept("dashboard.listen = \"10.0.0.1:9470\"");
    assert!(warnings(&public)[0].contains("10.0.0.1:9470 can be read by anyone"), "{:?}", public.warnings);
}

#[test]
fn interfaces_that_do_not_exist_are_found_where_they_are_named() {
    let mut config = accept("[[interface]]\nname = \"eth0\"\n[[interface]]\nname = \"eth9\"\n");
    config.interfaces.push(Interface { name: "eth8".to_owned(), mode: Mode::Auto });
    config.check_interfaces(|_| true).expect("all exist");
    let errors = config.check_interfaces(|name| name == "eth0").expect_err("two do not exist");
    assert_eq!(
        errors.to_string(),
        "gateway.toml:4:8: interface \"eth9\" does not exist on this host; use a name that `ip link` shows\n\
         --interface: interface \"eth8\" does not exist on this host; use a name that `ip link` shows"
    );
}

#[test]
fn ten_thousand_services_are_read_in_seconds() {
    let mut text = String::from("public.address = [\"203.0.113.10\"]\n");
    for number in 1..=10_000 {
        text.push_str(&format!("[[service]]\nname = \"s{number}\"\nlisten = \":{number}\"\n"));
        text.push_str("[[service.backend]]\naddress = \"10.0.0.1:80\"\n");
    }
    let start = std::time::Instant::now();
    assert_eq!(accept(&text).services.len(), 10_000);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
