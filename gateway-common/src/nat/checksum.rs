//! The Internet checksum as arithmetic.
//!
//! A checksum is the complement of a ones' complement sum of 16-bit words, and that sum is linear: when a
//! word changes from `m` to `m'` the sum changes by `~m + m'` (RFC 1624, equation 3), wherever the word
//! stands, and in whatever byte order, as long as it is always the same one (RFC 1071 section 2). So a
//! rewrite needs only what it replaced, never the payload.
#![expect(unsafe_code, reason = "bytes as words, at a fixed alignment")]

/// The change of a ones' complement sum, not yet folded. Words are in native byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta(u64);

impl Delta {
    pub const ZERO: Self = Self(0);

    /// Adds the change of two bytes at an even offset.
    #[inline(always)]
    pub fn replace2(self, old: [u8; 2], new: [u8; 2]) -> Self {
        Self(self.0 + u64::from(!u16::from_ne_bytes(old)) + u64::from(u16::from_ne_bytes(new)))
    }

    /// Adds the change of four bytes at an even offset: a 32-bit sum folds to the same 16 bits.
    #[inline(always)]
    pub fn replace4(self, old: [u8; 4], new: [u8; 4]) -> Self {
        Self(self.0 + u64::from(!u32::from_ne_bytes(old)) + u64::from(u32::from_ne_bytes(new)))
    }

    /// Adds the change of sixteen bytes at an even offset.
    #[inline(always)]
    pub fn replace16(self, old: [u8; 16], new: [u8; 16]) -> Self {
        let pairs = words(old).into_iter().zip(words(new));
        Self(pairs.fold(self.0, |sum, (old, new)| sum + u64::from(!old) + u64::from(new)))
    }

    /// Adds bytes that were not in the sum before.
    #[inline(always)]
    pub fn insert4(self, new: [u8; 4]) -> Self {
        Self(self.0 + u64::from(u32::from_ne_bytes(new)))
    }

    /// Adds words in network order that were not in the sum before.
    #[inline(always)]
    pub fn insert_words(self, new: &[u32]) -> Self {
        Self(new.iter().fold(self.0, |sum, word| sum + u64::from(*word)))
    }

    #[inline(always)]
    pub fn insert2(self, new: [u8; 2]) -> Self {
        Self(self.0 + u64::from(u16::from_ne_bytes(new)))
    }

    /// Adds sixteen bytes that were not in the sum before.
    #[inline(always)]
    pub fn insert16(self, new: [u8; 16]) -> Self {
        self.insert_words(&words(new))
    }

    /// Both changes.
    #[inline(always)]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The change as the 32-bit sum that the kernel's checksum helpers take.
    #[inline(always)]
    pub fn folded32(self) -> u32 {
        let once = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        ((once & 0xffff_ffff) + (once >> 32)) as u32
    }

    /// `checksum` (as it stands in the header) after the change.
    #[inline(always)]
    pub fn apply(self, checksum: [u8; 2]) -> [u8; 2] {
        let sum = self.0 + u64::from(!u16::from_ne_bytes(checksum));
        (!fold16(sum)).to_ne_bytes()
    }

    /// The checksum of what was inserted, starting from nothing.
    #[inline(always)]
    pub fn checksum(self) -> [u8; 2] {
        (!fold16(self.0)).to_ne_bytes()
    }
}

/// Folds carries back in (RFC 1071 section 4.1) until 16 bits remain.
#[inline(always)]
fn fold16(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Words, not bytes put together again: the compiler keeps them whole.
#[inline(always)]
fn words(bytes: [u8; 16]) -> [u32; 4] {
    // SAFETY: sixteen bytes are four words, and any bits are.
    unsafe { core::mem::transmute(bytes) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 by the book: 16-bit words, carries added back at once.
    fn full(bytes: &[u8]) -> [u8; 2] {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    }

    /// 0x0000 and 0xffff are the same number in ones' complement.
    fn same(a: [u8; 2], b: [u8; 2]) -> bool {
        let zero = |c: [u8; 2]| c == [0, 0] || c == [0xff, 0xff];
        a == b || (zero(a) && zero(b))
    }

    proptest! {
        #[test]
        fn incremental_update_equals_full_recompute(
            mut packet in proptest::collection::vec(any::<u8>(), 40..200),
            address in any::<[u8; 16]>(), word in any::<[u8; 4]>(), port in any::<[u8; 2]>(),
        ) {
            let before = full(&packet);
            let delta = Delta::ZERO
                .replace16(packet[0..16].try_into().unwrap(), address)
                .replace4(packet[18..22].try_into().unwrap(), word)
                .replace2(packet[30..32].try_into().unwrap(), port);
            packet[0..16].copy_from_slice(&address);
            packet[18..22].copy_from_slice(&word);
            packet[30..32].copy_from_slice(&port);
            prop_assert!(same(delta.apply(before), full(&packet)));
        }

        #[test]
        fn inserted_bytes_equal_full_compute(bytes in any::<[u8; 16]>(), word in any::<[u8; 4]>(), half in any::<[u8; 2]>()) {
            let all: Vec<u8> = bytes.into_iter().chain(word).chain(half).collect();
            prop_assert!(same(Delta::ZERO.insert16(bytes).insert4(word).insert2(half).checksum(), full(&all)));
        }

        #[test]
        fn kernel_form_keeps_the_sum(a in any::<[u8; 16]>(), b in any::<[u8; 16]>(), checksum in any::<[u8; 2]>()) {
            let delta = Delta::ZERO.replace16(a, b);
            prop_assert!(same(Delta(u64::from(delta.folded32())).apply(checksum), delta.apply(checksum)));
        }
    }

    #[test]
    fn known_header_from_rfc_1624() {
        // Section 4: checksum 0xdd2f, word 0x5555 becomes 0x3285, result must be 0x0000 and not 0xffff.
        let delta = Delta::ZERO.replace2([0x55, 0x55], [0x32, 0x85]);
        assert_eq!(delta.apply([0xdd, 0x2f]), [0, 0]);
    }
}
