//! What does the gateway's work elsewhere, set up on a lab's front server as its manual advises for this work:
//! the kernel's routing, nftables, HAProxy, nginx. The configurations stand in `tests/peers`.

use std::{fmt::Write, fs, net::SocketAddr};

use nix::sys::resource::{Resource, getrlimit};

use crate::{Lab, Process};

/// Connections to an address of the front server go to one of these backends.
#[derive(Clone, Debug)]
pub struct Forwarding {
    pub listen: SocketAddr,
    pub backends: Vec<SocketAddr>,
}

const IN_MEMORY: &str = "a string takes all";
/// Where templates take what depends on the lab.
const SERVICES: &str = "{services}";
const DIRECTORY: &str = "{directory}";
const CONNECTIONS: &str = "{connections}";
/// Files that a proxy opens beside those of connections.
const OTHER_FILES: u64 = 500;

/// Starts HAProxy in TCP mode, on one thread.
#[track_caller]
pub fn haproxy(lab: &Lab, forwardings: &[Forwarding]) -> Process {
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("own limits are readable");
    let connections = files.saturating_sub(OTHER_FILES) / 2;
    let mut config = include_str!("../peers/haproxy.cfg").replace(CONNECTIONS, &connections.to_string());
    for Forwarding { listen, backends } in forwardings {
        let port = listen.port();
        write!(config, "\nlisten port{port}\n    bind {listen} backlog 65535\n").expect(IN_MEMORY);
        for (number, backend) in backends.iter().enumerate() {
            writeln!(config, "    server s{number} {backend}").expect(IN_MEMORY);
        }
    }
    let path = lab.directory().join("haproxy.cfg");
    fs::write(&path, config).expect("the lab's folder is writable");
    lab.front.start("haproxy", &["-db", "-f", &path.to_string_lossy()])
}

/// Starts nginx with its stream module, with one worker.
#[track_caller]
pub fn nginx(lab: &Lab, forwardings: &[Forwarding]) -> Process {
    let mut services = String::new();
    for Forwarding { listen, backends } in forwardings {
        let port = listen.port();
        writeln!(services, "    upstream port{port} {{").expect(IN_MEMORY);
        for backend in backends {
            writeln!(services, "        server {backend};").expect(IN_MEMORY);
        }
        writeln!(
            services,
            "    }}\n    server {{\n        listen {listen} backlog=65535 reuseport;\n        proxy_pass port{port};\n    }}"
        )
        .expect(IN_MEMORY);
    }
    let directory = lab.directory();
    let config = include_str!("../peers/nginx.conf")
        .replace(SERVICES, &services)
        .replace(DIRECTORY, &directory.to_string_lossy());
    let path = directory.join("nginx.conf");
    fs::write(&path, config).expect("the lab's folder is writable");
    lab.front.start("nginx", &["-c", &path.to_string_lossy(), "-e", "stderr"])
}

/// Loads nftables rules that translate destination and source. IPv4 only.
#[track_caller]
pub fn nftables(lab: &Lab, forwardings: &[Forwarding]) {
    let mut services = String::new();
    for Forwarding { listen, backends } in forwardings {
        let targets = backends.iter().enumerate();
        let targets: Vec<String> = targets.map(|(n, to)| format!("{n} : {} . {}", to.ip(), to.port())).collect();
        writeln!(
            services,
            "        ip daddr {} tcp dport {} dnat to numgen random mod {} map {{ {} }}",
            listen.ip(),
            listen.port(),
            targets.len(),
            targets.join(", ")
        )
        .expect(IN_MEMORY);
    }
    lab.front.nft(&include_str!("../peers/nftables.nft").replace(SERVICES, &services));
}
