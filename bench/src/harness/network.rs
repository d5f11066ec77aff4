//! Where the programs run: a namespace with a device towards the backends, on one processor.

use anyhow::{Context, Result};
use gateway_tests::{LabId, Namespace};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Index of the device towards the backends.
pub const BACK: u32 = 11;
/// Index of the device towards the clients.
pub const FRONT: u32 = 10;

/// Runs `work` there.
pub fn in_lab<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let namespace = Namespace::new(LabId::new(), "bench");
    lay_out(&namespace);
    namespace.run(|| {
        // The last one: the first has most of the machine's interrupts.
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let mut last = CpuSet::new();
        last.set(cpus - 1).context("name the last processor")?;
        sched_setaffinity(Pid::from_raw(0), &last).context("stay on one processor")?;
        work()
    })
}

/// What a new flow's route lookup finds: clients and backends behind routers, whose addresses are known.
fn lay_out(namespace: &Namespace) {
    namespace.sysctl("net/ipv4/ip_forward", "1");
    let device = |name: &str, index: u32, peer: u32| {
        format!("link add name {name} index {index} type veth peer name {name}-far index {peer}")
    };
    namespace.ip(&[
        device("front", FRONT, FRONT + 10),
        device("back", BACK, BACK + 10),
        "link set front up".to_owned(),
        "link set back up".to_owned(),
        "link set front-far up".to_owned(),
        "link set back-far up".to_owned(),
        "address add 198.51.100.254/24 dev front".to_owned(),
        "address add 10.0.1.254/24 dev back".to_owned(),
        "neighbour add 198.51.100.1 lladdr 02:00:00:00:00:c1 dev front".to_owned(),
        "neighbour add 10.0.1.1 lladdr 02:00:00:00:00:b1 dev back".to_owned(),
        "route add 100.64.0.0/10 via 198.51.100.1".to_owned(),
        "route add 10.64.0.0/10 via 10.0.1.1".to_owned(),
    ]);
}
