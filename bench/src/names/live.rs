//! Real traffic: the cases, by the path that packets take through the front server, and the subjects.

/// ns/packet on one core, by the number of flows.
pub const PACKETS: &str = "packets of 64 bytes";

pub const GATEWAY_XDP: &str = "gateway XDP";
pub const GATEWAY_TC: &str = "gateway TC";
/// What carries packets through the same hook with nothing done to them.
pub const REDIRECT_XDP: &str = "redirect XDP";
pub const REDIRECT_TC: &str = "redirect TC";
/// What neither the front server nor its wire costs: packets are made, sent, and dropped where they come in.
pub const DROP_XDP: &str = "drop XDP";
pub const ROUTING: &str = "routing";
pub const NFTABLES: &str = "nftables";
pub const HAPROXY: &str = "HAProxy";
pub const NGINX: &str = "nginx stream";

/// The cases of one path through the front server.
pub struct Cases {
    pub intact: &'static str,
    pub connections: &'static str,
    pub connection_cpu: &'static str,
    pub idle: Latency,
    pub loaded: Latency,
    pub bulk: Bulk,
    pub bulk_streams: Bulk,
    pub bulk_without_tso: Bulk,
    pub bulk_streams_without_tso: Bulk,
    pub crowd: Latency,
    pub crowd_cpu: &'static str,
    pub crowd_memory: &'static str,
}

impl Cases {
    /// Every case that has figures.
    pub fn all(&self) -> Vec<&'static str> {
        let latencies = [&self.idle, &self.loaded, &self.crowd].map(|it| [it.p50, it.p99, it.p999]);
        let transfers = [&self.bulk, &self.bulk_streams, &self.bulk_without_tso, &self.bulk_streams_without_tso];
        let transfers = transfers.map(|it| [it.rate, it.cpu]);
        let others = [self.connections, self.connection_cpu, self.crowd_cpu, self.crowd_memory];
        [&latencies.concat()[..], &transfers.concat(), &others].concat()
    }
}

/// Request and response on one connection.
pub struct Latency {
    pub p50: &'static str,
    pub p99: &'static str,
    pub p999: &'static str,
}

/// A transfer and what it costs.
pub struct Bulk {
    pub rate: &'static str,
    pub cpu: &'static str,
}

macro_rules! cases {
    ($path:literal) => {
        Cases {
            intact: concat!("verified transfer, ", $path),
            connections: concat!("new connections, ", $path),
            connection_cpu: concat!("CPU per connection, ", $path),
            idle: latency!("", $path),
            loaded: latency!("beside 2,000 new connections/s, ", $path),
            bulk: bulk!("1 stream, ", $path),
            bulk_streams: bulk!("4 streams, ", $path),
            bulk_without_tso: bulk!("1 stream without TSO, ", $path),
            bulk_streams_without_tso: bulk!("4 streams without TSO, ", $path),
            crowd: latency!("1 % active of many connections, ", $path),
            crowd_cpu: concat!("CPU per request, 1 % active of many connections, ", $path),
            crowd_memory: concat!("memory per open connection, ", $path),
        }
    };
}

macro_rules! latency {
    ($what:literal, $path:literal) => {
        Latency {
            p50: concat!("latency p50, ", $what, $path),
            p99: concat!("latency p99, ", $what, $path),
            p999: concat!("latency p99.9, ", $what, $path),
        }
    };
}

macro_rules! bulk {
    ($what:literal, $path:literal) => {
        Bulk { rate: concat!("bulk, ", $what, $path), cpu: concat!("CPU per GB with both ends, ", $what, $path) }
    };
}

/// Clients on one network card, the backend's host on the other; the gateway runs as XDP.
pub const TWO_ARM: Cases = cases!("two network cards");
/// The backend is a container of the front server; the gateway runs as TC.
pub const CONTAINER: Cases = cases!("local container");
