//! Who owns which stretch of the slot array.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// How long a stretch stays as it is after its service has left it: a packet program that read the service before
/// may still read the stretch. Programs run for microseconds; this is far beyond any of them.
const GRACE: Duration = Duration::from_secs(2);

/// A stretch of the slot array. `len` 0 is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Region {
    pub start: u32,
    pub len: u32,
}

/// The stretches that nobody owns, by their start; neighbours are merged.
#[derive(Debug)]
pub struct Regions {
    free: BTreeMap<u32, u32>,
    leaving: VecDeque<(Instant, Region)>,
}

impl Regions {
    pub fn new(len: u32) -> Self {
        Self { free: BTreeMap::from([(0, len)]), leaving: VecDeque::new() }
    }

    /// Takes a region that is in use already. `false`: a part of it has an owner.
    pub fn occupy(&mut self, region: Region) -> bool {
        if region.len == 0 {
            return true;
        }
        let Some((&start, &len)) = self.free.range(..=region.start).next_back() else { return false };
        let (end, region_end) = (start + len, region.start + region.len);
        if end < region_end {
            return false;
        }
        self.free.remove(&start);
        self.insert(Region { start, len: region.start - start });
        self.insert(Region { start: region_end, len: end - region_end });
        true
    }

    /// The first stretch that has room for `len`.
    pub fn allocate(&mut self, len: u32, now: Instant) -> Option<Region> {
        if len == 0 {
            return Some(Region::default());
        }
        self.collect(now);
        let (&start, _) = self.free.iter().find(|(_, free)| **free >= len)?;
        let region = Region { start, len };
        self.occupy(region);
        Some(region)
    }

    /// Gives a region back, to be used again after the grace period.
    pub fn release(&mut self, region: Region, now: Instant) {
        if region.len > 0 {
            self.leaving.push_back((now, region));
        }
    }

    fn collect(&mut self, now: Instant) {
        while let Some((since, region)) = self.leaving.front().copied()
            && now.duration_since(since) >= GRACE
        {
            self.leaving.pop_front();
            self.free_now(region);
        }
    }

    fn free_now(&mut self, mut region: Region) {
        if let Some((&start, &len)) = self.free.range(..region.start).next_back()
            && start + len == region.start
        {
            self.free.remove(&start);
            region = Region { start, len: len + region.len };
        }
        if let Some(len) = self.free.remove(&(region.start + region.len)) {
            region.len += len;
        }
        self.insert(region);
    }

    fn insert(&mut self, region: Region) {
        if region.len > 0 {
            self.free.insert(region.start, region.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_region_rests_before_it_is_used_again() {
        let (mut regions, now) = (Regions::new(10), Instant::now());
        let region = regions.allocate(10, now).unwrap();
        regions.release(region, now);
        assert_eq!(regions.allocate(10, now), None);
        assert_eq!(regions.allocate(10, now + GRACE), Some(region));
    }

    #[test]
    fn a_region_in_use_can_be_occupied_once() {
        let mut regions = Regions::new(100);
        assert!(regions.occupy(Region { start: 40, len: 20 }));
        assert!(!regions.occupy(Region { start: 50, len: 20 }));
        assert!(!regions.occupy(Region { start: 90, len: 20 }));
        assert!(regions.occupy(Region { start: 60, len: 40 }));
    }

    proptest! {
        #[test]
        fn regions_never_overlap_and_all_come_back(steps in proptest::collection::vec((any::<bool>(), 1u32..50), 1..200)) {
            let (mut regions, mut now) = (Regions::new(1000), Instant::now());
            let mut owned: Vec<Region> = Vec::new();
            for (allocate, len) in steps {
                now += GRACE;
                if allocate {
                    owned.extend(regions.allocate(len, now));
                } else if !owned.is_empty() {
                    regions.release(owned.swap_remove(len as usize % owned.len()), now);
                }
                let mut sorted = owned.clone();
                sorted.sort_by_key(|region| region.start);
                prop_assert!(sorted.windows(2).all(|pair| pair[0].start + pair[0].len <= pair[1].start));
            }
            for region in owned {
                regions.release(region, now);
            }
            prop_assert_eq!(regions.allocate(1000, now + GRACE), Some(Region { start: 0, len: 1000 }));
        }
    }
}
