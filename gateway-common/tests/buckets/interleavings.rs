//! Model checking: every order in which few CPUs can act, with up to three preemptions.
//!
//! Memory is the model checker's: it also fails where one CPU reads an entry while another writes it. Of each bucket
//! few slots take part, the others are never free.
#![expect(unsafe_code, reason = "cells of the model checker")]

use gateway_common::{
    abi::{Flow, REACH, Tag, Tuple},
    nat::buckets::{self, Bucket, Buckets},
};
use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering, fence},
    },
    thread,
};

use super::{HASH_KEYS, entry};

const ONE: u16 = 40_000;

/// Slots of a bucket that take part, besides the head.
const ACTIVE: usize = 2;

struct Slots {
    words: [AtomicU32; 1 + ACTIVE],
    flows: [UnsafeCell<Flow>; 1 + ACTIVE],
}

struct Table {
    buckets: Vec<Slots>,
}

impl Table {
    fn new(buckets: u32) -> Self {
        let slots = || Slots {
            words: std::array::from_fn(|_| AtomicU32::new(0)),
            flows: std::array::from_fn(|_| UnsafeCell::new(entry(0, 0))),
        };
        Self { buckets: (0..buckets).map(|_| slots()).collect() }
    }

    fn mark_of(&self, tuple: &Tuple) -> Option<u32> {
        let found = buckets::find(self, tuple)?;
        Some(self.buckets[found.index() as usize].flows[found.slot() as usize].with(|flow| unsafe { (*flow).backend }))
    }

    /// How many live entries there are of a tuple.
    fn count(&self, tuple: &Tuple) -> usize {
        let live = |bucket: &Slots, slot: usize| {
            Tag(bucket.words[slot].load(Ordering::Acquire)).is_live()
                && bucket.flows[slot].with(|flow| unsafe { (*flow).from == *tuple })
        };
        self.buckets.iter().map(|bucket| (1..=ACTIVE).filter(|slot| live(bucket, *slot)).count()).sum()
    }
}

impl Buckets for Table {
    type Bucket = Model;

    const FORGETS: bool = false;

    fn count(&self) -> u32 {
        self.buckets.len() as u32
    }

    fn hash_keys(&self) -> &[u32; 10] {
        &HASH_KEYS
    }

    fn bucket(&self, index: u32) -> Option<Model> {
        self.buckets.get(index as usize).map(|slots| Model(slots))
    }
}

#[derive(Clone, Copy)]
struct Model(*const Slots);

impl Model {
    fn slots<'a>(self) -> &'a Slots {
        // SAFETY: of a table that every thread of the model holds.
        unsafe { &*self.0 }
    }
}

impl Bucket for Model {
    fn word(self, slot: u32) -> u32 {
        self.slots().words.get(slot as usize).map_or(Tag::RETIRED.0, |word| word.load(Ordering::Acquire))
    }

    fn exchange(self, slot: u32, old: Tag, new: Tag) -> bool {
        // The model checker takes a full barrier from fences alone.
        fence(Ordering::SeqCst);
        let word = &self.slots().words[slot as usize];
        let done = word.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Acquire).is_ok();
        fence(Ordering::SeqCst);
        done
    }

    fn pass(self, change: i32) {
        fence(Ordering::SeqCst);
        self.slots().words[0].fetch_add(change.cast_unsigned(), Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    fn holds(self, slot: u32, tuple: &Tuple) -> bool {
        self.slots().flows[slot as usize].with(|flow| unsafe { (*flow).from == *tuple })
    }

    fn filled(self, _: u32) -> u32 {
        unreachable!("the table does not forget")
    }

    fn set_filled(self, _: u32, _: u32) {
        unreachable!("the table does not forget")
    }

    fn fill(self, slot: u32, flow: &Flow) {
        self.slots().flows[slot as usize].with_mut(|place| unsafe { *place = *flow });
    }
}

/// Runs `cpus` over a table that `prepare` has filled, in every order, and then `check`.
fn in_every_order<const CPUS: usize>(prepare: fn(&Table), cpus: [fn(&Table); CPUS], check: fn(&Table)) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let table = Arc::new(Table::new(REACH));
        prepare(&table);
        let running = cpus.map(|cpu| {
            let table = table.clone();
            thread::spawn(move || cpu(&table))
        });
        running.into_iter().for_each(|cpu| cpu.join().unwrap());
        check(&table);
    });
}

/// Inserts an entry with this mark, or not.
fn insert(table: &Table, mark: u32) {
    let _ = buckets::insert(table, &entry(ONE, mark));
}

fn tuple() -> Tuple {
    entry(ONE, 0).from
}

/// The numbers of other entries whose home bucket is the tuple's.
fn neighbours(table: &Table) -> impl Iterator<Item = u16> {
    (1..).filter(|number| home(table, &entry(*number, 0).from) == home(table, &tuple()))
}

/// Fills the home bucket of the tuple with others, which leaves room in the next one alone.
fn fill_home(table: &Table) {
    neighbours(table).take(ACTIVE).for_each(|number| buckets::insert(table, &entry(number, 0)).unwrap());
}

/// Removes one of those that fill the home bucket, makes its slot free again, and returns its number.
fn free_a_slot_at_home(table: &Table) -> u16 {
    let number = neighbours(table).next().unwrap();
    let gone = entry(number, 0).from;
    let found = buckets::find(table, &gone).unwrap();
    buckets::retire(table, &gone);
    buckets::recycle(table, found, &gone);
    number
}

/// The home bucket of a tuple: where it lies in an empty table.
fn home(table: &Table, tuple: &Tuple) -> u32 {
    let empty = Table::new(table.buckets.len() as u32);
    let number = u16::from_be_bytes(tuple.src_port);
    buckets::insert(&empty, &entry(number, 0)).unwrap();
    buckets::find(&empty, tuple).unwrap().index()
}

#[test]
fn of_two_insertions_of_a_tuple_never_both_stay() {
    for prepare in [|_: &Table| {}, fill_home] {
        in_every_order(prepare, [|table| insert(table, 1), |table| insert(table, 2)], |table| {
            assert!(table.count(&tuple()) <= 1)
        });
    }
}

#[test]
fn an_insertion_that_succeeds_is_found_and_the_only_one() {
    in_every_order(
        |_| {},
        [
            |table| {
                if buckets::insert(table, &entry(ONE, 1)).is_ok() {
                    assert_eq!(table.mark_of(&tuple()), Some(1));
                }
            },
            |table| {
                if buckets::insert(table, &entry(ONE, 2)).is_ok() {
                    assert_eq!(table.mark_of(&tuple()), Some(2));
                }
            },
        ],
        |_| {},
    );
}

#[test]
fn readers_see_an_entry_whole_or_not_at_all() {
    in_every_order(
        |_| {},
        [
            |table| buckets::insert(table, &entry(ONE, 7)).unwrap(),
            |table| assert!(matches!(table.mark_of(&tuple()), None | Some(7))),
        ],
        |table| assert_eq!(table.mark_of(&tuple()), Some(7)),
    );
}

#[test]
fn an_entry_in_the_next_bucket_is_found_while_its_home_changes() {
    in_every_order(
        |table| {
            fill_home(table);
            buckets::insert(table, &entry(ONE, 7)).unwrap();
        },
        [
            |table| {
                let number = free_a_slot_at_home(table);
                buckets::insert(table, &entry(number, 1)).unwrap();
            },
            |table| assert_eq!(table.mark_of(&tuple()), Some(7)),
        ],
        |table| assert_eq!(table.mark_of(&tuple()), Some(7)),
    );
}

#[test]
fn a_taken_tuple_is_refused_while_a_slot_before_it_becomes_free() {
    in_every_order(
        |table| {
            fill_home(table);
            buckets::insert(table, &entry(ONE, 7)).unwrap();
        },
        [
            |table| {
                free_a_slot_at_home(table);
            },
            |table| assert!(buckets::insert(table, &entry(ONE, 8)).is_err()),
        ],
        |table| assert_eq!((table.count(&tuple()), table.mark_of(&tuple())), (1, Some(7))),
    );
}
