//! Maglev consistent hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer",
//! NSDI 2016, section 3.4), weighted.
//!
//! Every backend has its own permutation of the table's places, and the backends take turns claiming the next free
//! place of theirs, as often as their weights say. A table thus fills evenly, and when a backend goes, only few
//! places change hands that were not its own.

use std::hash::{BuildHasher, Hasher};

/// Primes, so that every step between places visits all of them.
const SIZES: [u32; 9] = [1, 251, 1021, 4093, 16381, 65521, 262_139, 1_048_573, 4_194_301];

/// Places per backend that make a table even to about one per cent.
pub const FINE: u32 = 100;
/// Places per backend when room is short.
pub const COARSE: u32 = 10;

/// A backend as the table sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What is written into its places.
    pub index: u32,
    /// What identifies it over time: the same backend has the same places in every table.
    pub identity: u64,
    /// At least 1.
    pub weight: u16,
}

/// The number of places for `backends` of them with at least `places` each.
///
/// `present` is the size of the table that is to be replaced: it is kept as long as it is large enough and not
/// far too large, because another size moves nearly every client.
pub fn size(backends: usize, places: u32, present: u32) -> u32 {
    if backends <= 1 {
        return backends as u32;
    }
    let wanted = u32::try_from(backends).unwrap_or(u32::MAX).saturating_mul(places);
    let fitting = SIZES.into_iter().find(|size| *size >= wanted).unwrap_or(SIZES[SIZES.len() - 1]);
    let keep = present >= wanted && present <= fitting.saturating_mul(8) && SIZES.contains(&present);
    if keep { present } else { fitting }
}

/// Fills a table of `size` places; `size` is one that [`size`] has returned for these candidates.
pub fn table(candidates: &[Candidate], size: u32) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    let Some(heaviest) = candidates.iter().map(|candidate| candidate.weight).max() else { return Vec::new() };
    let mut places = vec![FREE; size as usize];
    let mut turns: Vec<Turn> = candidates.iter().map(|candidate| Turn::new(candidate, size)).collect();
    // The order of turns must not depend on the order of configuration.
    turns.sort_unstable_by_key(|turn| turn.identity);
    let mut free = size;
    'rounds: loop {
        for turn in &mut turns {
            // The heaviest claims one place a round, the others their share of one.
            turn.credit += u32::from(turn.weight);
            if turn.credit < u32::from(heaviest) {
                continue;
            }
            turn.credit -= u32::from(heaviest);
            while places[turn.next as usize] != FREE {
                turn.advance(size);
            }
            places[turn.next as usize] = turn.index;
            free -= 1;
            if free == 0 {
                break 'rounds;
            }
        }
    }
    places
}

/// A backend's way through its permutation.
struct Turn {
    index: u32,
    identity: u64,
    weight: u16,
    credit: u32,
    next: u32,
    skip: u32,
}

impl Turn {
    fn new(candidate: &Candidate, size: u32) -> Self {
        let size = u64::from(size);
        let (offset, skip) = (mix(candidate.identity, 1), mix(candidate.identity, 2));
        Self {
            index: candidate.index,
            identity: candidate.identity,
            weight: candidate.weight,
            credit: 0,
            next: (offset % size) as u32,
            skip: if size > 1 { (skip % (size - 1) + 1) as u32 } else { 0 },
        }
    }

    fn advance(&mut self, size: u32) {
        self.next = ((u64::from(self.next) + u64::from(self.skip)) % u64::from(size)) as u32;
    }
}

/// A hash of `identity`, another one for each `salt`.
fn mix(identity: u64, salt: u64) -> u64 {
    let mut hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().build_hasher();
    hasher.write_u64(identity);
    hasher.write_u64(salt);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn candidates(weights: &[u16]) -> Vec<Candidate> {
        let with_index = weights.iter().zip(1..);
        with_index
            .map(|(weight, index)| Candidate { index, identity: u64::from(index) * 7919, weight: *weight })
            .collect()
    }

    fn shares(places: &[u32]) -> HashMap<u32, usize> {
        places.iter().fold(HashMap::new(), |mut shares, index| {
            *shares.entry(*index).or_default() += 1;
            shares
        })
    }

    #[test]
    fn losing_one_of_a_hundred_moves_less_than_two_percent_of_the_others() {
        let all = candidates(&[1; 100]);
        let places = size(100, FINE, 0);
        let before = table(&all, places);
        for gone in [1, 37, 100] {
            let left: Vec<_> = all.iter().copied().filter(|candidate| candidate.index != gone).collect();
            assert_eq!(size(99, FINE, places), places, "the size is kept");
            let after = table(&left, places);
            let moved = before.iter().zip(&after).filter(|(old, new)| **old != gone && old != new).count();
            assert!(moved * 100 < places as usize * 2, "{moved} of {places} places moved");
        }
    }

    #[test]
    fn weights_are_shares_of_the_places() {
        let weights = [1, 2, 3, 10];
        let places = table(&candidates(&weights), size(4, FINE, 0));
        let shares = shares(&places);
        for (weight, index) in weights.into_iter().zip(1..) {
            let wanted = places.len() as f64 * f64::from(weight) / 16.0;
            let got = shares[&index] as f64;
            assert!((got - wanted).abs() <= 2.0, "backend {index}: {got} places, wanted {wanted}");
        }
    }

    #[test]
    fn order_of_configuration_does_not_matter() {
        let mut some = candidates(&[1, 2, 3, 4, 5]);
        let places = size(5, FINE, 0);
        let before = table(&some, places);
        some.reverse();
        assert_eq!(table(&some, places), before);
    }

    #[test]
    fn one_backend_needs_one_place() {
        assert_eq!(size(1, FINE, 1021), 1);
        assert_eq!(table(&candidates(&[9]), 1), [1]);
        assert_eq!(size(0, FINE, 1021), 0);
    }

    proptest! {
        #[test]
        fn every_place_is_taken_and_every_backend_has_one(weights in proptest::collection::vec(1u16..=100, 2..60)) {
            let places = table(&candidates(&weights), size(weights.len(), FINE, 0));
            prop_assert!(places.iter().all(|index| (1..=weights.len() as u32).contains(index)));
            prop_assert_eq!(shares(&places).len(), weights.len());
        }
    }
}
