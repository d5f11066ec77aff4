//! Counters that packets change while the truth is being counted.
//!
//! A pass over a table is not a moment: connections that come and go meanwhile make small differences, which the next
//! pass does not find again. What was wrong twice in a row by the same sign is wrong.

use std::{collections::HashMap, hash::Hash};

/// How far each counter was from the truth at the last pass.
#[derive(Debug)]
pub struct Drift<K>(HashMap<K, i64>);

impl<K> Default for Drift<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Drift<K> {
    /// The part of a counter's `difference` from the truth that has lasted since the pass before.
    pub fn lasting(&mut self, key: K, difference: i64) -> i64 {
        let before = self.0.remove(&key).unwrap_or(0);
        if difference == 0 {
            return 0;
        }
        if before.signum() == difference.signum() {
            return before.abs().min(difference.abs()) * difference.signum();
        }
        self.0.insert(key, difference);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_the_smaller_of_two_differences_with_one_sign() {
        let mut drift = Drift::default();
        assert_eq!([5, 3, 0].map(|difference| drift.lasting("a", difference)), [0, 3, 0]);
        assert_eq!([-2, 4, 6].map(|difference| drift.lasting("b", difference)), [0, 0, 4]);
        assert_eq!([1, 0, 1].map(|difference| drift.lasting("c", difference)), [0, 0, 0]);
    }
}
