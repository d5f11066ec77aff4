//! What is remembered of a SYN, so that another backend can get it, or the same one from another port.

use super::Tuple;

/// Words of the longest TCP header (RFC 9293 section 3.1).
pub const TCP_HEADER_WORDS: usize = 15;

/// Backends that one SYN is given to at most, one after the other, before its client learns of a refusal.
pub const MAX_TRIED: usize = 4;

/// The TCP header of a client's SYN and the backends that have had it.
///
/// Its place in the array follows from the tuple's hash: nothing is ever removed, and a later SYN may overwrite it, even
/// while it is being read. So it counts only if the tuple and the sequence number are right, and the header only if it
/// agrees with its checksum.
///
/// Layout: tuple 36, header 60, number of words 4, backends 16, ports 4, padding 8 = 128 bytes, two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Syn {
    /// From the client to the service.
    pub tuple: Tuple,
    /// In network order, as the client sent it; but the checksum covers the header alone, as that of IPv4 does.
    pub header: [u32; TCP_HEADER_WORDS],
    /// Words of the header, options included.
    pub words: u32,
    /// Indices of the backends that have had it; 0: none.
    pub tried: [u32; MAX_TRIED],
    /// Source ports that were given up since the client has sent it.
    pub ports: u32,
    pub reserved: [u8; 8],
}

impl Syn {
    /// A place that holds nothing.
    pub const EMPTY: Self = Self {
        tuple: Tuple::EMPTY,
        header: [0; TCP_HEADER_WORDS],
        words: 0,
        tried: [0; MAX_TRIED],
        ports: 0,
        reserved: [0; 8],
    };

    /// The initial sequence number.
    #[inline(always)]
    pub const fn isn(&self) -> u32 {
        u32::from_be(self.header[1])
    }
}
