//! Type information (BTF, Documentation/bpf/btf.rst) that the kernel accepts.
//!
//! The linker describes a Rust enum that carries data as a union whose members start at an offset. The kernel knows no
//! such union and refuses the whole of it; nothing reads these types, so their members start at 0 instead.

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _};

/// `struct btf_header` up to `type_len`, all in bytes: magic 2, version 1, flags 1, `hdr_len` 4, `type_off` 4, `type_len` 4.
const HEADER_LEN: usize = 4;
const TYPES_OFFSET: usize = 8;
const TYPES_LEN: usize = 12;

/// `struct btf_type`: name, kind with the number of members, size or type.
const TYPE: usize = 12;
/// `struct btf_member`: name, type, offset.
const MEMBER: usize = 12;
const MEMBER_OFFSET: usize = 8;

const KIND_UNION: u32 = 5;

/// Sets the offset of every member of every union in the object to 0.
pub fn level_unions(object: &mut [u8]) -> Result<()> {
    let file = object::File::parse(&*object).context("parse the object")?;
    let section = file.section_by_name(".BTF").context("find the section .BTF")?;
    let (start, size) = section.file_range().context("find .BTF in the file")?;
    let btf = &mut object[start as usize..][..size as usize];
    let mut position = word(btf, HEADER_LEN)? + word(btf, TYPES_OFFSET)?;
    let end = position + word(btf, TYPES_LEN)?;
    while position < end {
        let info = word(btf, position + 4)? as u32;
        let (kind, members) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        position += TYPE;
        if kind == KIND_UNION {
            for member in 0..members {
                let offset = position + member * MEMBER + MEMBER_OFFSET;
                btf.get_mut(offset..offset + 4).context("a member lies beyond .BTF")?.fill(0);
            }
        }
        position += rest(kind, members)?;
    }
    Ok(())
}

/// Bytes that follow a type of this kind.
fn rest(kind: u32, members: usize) -> Result<usize> {
    Ok(match kind {
        // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
        2 | 7..=12 | 16 | 18 => 0,
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Array.
        3 => 12,
        // Structure, union, data section, enumeration of 64 bits.
        4 | KIND_UNION | 15 | 19 => 12 * members,
        // Enumeration, function prototype.
        6 | 13 => 8 * members,
        kind => bail!("a type of the unknown kind {kind}"),
    })
}

fn word(btf: &[u8], offset: usize) -> Result<usize> {
    let bytes = btf.get(offset..offset + 4).context(".BTF ends early")?;
    Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize)
}
