//! Names of cases, subjects and axes: what a report is searched for by the goals, and by a later run.
//!
//! They are the same from run to run, so that runs can be compared.

pub mod live;

/// What varies along a curve.
pub mod axis {
    pub const BACKENDS: &str = "backends";
    pub const CONNECTIONS: &str = "connections";
    /// Established flows in percent of the configured capacity.
    pub const FILL: &str = "% of capacity";
    pub const FLOWS: &str = "flows";
    /// In percent of the source ports towards a backend.
    pub const PORTS: &str = "% of ports taken";
    pub const SERVICES: &str = "services";
    pub const SNAT: &str = "source addresses";
}

/// The packet programs alone.
pub mod micro {
    pub const ORIGINAL: &str = "program, established, original direction";
    pub const REPLY: &str = "program, established, reply direction";
    pub const BOTH: &str = "program, established, both directions";
    pub const IPV6: &str = "program, established, IPv6";
    pub const VLAN: &str = "program, established, VLAN tags";
    pub const MANY: &str = "program, established, 10,000 services × 100 backends";
    pub const ICMP: &str = "program, ICMP error about a flow";
    pub const NEW: &str = "program, new flow";
    pub const NEW_MANY: &str = "program, new flow, 10,000 services × 100 backends";
    pub const UNKNOWN: &str = "program, segment of no flow";
    pub const NO_SERVICE: &str = "program, packet for the host";
    pub const PLAIN: &str = "program, without a table";
    /// What drives the programs under test, with an empty one.
    pub const DRIVER: &str = "driver with an empty program";

    pub const GATEWAY_XDP: &str = "gateway XDP";
    pub const GATEWAY_TC: &str = "gateway TC";
    pub const KATRAN: &str = "Katran XDP";
    /// A stateless rewrite with a redirect.
    pub const REWRITE_XDP: &str = "stateless rewrite XDP";
    pub const REWRITE_TC: &str = "stateless rewrite TC";
    pub const REDIRECT_XDP: &str = "redirect XDP";
    pub const REDIRECT_TC: &str = "redirect TC";
    pub const PARSE_XDP: &str = "parse XDP";
    pub const PARSE_TC: &str = "parse TC";
    /// What runs the others: in no figure but its own.
    pub const DRIVER_XDP: &str = "driver XDP";
    pub const DRIVER_TC: &str = "driver TC";
}

/// Growth, and the daemon's own work.
pub mod scale {
    /// Program time of a packet of one of so many flows, in a table with room for 4,000,000.
    pub const BY_FLOWS: &str = "established by flows";
    /// Program time of a packet of one of 30,000 flows, of as many services with a backend each.
    pub const BY_SERVICES: &str = "established by services";
    /// The same of one service with as many backends.
    pub const BY_BACKENDS: &str = "established by backends";
    /// Program time of a packet in a table with room for 1,048,576 flows.
    pub const BY_FILL: &str = "established by fill of the table";
    /// Program time of a SYN.
    pub const NEW_BY_SERVICES: &str = "new flow by services";
    pub const NEW_BY_BACKENDS: &str = "new flow by backends";
    pub const NEW_BY_FILL: &str = "new flow by fill of the table";
    pub const NEW_BY_SNAT: &str = "new flow by source addresses";
    /// Program time of a SYN, whether it finds a port or not.
    pub const NEW_BY_PORTS: &str = "new flow by source ports taken";
    /// SYNs that find no port, in percent.
    pub const REFUSED_BY_PORTS: &str = "SYNs refused by source ports taken";
    /// Seconds of CPU, by the number of flows that a table has room for.
    pub const SWEEP: &str = "sweep";
    /// Milliseconds from the request to the answer, by the number of services present.
    pub const APPLY_CHANGE: &str = "apply one backend change";
    /// Milliseconds from SIGHUP until the last service is in the maps.
    pub const APPLY_ALL: &str = "apply 1,000 services × 10 backends";
    /// Bytes, both directions, in a table that is as large as its flows are many.
    pub const MEMORY_PER_FLOW: &str = "memory per flow";
    /// MiB, by the number of services.
    pub const DAEMON_BY_SERVICES: &str = "memory of the daemon by services";
    /// MiB, by the number of flows, of which each has been swept.
    pub const DAEMON_BY_FLOWS: &str = "memory of the daemon by flows";
    /// Milliseconds from the daemon's start until a client is connected, by the number of services.
    pub const START: &str = "start to first connection";

    pub const DAEMON: &str = "gateway";
    pub const GATEWAY_XDP: &str = "gateway XDP";
    /// The daemon's memory with the maps that it has in common with the packet programs.
    pub const WITH_MAPS: &str = "gateway, shared maps included";
    /// [`SWEEP`] of a full table in which nothing is over.
    pub const SWEEPER: &str = "gateway";
    pub const SWEEP_TENTH: &str = "gateway, every tenth flow over";
    pub const SWEEP_EMPTY: &str = "gateway, table empty";
    /// [`APPLY_CHANGE`] by the command line, its own start included.
    pub const COMMAND_LINE: &str = "gateway, command line";
    /// What the disk alone takes for a durable write of a page, of which a change needs one.
    pub const DISK: &str = "fdatasync of 4 KiB";
    /// [`APPLY_ALL`] in place of the same services with other weights; otherwise they are new.
    pub const ALL_CHANGED: &str = "gateway, all changed";
    /// [`START`] over the maps and links of an earlier daemon.
    pub const CACHED: &str = "gateway, datapath cached";
    /// [`START`] with nothing in the kernel.
    pub const COLD: &str = "gateway, nothing cached";
}
