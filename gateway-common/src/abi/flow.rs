//! The value of the flow tables: how one direction of a flow is translated and what has passed.
#![expect(unsafe_code, reason = "a read of which the compiler knows too much for the verifier")]

use super::{MAX_TRIED, Tuple};
use crate::nat::headers::Mac;

/// One direction of a flow, keyed by `from`.
///
/// A flow is a pair of these. Each is written only by packets of its own direction; what concerns both (the
/// TCP state) is a function of the pair, see [`crate::nat::state`]. The key of the twin is `to.reversed()`.
///
/// Layout: `from` 36, `to` 36, `traffic` 12, backend and times 12, sequence numbers 8, `hop` 22, direction and what was
/// seen 2 = 128 bytes, two cache lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Flow {
    /// The tuple its packets arrive with.
    pub from: Tuple,
    /// The tuple its packets leave with.
    pub to: Tuple,
    /// What has passed in this direction: on TC, packets are super-frames.
    pub traffic: Volume,
    /// Index of the backend.
    pub backend: u32,
    /// Ticks when the flow was opened; in a reply direction with [`Seen::COOKIE`] see [`Self::shift`].
    pub created: u32,
    /// Ticks when the last packet of this direction was seen.
    pub last_seen: u32,
    /// The sequence number that follows the highest one sent in this direction.
    pub next_seq: u32,
    /// The highest acknowledgement sent in this direction.
    pub acked: u32,
    /// Where its packets leave to.
    pub hop: Hop,
    pub direction: Direction,
    /// What has been seen in this direction.
    pub seen: Seen,
}

/// IP packets and their bytes, in twelve bytes: up to 2^40 packets of 2^56 bytes.
///
/// Layout: bytes in the low 56 bits of the first 64, above them the high 8 bits of packets; then their low 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(4))]
pub struct Volume {
    words: [u32; 3],
}

impl Volume {
    pub const EMPTY: Self = Self { words: [0; 3] };

    /// Bits of bytes in the second word.
    const SHIFT: u32 = 24;

    /// Adds one packet of `bytes`.
    #[inline(always)]
    pub fn add(&mut self, bytes: u32) {
        let [low, high, packets] = &mut self.words;
        *packets = packets.wrapping_add(1);
        if *packets == 0 {
            *high = high.wrapping_add(1 << Self::SHIFT);
        }
        *low = low.wrapping_add(bytes);
        if *low < bytes {
            *high = high.wrapping_add(1);
        }
    }

    pub const fn packets(&self) -> u64 {
        let [_, high, packets] = self.words;
        ((high >> Self::SHIFT) as u64) << 32 | packets as u64
    }

    pub const fn bytes(&self) -> u64 {
        let [low, high, _] = self.words;
        ((high & ((1 << Self::SHIFT) - 1)) as u64) << 32 | low as u64
    }

    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        let [_, high, packets] = self.words;
        packets == 0 && high >> Self::SHIFT == 0
    }
}

/// A flow before it is in a table.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Scratch {
    pub original: Flow,
    pub reply: Flow,
    /// Index of the backend that gets it.
    pub backend: u32,
    pub retry: Retry,
    /// Indices of the backends that have had it, 0 where there is none.
    pub tried: [u32; MAX_TRIED],
    /// 1: a backend before had no source port for it.
    pub elsewhere: u32,
    /// 1: the packet that opens it has been turned into a SYN.
    pub rewritten: u32,
    /// Identifier of its service if that has limits, otherwise 0.
    pub limited: u32,
    /// 1: it is new to the accounts of the limits.
    pub admitted: u32,
    pub client: Client,
    /// What the packet has done to its flow.
    pub change: Change,
}

/// Who has had the SYN of a flow before that is not in a table yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Retry {
    #[default]
    None = 0,
    /// Another backend.
    AnotherBackend = 1,
    /// The same backend, from another source port.
    AnotherPort = 2,
}

/// A change of a flow that is told to whoever watches flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Change {
    #[default]
    Nothing = 0,
    /// Its handshake is complete, or it goes on after what looked like its end.
    Opened = 1,
    /// Both ends have closed it, or one has reset it.
    Closed = 2,
}

/// What the acknowledgement of a SYN cookie says of its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Client {
    /// 1: it has acknowledged a cookie.
    pub known: u32,
    /// Its initial sequence number, and the gateway's, the cookie.
    pub isn: u32,
    pub cookie: u32,
}

impl Flow {
    /// Of nobody, with nothing seen.
    pub const EMPTY: Self = Self {
        from: Tuple::EMPTY,
        to: Tuple::EMPTY,
        traffic: Volume::EMPTY,
        backend: 0,
        created: 0,
        last_seen: 0,
        next_seq: 0,
        acked: 0,
        hop: Hop::NONE,
        direction: Direction::Original,
        seen: Seen::NOTHING,
    };

    /// How far the backend's sequence numbers are ahead of those that the client knows. Only a client whose SYN was answered by
    /// a cookie knows others, and its reply direction has this in the place of `created`: while the flow is half-open the
    /// cookie itself.
    #[inline(always)]
    pub fn shift(&self) -> u32 {
        let shifted = self.seen.contains(Seen::COOKIE) && self.direction == Direction::Reply;
        if shifted { self.created } else { 0 }
    }

    /// The direction as the index of an array of two.
    #[inline(always)]
    pub fn direction_index(&self) -> usize {
        // The compiler knows that a `Direction` is 0 or 1 and would leave the mask out, the verifier does not and
        // wants it: a volatile read keeps it.
        // SAFETY: a live field of one byte.
        usize::from(unsafe { (&raw const self.direction).cast::<u8>().read_volatile() } & 1)
    }
}

/// Which way the packets of a tuple go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// Client to backend: the tuple is (client, service).
    Original = 0,
    /// Backend to client: the tuple is (backend, snat).
    Reply = 1,
}

/// Events of one direction that its TCP state depends on, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Seen(pub u8);

impl Seen {
    pub const NOTHING: Self = Self(0);
    pub const SYN: Self = Self(1);
    pub const FIN: Self = Self(2);
    /// A reset whose sequence number its receiver would accept.
    pub const RST: Self = Self(4);
    /// Only in a reply direction: its flow is gone, the tuple rests so that the source port is not reused yet.
    pub const RESTING: Self = Self(8);
    /// In both directions: the operator has ended the flow, and nothing revives it. Its segments are answered by resets.
    pub const CUT: Self = Self(16);
    /// With [`Self::CUT`]: its segments are dropped instead.
    pub const SILENT: Self = Self(32);
    /// In both directions: the client's SYN was answered by a cookie.
    pub const COOKIE: Self = Self(64);

    #[inline(always)]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` has been seen.
    #[inline(always)]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[inline(always)]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline(always)]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The next hop: device, Ethernet addresses, VLAN and MTU, cached from a route lookup.
///
/// It holds as long as `generation` equals [`super::Settings::generation`]; 0 is never current. Generations come again
/// after 65,535 others, so a sweep gives every stale hop generation 0.
///
/// Layout: device 4, generation 2, MTU 2, egress 2, addresses 12 = 22 bytes, so aligned to two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Hop {
    /// The device to transmit on: for a VLAN interface its parent.
    pub device: Ifindex,
    pub generation: u16,
    /// Largest IP packet in bytes.
    pub mtu: u16,
    pub egress: Egress,
    pub dst_mac: Mac,
    pub src_mac: Mac,
}

impl Hop {
    pub const NONE: Self = Self {
        device: Ifindex::new(0),
        generation: 0,
        mtu: 0,
        egress: Egress(0),
        dst_mac: Mac([0; 6]),
        src_mac: Mac([0; 6]),
    };
}

/// The number of a network device, in two halves of host order, the lower one first: aligned to two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Ifindex([u16; 2]);

impl Ifindex {
    #[inline(always)]
    pub const fn new(ifindex: u32) -> Self {
        Self([ifindex as u16, (ifindex >> 16) as u16])
    }

    #[inline(always)]
    pub const fn get(self) -> u32 {
        self.0[0] as u32 | (self.0[1] as u32) << 16
    }
}

/// How packets leave by a device.
///
/// Layout, in host order: bits 0 to 11 the VLAN identifier to tag with, 0 for none; bit 15 local.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Egress(pub u16);

impl Egress {
    /// Only the kernel's stack reaches the device (bridge, veth, one without native XDP), so TC forwards.
    pub const LOCAL: Self = Self(1 << 15);

    /// By native XDP, with a VLAN identifier or 0.
    #[inline(always)]
    pub const fn native(vlan: u16) -> Self {
        Self(vlan & 0xfff)
    }

    #[inline(always)]
    pub const fn vlan(self) -> u16 {
        self.0 & 0xfff
    }

    #[inline(always)]
    pub const fn is_local(self) -> bool {
        self.0 & Self::LOCAL.0 != 0
    }
}
