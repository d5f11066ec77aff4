//! Backends that are wanted no more but that flows may still name: their connections have the time of a drain.
//!
//! Nothing of it is stored: a daemon that starts finds in the maps the backends that nobody wants, and gives their
//! connections that time once more.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use crate::model::{Answer, Policy};

/// How the connections of a removed backend end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// From the removal to the cut.
    pub timeout: Duration,
    pub on_deadline: Answer,
}

impl From<&Policy> for Terms {
    fn from(policy: &Policy) -> Self {
        Self { timeout: policy.drain_timeout, on_deadline: policy.on_deadline }
    }
}

/// The removed backends by their indices, each with its deadline until that has been kept.
#[derive(Debug, Default)]
pub struct Retired(BTreeMap<u32, Option<(Instant, Answer)>>);

impl Retired {
    pub fn insert(&mut self, index: u32, terms: Terms, now: Instant) {
        self.0.insert(index, Some((now + terms.timeout, terms.on_deadline)));
    }

    /// `false`: it is none of them.
    pub fn remove(&mut self, index: u32) -> bool {
        self.0.remove(&index).is_some()
    }

    pub fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.keys().copied()
    }

    /// Whose connections are to be ended in this way.
    pub fn overdue(&self, answer: Answer, now: Instant) -> HashSet<u32> {
        let is_due =
            |due: &Option<(Instant, Answer)>| due.is_some_and(|(deadline, on)| on == answer && deadline <= now);
        self.0.iter().filter(|(_, due)| is_due(due)).map(|(index, _)| *index).collect()
    }

    /// Notes that their connections have been ended.
    pub fn settle(&mut self, indices: &HashSet<u32>) {
        for index in indices {
            self.0.entry(*index).and_modify(|due| *due = None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_ended_once_at_the_deadline_and_as_the_terms_say() {
        const TIMEOUT: Duration = Duration::from_secs(30);
        let start = Instant::now();
        let mut retired = Retired::default();
        for (index, on_deadline) in [(1, Answer::Reset), (2, Answer::Drop), (3, Answer::Reset)] {
            retired.insert(index, Terms { timeout: TIMEOUT, on_deadline }, start);
        }
        assert!(retired.remove(3) && !retired.remove(3));
        assert!(retired.overdue(Answer::Reset, start + TIMEOUT - Duration::from_millis(1)).is_empty());
        let reset = retired.overdue(Answer::Reset, start + TIMEOUT);
        assert_eq!(reset, HashSet::from([1]));
        assert_eq!(retired.overdue(Answer::Drop, start + TIMEOUT), HashSet::from([2]));
        retired.settle(&reset);
        assert!(retired.overdue(Answer::Reset, start + 2 * TIMEOUT).is_empty());
        assert!(retired.indices().eq([1, 2]), "their indices stay taken until no flow names them");
    }
}
