//! A flow table in memory that behaves as the kernel's hash maps do.
//!
//! As under RCU, what is removed stays readable until nobody can be looking: [`HostFlows::reclaim`], which needs
//! the table exclusively, is the grace period.
#![expect(unsafe_code, reason = "references into tables that outlive a borrow, as the kernel's maps give them")]

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, DefaultHasher},
    ptr::NonNull,
};

use crate::{
    abi::{Flow, Tuple},
    nat::{FlowTable, InsertError},
};

/// What an insertion into a full table does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Fails, as a hash map does.
    Refuse,
    /// Forgets the entry inserted first, as an LRU map under pressure may do.
    Forget,
}

/// A table of flow directions with a capacity.
pub struct HostFlows {
    entries: RefCell<HashMap<Tuple, Entry, BuildHasherDefault<DefaultHasher>>>,
    /// Kept only where the oldest is to be found.
    by_age: RefCell<BTreeMap<u64, Tuple>>,
    retired: RefCell<Vec<NonNull<Flow>>>,
    inserted: Cell<u64>,
    forgotten: Cell<u64>,
    capacity: usize,
    when_full: WhenFull,
}

/// Memory from `Box::into_raw`, owned by the table; `age` is the number of the insertion.
struct Entry {
    flow: NonNull<Flow>,
    age: u64,
}

impl HostFlows {
    pub fn new(capacity: usize, when_full: WhenFull) -> Self {
        Self {
            entries: RefCell::default(),
            by_age: RefCell::default(),
            retired: RefCell::default(),
            inserted: Cell::new(0),
            forgotten: Cell::new(0),
            capacity,
            when_full,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loses an entry, as an LRU map under pressure may at any time.
    pub fn forget(&self, tuple: &Tuple) {
        self.forgotten.set(self.forgotten.get() + 1);
        self.remove(tuple);
    }

    /// Entries lost to pressure so far.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.get()
    }

    /// Copies of all entries, sorted by their tuples.
    pub fn entries(&self) -> BTreeMap<Tuple, Flow> {
        // SAFETY: live entries of this table; nobody writes while the copy is made, for the table is not `Sync`.
        self.entries.borrow().iter().map(|(tuple, entry)| (*tuple, unsafe { *entry.flow.as_ptr() })).collect()
    }

    /// A copy of one entry.
    pub fn find(&self, tuple: &Tuple) -> Option<Flow> {
        // SAFETY: as in `entries`.
        self.entries.borrow().get(tuple).map(|entry| unsafe { *entry.flow.as_ptr() })
    }

    /// Frees what was removed.
    pub fn reclaim(&mut self) {
        for flow in self.retired.get_mut().drain(..) {
            // SAFETY: from `Box::into_raw`, taken out of the table when it was retired; `&mut self` ends every
            // reference that `get` gave out.
            drop(unsafe { Box::from_raw(flow.as_ptr()) });
        }
    }
}

impl FlowTable for HostFlows {
    fn get(&self, tuple: &Tuple) -> Option<&mut Flow> {
        let entries = self.entries.borrow();
        let entry = entries.get(tuple)?;
        // SAFETY: the memory outlives `&self`, since only `reclaim` and `drop` free it. It is behind a pointer, so
        // growth of the table does not move it. The core, for which this trait is, uses one reference to an entry at
        // a time, which is what the kernel side relies on as well.
        Some(unsafe { &mut *entry.flow.as_ptr() })
    }

    fn insert(&self, flow: &Flow) -> Result<(), InsertError> {
        let tuple = &flow.from;
        if self.entries.borrow().contains_key(tuple) {
            return Err(InsertError::Exists);
        }
        if self.len() >= self.capacity {
            let oldest = self.by_age.borrow().first_key_value().map(|(_, tuple)| *tuple);
            match (self.when_full, oldest) {
                (WhenFull::Forget, Some(oldest)) => self.forget(&oldest),
                _ => return Err(InsertError::Full),
            }
        }
        let age = self.inserted.replace(self.inserted.get() + 1);
        let flow = NonNull::from(Box::leak(Box::new(*flow)));
        self.entries.borrow_mut().insert(*tuple, Entry { flow, age });
        if self.when_full == WhenFull::Forget {
            self.by_age.borrow_mut().insert(age, *tuple);
        }
        Ok(())
    }

    fn remove(&self, tuple: &Tuple) {
        if let Some(entry) = self.entries.borrow_mut().remove(tuple) {
            self.by_age.borrow_mut().remove(&entry.age);
            self.retired.borrow_mut().push(entry.flow);
        }
    }
}

impl Drop for HostFlows {
    fn drop(&mut self) {
        let live = self.entries.get_mut().drain().map(|(_, entry)| entry.flow);
        self.retired.get_mut().extend(live);
        self.reclaim();
    }
}
