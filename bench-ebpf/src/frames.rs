//! The frames that the generator sends. Both sides of the benchmarks use this file.

/// What the generator is told; the only entry of its map.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Frames {
    /// Of the random numbers.
    pub state: u64,
    /// The frame but for its source address, source port and checksums, in the order of its bytes.
    pub template: [u64; 7],
    pub template_end: u32,
    /// Flows to draw from: numbers 0 to this one. 0: one after the other, from `next` on.
    pub flows: u32,
    pub next: u32,
    /// Interface to send by.
    pub device: u32,
    /// Sums of the template's 16-bit words that the checksums of IPv4 and TCP are over.
    pub ip_sum: u32,
    pub tcp_sum: u32,
}

/// 64 bytes on a wire, with the check sequence.
pub const FRAME_LEN: usize = 60;
/// The backend's first sequence number, in every flow.
pub const SERVER_SEQUENCE: u32 = 5_000;
/// 100.64.0.0: where the clients' addresses begin.
pub const CLIENTS: u32 = 0x6440_0000;

/// Address and port of a flow's client, as numbers.
#[inline(always)]
pub fn source(flow: u32) -> (u32, u16) {
    (CLIENTS + (flow >> 15), 20_000 + (flow & 0x7fff) as u16)
}

/// One's complement of a sum of 16-bit words (RFC 1071).
#[inline(always)]
pub fn checksum(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    !(((once & 0xffff) + (once >> 16)) as u16)
}

impl Frames {
    /// The number of the next frame's flow.
    #[inline(always)]
    pub fn draw(&mut self) -> u32 {
        if self.flows == 0 {
            let flow = self.next;
            self.next = flow.wrapping_add(1);
            return flow;
        }
        // Knuth's MMIX generator; its upper bits are the random ones.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.state >> 32) * u64::from(self.flows)) >> 32) as u32
    }
}
