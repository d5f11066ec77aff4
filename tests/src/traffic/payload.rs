//! Payloads that differ everywhere, so that lost, repeated, moved and changed bytes are all seen.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

const CHUNK: usize = 64 * 1024;

/// `length` bytes that `seed` determines.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hexadecimal(Sha256::digest(bytes).as_slice())
}

/// Writes the stream of `seed` and gives its digest.
///
/// # Errors
/// When the target refuses a write.
pub fn send(target: &mut impl Write, seed: u64, length: usize) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chunk = vec![0; CHUNK];
    let mut left = length;
    while left > 0 {
        let part = &mut chunk[..left.min(CHUNK)];
        random.fill(part);
        hash.update(&*part);
        target.write_all(part)?;
        left -= part.len();
    }
    Ok(hexadecimal(&hash.finalize()))
}

/// Reads to the end of the stream and gives the number of bytes and their digest.
///
/// # Errors
/// When a read fails, also by its time limit.
pub fn receive(source: &mut impl Read) -> io::Result<(usize, String)> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut length = 0;
    loop {
        match source.read(&mut chunk)? {
            0 => return Ok((length, hexadecimal(&hash.finalize()))),
            read => {
                hash.update(&chunk[..read]);
                length += read;
            }
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
