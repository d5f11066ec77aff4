//! What probing costs. Run by hand, with a release build:
//!
//! ```sh
//! cargo build --release -p gateway
//! GATEWAY_BIN=target/release/gateway cargo test -p gateway-tests --test health_cost -- --ignored --nocapture
//! ```

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Lab, Mode, ServiceConfig, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, servers},
    traffic::Behaviour,
};
use nix::unistd::{SysconfVar, sysconf};

const SERVICES: u16 = 50;
const BACKENDS: usize = 5_000;
/// The addresses 10.100.0.0/16 are all the backend host's.
const FIRST: u32 = 0x0a64_0001;

/// Most that probes may take.
const LIMIT: f64 = 0.10;

const UNPROBED: &str = "{ kind = \"none\" }";
const PROBED: &str = "{ kind = \"tcp\", interval = \"2s\" }";

fn config(lab: &Lab, health: &str) -> GatewayConfig {
    let address = |index: u32| SocketAddr::new(Ipv4Addr::from(FIRST + index).into(), BACKEND_PORT);
    let backends: Vec<SocketAddr> = (0..BACKENDS as u32).map(address).collect();
    let services = backends.chunks(BACKENDS / usize::from(SERVICES)).zip(PORT..).map(|(backends, port)| {
        ServiceConfig::new(&format!("s{port}"), lab.front.at(Family::V4, port), backends).health(health)
    });
    services.fold(GatewayConfig::new(lab, Mode::XdpNative), GatewayConfig::service)
}

/// Processor time of a process so far, in user space and in the kernel, by proc_pid_stat(5).
fn processor_time(process: u32) -> Duration {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap() as f64;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let field = |number: usize| fields.split(' ').nth(number - 3).unwrap().parse::<f64>().unwrap();
    Duration::from_secs_f64((field(14) + field(15)) / ticks_per_second)
}

/// The share of one core that a gateway takes while nothing changes. It includes what its packets cost up to the
/// backend and back, since network and backend are on this machine too.
fn cost(lab: &Lab, health: &str) -> f64 {
    const TIME: Duration = Duration::from_secs(20);
    let mut gateway = Gateway::start(lab, &config(lab, health));
    eventually(Duration::from_secs(30), || {
        let backends = gateway.json(&["backend", "list"]);
        let is_up = |backend: &&serde_json::Value| backend["health"].is_null() || backend["health"]["status"] == "up";
        let up = backends.as_array().unwrap().iter().filter(is_up).count();
        if up == BACKENDS { Ok(()) } else { Err(format!("{up} are up")) }
    });
    let process = gateway.process().id();
    let (began, before) = (Instant::now(), processor_time(process));
    thread::sleep(TIME);
    let (after, elapsed) = (processor_time(process), began.elapsed());
    (after - before).div_duration_f64(elapsed)
}

#[test]
#[ignore = "takes a minute; needs a release build and an idle machine"]
fn five_thousand_backends_cost_less_than_a_tenth_of_a_core() {
    let lab = Topology::new(BackendSide::Veth, 1).build();
    lab.backends[0].ip(&["route add local 10.100.0.0/16 dev lo"]);
    lab.front.ip(&[format!("route add 10.100.0.0/16 via {}", lab.backends[0].v4)]);
    let servers = servers(&lab, &Behaviour::Hold);
    let [idle, probing] = [UNPROBED, PROBED].map(|health| cost(&lab, health));
    println!("without probes: {:.1} % of a core, with them: {:.1} %", idle * 100.0, probing * 100.0);
    assert_eq!(servers[0].accepted(), 0);
    assert!(probing - idle < LIMIT);
}
