//! The first flows of a listing, while there are more of them than it is to show.

use std::{cmp::Ordering, collections::BinaryHeap};

use gateway_common::abi::Flow as Entry;

/// What flows are compared by: the less, the earlier.
pub type Key = (u128, u16);

/// What is kept of a flow: both directions, the reply where it was fetched, and whether its handshake is done.
pub type Kept = (Entry, Option<Entry>, bool);

/// The first flows of all that are offered.
pub struct First {
    limit: usize,
    /// The last one on top.
    kept: BinaryHeap<Ranked>,
}

struct Ranked {
    /// The flows of one key are in the order in which they were found.
    rank: (Key, u64),
    kept: Kept,
}

impl First {
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: BinaryHeap::new() }
    }

    /// Keeps a flow, if it is among the first.
    pub fn offer(&mut self, rank: (Key, u64), kept: impl FnOnce() -> Kept) {
        if self.kept.len() < self.limit {
            self.kept.push(Ranked { rank, kept: kept() });
        } else if let Some(mut last) = self.kept.peek_mut().filter(|last| rank < last.rank) {
            *last = Ranked { rank, kept: kept() };
        }
    }

    pub fn into_sorted(self) -> impl Iterator<Item = Kept> {
        self.kept.into_sorted_vec().into_iter().map(|ranked| ranked.kept)
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(keys: &[u128], limit: usize) -> Vec<u32> {
        let mut first = First::new(limit);
        for (number, key) in (0..).zip(keys) {
            first.offer(((*key, 0), number), || (Entry { backend: *key as u32, ..Entry::EMPTY }, None, true));
        }
        first.into_sorted().map(|(entry, ..)| entry.backend).collect()
    }

    #[test]
    fn the_least_are_kept_in_their_order_however_they_come() {
        let keys: Vec<u128> = (0..1000).map(|number| number * 7919 % 1000).collect();
        assert_eq!(kept(&keys, 5), [0, 1, 2, 3, 4]);
        assert_eq!(kept(&keys, 1000).len(), 1000);
        assert_eq!(kept(&[3, 1, 2], 10), [1, 2, 3]);
        assert!(kept(&keys, 0).is_empty());
    }
}
