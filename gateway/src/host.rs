//! What the gateway needs to know of the Linux host, and the few things it asks of it.
//!
//! Interfaces, their changes and next hops go through rtnetlink; settings through `/proc/sys`. Everything speaks of
//! the network namespace of the calling thread. Nothing is changed behind the operator's back: what is set or mounted
//! is asked for by the caller, and neighbour entries that others made are left alone.

pub mod bpf;
pub mod bpffs;
pub mod device;
pub mod docker;
pub mod links;
pub mod memory;
mod neighbour_entry;
pub mod neighbours;
pub mod netfilter;
mod netlink;
pub mod peer_groups;
pub mod privileges;
pub mod qdisc;
pub mod rcu;
pub mod requirements;
pub mod resets;
pub mod route;
pub mod sysctl;
pub mod watch;
