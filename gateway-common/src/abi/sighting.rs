//! What the packet programs show to whoever watches: packets of a client as they came and as they left, and flows that open
//! and close.

use core::mem::{offset_of, size_of};

use super::{Address, Port, Tuple, Volume};

/// Bytes of a frame that are shown at most.
pub const SNAP: usize = 2047;

/// What is to be shown: bits of [`super::Settings::watched`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Watched(pub u32);

impl Watched {
    pub const NOTHING: Self = Self(0);
    pub const PACKETS: Self = Self(1);
    pub const FLOWS: Self = Self(2);

    #[inline(always)]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[inline(always)]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whose packets are shown, and what could not be. The only entry of its array.
///
/// Layout: client 16, port 2 in network order, padding 2, bytes 4, lost 8 = 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Watch {
    /// [`Address::UNSPECIFIED`]: those of all clients, but for packets that are none of the gateway's business.
    pub client: Address,
    /// Zero: any.
    pub client_port: Port,
    pub reserved: [u8; 2],
    /// Bytes of each frame, up to [`SNAP`].
    pub snap: u32,
    /// Sightings for which there was no room, and flows that were left out because there was little.
    pub lost: i64,
}

/// Something seen. Of a frame, as many of its bytes follow as `shown` says.
///
/// Layout: time 8, five words 20, flow 8, tuples 72, traffic 24, padding 4 = 136 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Sighting {
    /// `CLOCK_MONOTONIC` in nanoseconds; a frame as it left has the time of the frame as it came.
    pub time_ns: u64,
    /// The device that it came in by, or is sent out of; 0 if it goes no further.
    pub ifindex: u32,
    /// Length of the frame in bytes.
    pub frame_len: u32,
    pub shown: u32,
    /// Index of the flow's backend, 0: there is no flow.
    pub backend: u32,
    /// The CPU: two sightings of one packet have their time and this in common.
    pub cpu: u32,
    pub kind: Kind,
    /// 0: XDP, 1: TC.
    pub hook: u8,
    /// A [`crate::nat::Reason`].
    pub reason: u8,
    /// The [`super::Direction`] of the packet in its flow.
    pub direction: u8,
    /// [`super::Seen`] of both directions, after the packet.
    pub seen: [u8; 2],
    /// 1: the handshake is complete.
    pub established: u8,
    pub reserved: u8,
    /// The flow's tuples as packets arrive with them; without a flow the packet's, and none.
    pub original: Tuple,
    pub reply: Tuple,
    /// What has passed, by [`super::Direction`].
    pub traffic: [Volume; 2],
    pub padding: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A frame as it came.
    Came = 0,
    /// The frame as it leaves.
    Leaves = 1,
    FlowOpened = 2,
    FlowClosed = 3,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Came, Self::Leaves, Self::FlowOpened, Self::FlowClosed];
}

impl Sighting {
    /// What the packet programs have put into the ring, and the bytes of its frame. None: it is no sighting.
    #[expect(unsafe_code, reason = "plain memory as the packet programs wrote it")]
    pub fn read(entry: &[u8]) -> Option<(Self, &[u8])> {
        let (head, frame) = entry.split_at_checked(size_of::<Self>())?;
        if usize::from(head[offset_of!(Self, kind)]) >= Kind::ALL.len() {
            return None;
        }
        // SAFETY: there are enough bytes, and those that are not numbers have been looked at.
        let sighting: Self = unsafe { head.as_ptr().cast::<Self>().read_unaligned() };
        Some((sighting, frame.get(..sighting.shown as usize)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, shown: u32, frame: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<Sighting>()];
        bytes[offset_of!(Sighting, kind)] = kind;
        bytes[offset_of!(Sighting, shown)..][..4].copy_from_slice(&shown.to_ne_bytes());
        bytes.extend(frame);
        bytes
    }

    #[test]
    fn entry_is_a_sighting_and_its_frame() {
        let bytes = entry(Kind::Leaves as u8, 3, b"abc");
        let (sighting, frame) = Sighting::read(&bytes).unwrap();
        assert_eq!((sighting.kind, frame), (Kind::Leaves, b"abc".as_slice()));
    }

    #[test]
    fn entry_that_is_too_short_or_of_no_kind_is_refused() {
        assert!(Sighting::read(&entry(0, 4, b"abc")).is_none());
        assert!(Sighting::read(&entry(4, 0, b"")).is_none());
        assert!(Sighting::read(&[0; 100]).is_none());
    }
}
