//! Another build of the gateway under test, for what happens when one takes over from the other.

use std::{fs, path::PathBuf};

use crate::Lab;

/// The header of an object for eBPF: 64 bits, little-endian, and what follows up to the number of its machine.
const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01";
const PADDING: usize = 9;
const MACHINE: usize = 18;
const BPF: [u8; 2] = 247u16.to_le_bytes();

/// The gateway under test as another build of it: the packet programs do the same, but come from another object. What
/// differs is the padding of the object's header, which nobody reads.
#[track_caller]
pub fn another_build(lab: &Lab) -> PathBuf {
    let mut program = fs::read(super::program()).expect("the gateway is readable");
    let is_object = |at: &usize| {
        let header = &program[*at..];
        header.starts_with(MAGIC) && header.get(MACHINE..).is_some_and(|machine| machine.starts_with(&BPF))
    };
    // They are aligned, or nobody could read them.
    let objects: Vec<usize> = (0..program.len()).step_by(8).filter(is_object).collect();
    assert!(!objects.is_empty(), "the gateway has no packet programs in it");
    for at in objects {
        program[at + PADDING] ^= 1;
    }
    let path = lab.directory().join("gateway-of-another-build");
    fs::write(&path, program).expect("the lab's folder is writable");
    fs::set_permissions(&path, fs::metadata(super::program()).expect("it was read").permissions())
        .expect("an own file can be made a program");
    path
}
