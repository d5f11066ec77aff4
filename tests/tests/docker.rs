//! Containers become backends by their labels: a real Docker daemon on the front server, real traffic from outside.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use gateway_tests::{
    Docker, Family, Gateway, GatewayConfig, Lab, Mode, ServiceConfig, Topology,
    docker::{Container, ContainerSpec, NEWER_IMAGE, compose},
    eventually,
    traffic::{Failure, client},
};

const TIMEOUT: Duration = Duration::from_secs(30);
const SERVICE: &str = "web";
const COMPOSE: &str = include_str!("../../examples/compose.yaml");

/// Where the first service of a lab that asks for a port listens.
const FIRST_PORT: u16 = 21_000;
const PAYLOAD: usize = 10_000;

fn lab() -> Lab {
    Topology::two_arm(0).build()
}

fn config(lab: &Lab, docker: &Docker) -> String {
    with_docker(&GatewayConfig::new(lab, Mode::XdpNative), docker)
}

fn with_docker(config: &GatewayConfig, docker: &Docker) -> String {
    format!("{}\n[docker]\nsocket = {:?}\n", config.to_toml(), docker.socket())
}

/// A container of the service that the tests look at.
fn server(name: &str) -> ContainerSpec {
    ContainerSpec::of_service(name, SERVICE)
}

fn connect(lab: &Lab) -> Result<(String, TcpStream), Failure> {
    let stream = client::connect(&lab.client, lab.front.at(Family::V4, FIRST_PORT))?;
    Ok((client::read_identity(&stream)?, stream))
}

/// A connection to this container.
#[track_caller]
fn connect_to(lab: &Lab, name: &str) -> TcpStream {
    eventually(TIMEOUT, || match connect(lab) {
        Ok((answering, stream)) if answering == name => Ok(stream),
        other => Err(other),
    })
}

#[track_caller]
fn goes_on(stream: &TcpStream) {
    client::exchange(stream, 1, PAYLOAD).expect("the connection goes on");
}

/// Waits until new connections reach these containers and no others.
#[track_caller]
fn wait_for_answers(lab: &Lab, names: &[&str]) {
    let wanted: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    eventually(TIMEOUT, || {
        let answers: Result<BTreeSet<_>, _> = (0..24).map(|_| connect(lab).map(|(name, _)| name)).collect();
        if answers.as_ref() == Ok(&wanted) { Ok(()) } else { Err(answers) }
    });
}

/// Waits until the service has as many backends as there are containers, and these.
#[track_caller]
fn wait_for_backends(gateway: &Gateway, containers: &[&Container<'_>]) {
    let wanted: BTreeSet<&str> = containers.iter().map(|container| container.id()).collect();
    eventually(TIMEOUT, || {
        let backends = gateway.json(&["backend", "list", SERVICE]);
        let list = backends.as_array().or_else(|| backends["backends"].as_array()).expect("a list");
        let ids: BTreeSet<&str> = list.iter().filter_map(|it| it["process"]["container"].as_str()).collect();
        if ids == wanted && list.len() == wanted.len() { Ok(()) } else { Err(format!("{backends:#}")) }
    });
}

#[track_caller]
fn warnings(gateway: &Gateway) -> Vec<String> {
    let status = gateway.json(&["status"]);
    let sentences = status["warnings"].as_array().expect("a list").iter();
    sentences.map(|sentence| sentence.as_str().expect("a sentence").to_owned()).collect()
}

#[test]
fn containers_on_every_kind_of_bridge() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    docker.create_network("own");
    let gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    let plain = docker.run(&server("plain"));
    let published = docker.run(&server("published").option("--publish=8000:8000"));
    let own = docker.run(&server("own").network("own"));
    let own_published = docker.run(&server("own-published").network("own").option("--publish=21000:8000"));
    let all = [&plain, &published, &own, &own_published];
    wait_for_backends(&gateway, &all);
    wait_for_answers(&lab, &["plain", "published", "own", "own-published"]);
    assert_eq!(warnings(&gateway), Vec::<String>::new());
    for name in ["plain", "own-published"] {
        goes_on(&connect_to(&lab, name));
    }
    // From inside, by the public address, to themselves as well.
    let [public, _] = lab.front.public(Family::V4);
    for from in all {
        let reached = eventually(TIMEOUT, || {
            let ask = ["exec", from.id(), "nc", "-w", "2", &public.to_string(), &FIRST_PORT.to_string()];
            let answer = docker.cli(&ask);
            if answer.stdout.is_empty() { Err(answer) } else { Ok(answer.stdout) }
        });
        assert!(["plain", "published", "own", "own-published"].contains(&reached.trim()), "{reached}");
    }
}

#[test]
fn newer_deployment_replaces_the_older() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    let olds = ["old-1", "old-2"].map(|name| docker.run(&server(name).option("--stop-signal=SIGUSR1")));
    wait_for_answers(&lab, &["old-1", "old-2"]);
    let [first, second] = ["old-1", "old-2"].map(|name| connect_to(&lab, name));
    let news = ["new-1", "new-2"].map(|name| docker.run(&server(name).image(NEWER_IMAGE)));
    wait_for_answers(&lab, &["new-1", "new-2"]);
    for (old, connection) in olds.iter().zip([&first, &second]) {
        goes_on(connection);
        old.wait_for_line("got SIGUSR1");
        goes_on(connection);
    }
    drop((first, second));
    olds.iter().for_each(Container::wait_for_end);
    wait_for_backends(&gateway, &news.each_ref());
    // One more, and one less, of the same deployment.
    let third = docker.run(&server("new-3").image(NEWER_IMAGE));
    wait_for_answers(&lab, &["new-1", "new-2", "new-3"]);
    news[0].command(&["rm", "--force"]);
    wait_for_answers(&lab, &["new-2", "new-3"]);
    wait_for_backends(&gateway, &[&news[1], &third]);
    assert_eq!(warnings(&gateway), Vec::<String>::new());
}

#[test]
fn compose_example_is_deployed_version_by_version() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    let up = |version: &str| {
        let project = format!("web-{version}");
        docker.create_network(&project);
        let specs = compose::containers(COMPOSE, &project, version);
        specs.iter().map(|spec| docker.run(spec)).collect::<Vec<_>>()
    };
    let first = up("1");
    wait_for_answers(&lab, &["web-1-web-1", "web-1-web-2"]);
    let second = up("2");
    wait_for_answers(&lab, &["web-2-web-1", "web-2-web-2"]);
    first.iter().for_each(Container::wait_for_end);
    wait_for_backends(&gateway, &second.iter().collect::<Vec<_>>());
    assert_eq!(warnings(&gateway), Vec::<String>::new());
}

#[test]
fn deployment_that_does_not_answer_changes_nothing() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    let good = docker.run(&server("good"));
    wait_for_answers(&lab, &["good"]);
    // Nobody listens on that port; the next one is right.
    let bad = docker.run(&server("bad").label("gateway.deployment", "2").label("gateway.port", "9"));
    wait_for_backends(&gateway, &[&good, &bad]);
    wait_for_answers(&lab, &["good"]);
    let better = docker.run(&server("better").label("gateway.deployment", "3"));
    wait_for_answers(&lab, &["better"]);
    good.wait_for_line("got SIGTERM");
    wait_for_backends(&gateway, &[&better]);
    assert_eq!(bad.log(), "listening\n", "nobody took it in, so nobody tells it to end");
}

#[test]
fn stopped_container_drains_with_the_signal_of_docker_alone() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    let [stopped, other] = ["stopped", "other"].map(|name| docker.run(&server(name)));
    let connection = connect_to(&lab, "stopped");
    thread::scope(|scope| {
        let stop = scope.spawn(|| stopped.command(&["stop", "--time", "20"]));
        wait_for_answers(&lab, &["other"]);
        goes_on(&connection);
        drop(connection);
        stop.join().expect("docker stop succeeds");
    });
    assert_eq!(stopped.log(), "listening\ngot SIGTERM\n");
    wait_for_backends(&gateway, &[&other]);
    stopped.command(&["start"]);
    wait_for_answers(&lab, &["stopped", "other"]);
    wait_for_backends(&gateway, &[&stopped, &other]);
}

/// What the client sends is answered with a reset, and not with silence. The dying server's FIN may come first.
#[track_caller]
fn learns_of_the_end(mut stream: &TcpStream) {
    eventually(TIMEOUT, || match stream.write_all(b"is anybody there?") {
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Ok(()),
        other => Err(other),
    });
}

#[test]
fn flows_of_a_dead_container_are_cut_at_once() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    let [killed, other] = ["killed", "other"].map(|name| docker.run(&server(name)));
    let connection = connect_to(&lab, "killed");
    killed.command(&["kill"]);
    learns_of_the_end(&connection);
    wait_for_backends(&gateway, &[&other]);
    wait_for_answers(&lab, &["other"]);
    let connection = connect_to(&lab, "other");
    other.command(&["restart", "--time", "0"]);
    learns_of_the_end(&connection);
    wait_for_answers(&lab, &["other"]);
    wait_for_backends(&gateway, &[&other]);
}

#[test]
fn paused_container_keeps_its_connections() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    let [paused, other] = ["paused", "other"].map(|name| docker.run(&server(name)));
    let connection = connect_to(&lab, "paused");
    paused.command(&["pause"]);
    wait_for_backends(&gateway, &[&other]);
    wait_for_answers(&lab, &["other"]);
    paused.command(&["unpause"]);
    goes_on(&connection);
    wait_for_answers(&lab, &["paused", "other"]);
}

#[test]
fn restarted_docker_daemon_is_followed_again() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    let [lasting, ending] = ["lasting", "ending"].map(|name| docker.run(&server(name)));
    let process = ending.process();
    let connection = connect_to(&lab, "lasting");
    docker.crash();
    eventually(TIMEOUT, || {
        let warnings = warnings(&gateway);
        if warnings.iter().any(|it| it.contains("Docker daemon")) { Ok(()) } else { Err(warnings) }
    });
    wait_for_answers(&lab, &["lasting", "ending"]);
    docker.kill(&process);
    wait_for_answers(&lab, &["lasting"]);
    docker.start_daemon();
    wait_for_backends(&gateway, &[&lasting]);
    let joining = docker.run(&server("joining"));
    wait_for_answers(&lab, &["lasting", "joining"]);
    wait_for_backends(&gateway, &[&lasting, &joining]);
    assert_eq!(warnings(&gateway), Vec::<String>::new());
    goes_on(&connection);
}

#[test]
fn restarted_gateway_finds_what_it_missed() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    docker.create_network("own");
    let config = config(&lab, &docker);
    let gateway = Gateway::start_with(&lab, &config, &[]);
    let [lasting, ending] = ["lasting", "ending"].map(|name| docker.run(&server(name).network("own")));
    let connection = connect_to(&lab, "lasting");
    connect_to(&lab, "ending");
    gateway.stop();
    goes_on(&connection);
    ending.command(&["rm", "--force"]);
    let joining = docker.run(&server("joining"));
    let gateway = Gateway::start_with(&lab, &config, &[]);
    goes_on(&connection);
    wait_for_answers(&lab, &["lasting", "joining"]);
    wait_for_backends(&gateway, &[&lasting, &joining]);
    goes_on(&connection);
}

#[test]
fn service_keeps_its_port_without_containers() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let config = config(&lab, &docker);
    let gateway = Gateway::start_with(&lab, &config, &[]);
    let url = |gateway: &Gateway| gateway.cli(&["service", "url", SERVICE]).success().stdout;
    let first = docker.run(&server("first"));
    wait_for_answers(&lab, &["first"]);
    assert_eq!(url(&gateway).trim(), format!("tcp://tcp-1.example.com:{FIRST_PORT}"));
    first.command(&["rm", "--force"]);
    wait_for_backends(&gateway, &[]);
    docker.run(&ContainerSpec::of_service("second", "another"));
    eventually(TIMEOUT, || {
        let answer = gateway.cli(&["service", "url", "another"]);
        if answer.stdout.contains("21001") { Ok(()) } else { Err(answer) }
    });
    gateway.stop();
    let gateway = Gateway::start_with(&lab, &config, &[]);
    docker.run(&server("third"));
    wait_for_answers(&lab, &["third"]);
    assert_eq!(url(&gateway).trim(), format!("tcp://tcp-1.example.com:{FIRST_PORT}"));
}

#[test]
fn unusable_labels_are_told_once() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    docker.cli(&["network", "create", "--internal", "inside"]).success();
    let listen = lab.front.at(Family::V4, 20_000);
    let file = ServiceConfig::new("file", listen, &["10.0.0.11:80".parse().expect("an address")]);
    let config = with_docker(&GatewayConfig::new(&lab, Mode::XdpNative).service(file), &docker);
    let gateway = Gateway::start_with(&lab, &config, &[]);
    let cases = [
        (ContainerSpec::new("no-service").label("gateway.enable", "true"), "gateway.service"),
        (server("no-port").option("--env=PORT="), "nor an environment variable PORT"),
        (server("bad-port").label("gateway.port", "http"), "gateway.port is `http`"),
        (server("bad-weight").label("gateway.weight", "0"), "gateway.weight is `0`"),
        (server("typo").label("gateway.wieght", "2"), "did you mean `gateway.weight`"),
        (server("yes").label("gateway.enable", "yes"), "gateway.enable is `yes`"),
        (server("no-network").network("none"), "no address on a bridge"),
        (server("internal").network("inside"), "no address on a bridge"),
        (server("elsewhere").label("gateway.network", "own"), "not in the network own"),
        (ContainerSpec::of_service("of-the-file", "file"), "belongs to the configuration file"),
    ];
    let containers = cases.each_ref().map(|(spec, _)| docker.run(spec));
    eventually(TIMEOUT, || {
        let warnings = warnings(&gateway);
        if warnings.len() == cases.len() { Ok(()) } else { Err(warnings) }
    });
    let (warnings_now, log) = (warnings(&gateway), gateway.log());
    for (spec, reason) in &cases {
        let about = format!("container {}", spec.name());
        let sentence = warnings_now.iter().find(|it| it.starts_with(&about)).expect("every case has its warning");
        assert!(sentence.contains(reason), "{sentence}");
        assert_eq!(log.matches(sentence.as_str()).count(), 1, "{sentence}");
    }
    for container in &containers {
        container.command(&["rm", "--force"]);
    }
    eventually(TIMEOUT, || {
        let warnings = warnings(&gateway);
        if warnings.is_empty() { Ok(()) } else { Err(warnings) }
    });
}

/// Docker 28 and later drop what is addressed to a container and comes in by another interface, before any other rule.
#[test]
fn rules_of_newer_dockers_are_not_in_the_way() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let _gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    let [one, two] = ["one", "two"].map(|name| docker.run(&server(name)));
    for container in [&one, &two] {
        let address = container.address("bridge").ip().to_string();
        let rule =
            ["--table", "raw", "--append", "PREROUTING", "--destination", &address, "!", "--in-interface", "docker0"];
        lab.front.output("iptables", &[&rule[..], &["--jump", "DROP"]].concat()).success();
    }
    wait_for_answers(&lab, &["one", "two"]);
    goes_on(&connect_to(&lab, "one"));
}

/// Of the packets between a container and the gateway the kernel's connection tracking sees one direction alone.
#[test]
fn rule_that_drops_replies_is_told() {
    let lab = lab();
    let Some(docker) = Docker::start(&lab) else { return };
    let rule = |action| ["-t", "mangle", action, "PREROUTING", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"];
    lab.front.output("iptables", &rule("-A")).success();
    let gateway = Gateway::start_with(&lab, &config(&lab, &docker), &[]);
    docker.run(&server("one"));
    eventually(TIMEOUT, || {
        let warnings = warnings(&gateway);
        if warnings.iter().any(|it| it.contains("INVALID")) { Ok(()) } else { Err(warnings) }
    });
    // What the warning says to do, does it.
    lab.front.sysctl("net/bridge/bridge-nf-call-iptables", "0");
    wait_for_answers(&lab, &["one"]);
}
