//! Copies of a map's entries, which take a packet's writes in the map's place.
#![expect(unsafe_code, reason = "references into a table that outlive a borrow, as the kernel's maps give them")]

use std::{cell::RefCell, collections::HashMap, hash::Hash, ptr::NonNull};

/// Entries by key, each read once and changed here alone.
pub struct Overlay<K, V> {
    /// None: there is no entry.
    entries: RefCell<HashMap<K, Option<NonNull<V>>>>,
    /// All there ever were, from `Box::leak`: what is removed stays readable, as under RCU.
    owned: RefCell<Vec<NonNull<V>>>,
}

impl<K: Eq + Hash, V> Overlay<K, V> {
    pub fn new() -> Self {
        Self { entries: RefCell::default(), owned: RefCell::default() }
    }

    /// The entry of `key`, in place, which `read` gives the first time. A caller uses one reference to it at a time.
    #[expect(clippy::mut_from_ref, reason = "stands for map memory, which the kernel shares between CPUs as well")]
    pub fn get(&self, key: K, read: impl FnOnce() -> Option<V>) -> Option<&mut V> {
        let known = self.entries.borrow().get(&key).copied();
        let entry = known.unwrap_or_else(|| self.put(key, read()));
        // SAFETY: freed with `self` alone, and behind a pointer, so growth of the table does not move it. The core, for
        // which this is, uses one reference to an entry at a time; the overlay is not `Sync`.
        entry.map(|mut entry| unsafe { entry.as_mut() })
    }

    /// Makes this the entry of `key`, or removes it.
    pub fn set(&self, key: K, value: Option<V>) {
        self.put(key, value);
    }

    fn put(&self, key: K, value: Option<V>) -> Option<NonNull<V>> {
        let entry = value.map(|value| NonNull::from(Box::leak(Box::new(value))));
        self.owned.borrow_mut().extend(entry);
        self.entries.borrow_mut().insert(key, entry);
        entry
    }
}

impl<K, V> Drop for Overlay<K, V> {
    fn drop(&mut self) {
        for entry in self.owned.get_mut().drain(..) {
            // SAFETY: from `Box::leak`, listed once; `&mut self` ends every reference that `get` gave out.
            drop(unsafe { Box::from_raw(entry.as_ptr()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_once_and_keeps_what_is_written() {
        let overlay = Overlay::<u32, i64>::new();
        *overlay.get(7, || Some(1)).unwrap() += 1;
        assert_eq!(overlay.get(7, || panic!("it has been read")), Some(&mut 2));
        overlay.set(7, None);
        assert_eq!(overlay.get(7, || panic!("it has been removed")), None);
        overlay.set(7, Some(5));
        assert_eq!(overlay.get(7, || None), Some(&mut 5));
    }

    #[test]
    fn what_is_removed_stays_readable() {
        let overlay = Overlay::<u32, String>::new();
        let entry = overlay.get(1, || Some("kept".to_owned())).unwrap();
        overlay.set(1, None);
        assert_eq!(entry, "kept");
    }
}
