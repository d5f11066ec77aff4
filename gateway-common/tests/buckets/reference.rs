//! Long histories on one CPU, beside a map of the standard library.
#![expect(unsafe_code, reason = "a bucket's memory as the packet programs see it")]

use std::{cell::UnsafeCell, collections::HashMap};

use gateway_common::{
    abi::{self, Flow, REACH, SLOTS, Tag, Tuple, entries_in},
    nat::{
        InsertError,
        buckets::{self, Bucket, Buckets, Position},
    },
};
use proptest::prelude::*;

use super::{HASH_KEYS, entry};

const BUCKETS: u32 = REACH;

/// A table in plain memory, with the layout of the map.
struct Table<const FORGETS: bool> {
    buckets: Vec<UnsafeCell<abi::Bucket>>,
}

impl<const FORGETS: bool> Table<FORGETS> {
    fn new() -> Self {
        let empty = || abi::Bucket {
            head: abi::Head { words: [0; SLOTS as usize], filled: [0; SLOTS as usize] },
            flows: [entry(0, 0); SLOTS as usize - 1],
        };
        Self { buckets: (0..BUCKETS).map(|_| UnsafeCell::new(empty())).collect() }
    }

    fn slots_with(&self, wanted: impl Fn(Tag) -> bool) -> Vec<Position> {
        let all = (0..BUCKETS * SLOTS).map(Position).filter(|at| at.slot() != 0);
        all.filter(|at| wanted(Tag(self.bucket(at.index()).unwrap().word(at.slot())))).collect()
    }

    fn recycle(&self) {
        for at in self.slots_with(|tag| tag == Tag::RETIRED) {
            let tuple = self.bucket(at.index()).unwrap().flow(at.slot()).from;
            buckets::recycle(self, at, &tuple);
        }
    }

    fn passed(&self) -> u32 {
        (0..BUCKETS).map(|index| self.bucket(index).unwrap().word(0)).sum()
    }
}

impl<const FORGETS: bool> Buckets for Table<FORGETS> {
    type Bucket = Plain;
    const FORGETS: bool = FORGETS;

    fn count(&self) -> u32 {
        BUCKETS
    }

    fn hash_keys(&self) -> &[u32; 10] {
        &HASH_KEYS
    }

    fn bucket(&self, index: u32) -> Option<Plain> {
        self.buckets.get(index as usize).map(|bucket| Plain(bucket.get()))
    }
}

#[derive(Clone, Copy)]
struct Plain(*mut abi::Bucket);

impl Plain {
    fn flow(self, slot: u32) -> Flow {
        // SAFETY: within the bucket; the slots' entries are filled from the start.
        unsafe { *self.0.cast::<Flow>().add(slot as usize) }
    }
}

impl Bucket for Plain {
    fn word(self, slot: u32) -> u32 {
        // SAFETY: within the head.
        unsafe { *self.0.cast::<u32>().add(slot as usize) }
    }

    fn exchange(self, slot: u32, old: Tag, new: Tag) -> bool {
        let same = self.word(slot) == old.0;
        if same {
            // SAFETY: within the head.
            unsafe { *self.0.cast::<u32>().add(slot as usize) = new.0 };
        }
        same
    }

    fn pass(self, change: i32) {
        // SAFETY: within the head.
        unsafe { *self.0.cast::<u32>() = self.word(0).wrapping_add_signed(change) };
    }

    fn holds(self, slot: u32, tuple: &Tuple) -> bool {
        self.flow(slot).from == *tuple
    }

    fn filled(self, slot: u32) -> u32 {
        // SAFETY: within the head.
        unsafe { (*self.0).head.filled[slot as usize] }
    }

    fn set_filled(self, slot: u32, now: u32) {
        // SAFETY: within the head.
        unsafe { (*self.0).head.filled[slot as usize] = now };
    }

    fn fill(self, slot: u32, flow: &Flow) {
        // SAFETY: within the bucket.
        unsafe { *self.0.cast::<Flow>().add(slot as usize) = *flow };
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u32),
    Retire(u16),
    Recycle,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..280_u16;
    prop_oneof![
        6 => (number.clone(), any::<u32>()).prop_map(|(number, mark)| Step::Insert(number, mark)),
        3 => number.prop_map(Step::Retire),
        1 => Just(Step::Recycle),
    ]
}

proptest! {
    #[test]
    fn it_holds_what_a_map_would(steps in prop::collection::vec(step(), 1..900)) {
        let table = Table::<false>::new();
        let mut reference = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(number, mark) => match buckets::insert(&table, &entry(number, mark)) {
                    Ok(()) => prop_assert!(reference.insert(number, mark).is_none()),
                    Err(InsertError::Exists) => prop_assert!(reference.contains_key(&number)),
                    Err(InsertError::Full) => {
                        // Retired slots are not free yet; and room runs out only near the end of it.
                        let free = table.slots_with(|tag| tag == Tag::FREE).len() as u32;
                        prop_assert!(free < BUCKETS * (SLOTS - 1) - entries_in(BUCKETS) || reference.contains_key(&number));
                    }
                },
                Step::Retire(number) => {
                    buckets::retire(&table, &entry(number, 0).from);
                    reference.remove(&number);
                }
                Step::Recycle => table.recycle(),
            }
            for number in 0..280 {
                let found = buckets::find(&table, &entry(number, 0).from);
                let mark = found.map(|at| table.bucket(at.index()).unwrap().flow(at.slot()).backend);
                prop_assert_eq!(mark, reference.get(&number).copied());
            }
        }
        let left: Vec<u16> = reference.into_keys().collect();
        left.iter().for_each(|number| buckets::retire(&table, &entry(*number, 0).from));
        table.recycle();
        prop_assert!(table.slots_with(|tag| tag != Tag::FREE).is_empty());
        prop_assert_eq!(table.passed(), 0);
    }
}

#[test]
fn a_bucket_is_filled_to_its_last_slot() {
    let table = Table::<false>::new();
    let inserted = (0..u16::MAX).filter(|number| buckets::insert(&table, &entry(*number, 0)).is_ok()).count();
    assert_eq!(inserted as u32, BUCKETS * (SLOTS - 1));
}

#[test]
fn a_table_that_forgets_always_has_room_and_forgets_the_oldest() {
    let table = Table::<true>::new();
    let at = |number: u16| Flow { last_seen: number.into(), ..entry(number, 0) };
    for number in 1..=20_000 {
        buckets::insert(&table, &at(number)).unwrap();
        assert!(buckets::insert(&table, &at(number)).is_err());
    }
    let left: Vec<u16> =
        (1..=20_000).filter(|number| buckets::find(&table, &entry(*number, 0).from).is_some()).collect();
    assert_eq!(left.len() as u32, BUCKETS * (SLOTS - 1));
    // Buckets fill unevenly, but none for very long.
    assert!(left.iter().all(|number| *number > 20_000 - 4 * (BUCKETS * SLOTS) as u16), "{left:?}");
    buckets::retire(&table, &entry(left[0], 0).from);
    assert!(buckets::find(&table, &entry(left[0], 0).from).is_none());
    buckets::insert(&table, &at(left[0])).unwrap();
}
