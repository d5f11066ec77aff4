//! What can happen to a front server, and how often.

use std::fmt;

/// One thing at a time; a flood goes on beside those that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// New servers take the place of the old ones.
    Deploy,
    /// A server is killed, and comes back after a while.
    Crash,
    /// All connections of a server are cut, and it gets new ones again.
    Cut,
    /// The daemon is stopped; after a while there is another.
    Stop,
    /// The daemon is killed; after a while there is another.
    Kill,
    /// The configuration changes: a service comes or goes, limits change.
    Reload,
    /// A backend gets another hardware address.
    Readdress,
    /// A backend is reached through another one for a while.
    Reroute,
    /// SYNs from sources that do not exist.
    Flood,
}

impl Action {
    /// A daemon lives for some minutes, so that it has time to leak.
    const WEIGHTS: [(Self, u32); 9] = [
        (Self::Deploy, 6),
        (Self::Crash, 4),
        (Self::Cut, 3),
        (Self::Stop, 1),
        (Self::Kill, 1),
        (Self::Reload, 4),
        (Self::Readdress, 3),
        (Self::Reroute, 2),
        (Self::Flood, 2),
    ];

    pub fn draw(random: &mut fastrand::Rng) -> Self {
        let mut at = random.u32(..Self::WEIGHTS.iter().map(|(_, weight)| weight).sum::<u32>());
        for (action, weight) in Self::WEIGHTS {
            match at.checked_sub(weight) {
                Some(rest) => at = rest,
                None => return action,
            }
        }
        unreachable!("the number is below the sum of the weights")
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
