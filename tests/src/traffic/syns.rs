//! What a kernel counts about its own connection attempts.

use std::fs;

use crate::Namespace;

/// SYNs that the kernel of `namespace` has sent again.
#[track_caller]
pub fn repeated_syns(namespace: &Namespace) -> u64 {
    let counters = namespace.run(|| fs::read_to_string("/proc/thread-self/net/netstat").expect("procfs is there"));
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("TcpExt:")).map(str::split_whitespace);
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { panic!("no TcpExt in {counters}") };
    let (_, value) = names.zip(values).find(|(name, _)| *name == "TCPSynRetrans").expect("the kernel counts them");
    value.parse().expect("a number")
}
