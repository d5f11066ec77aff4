//! A host that speaks TCP by hand: every segment it sends and receives is a value of the test.

use std::time::{Duration, Instant};

use super::{
    PacketSocket, Segment,
    segment::{IpHeader, Mac},
};
use crate::{Host, Namespace, link};

const PATIENCE: Duration = Duration::from_secs(3);
const READ_TIMEOUT: Duration = Duration::from_millis(50);
const ETHERNET_HEADER: usize = 14;

const NO_RESETS: &str = "
    table inet by_hand {
        chain out {
            type filter hook output priority 0
            tcp flags & rst == rst drop
        }
    }";

/// The network card of a host, below its kernel. The kernel goes on answering ARP and neighbour discovery but
/// sends no RST, so that it does not disturb the conversation.
#[derive(Debug)]
pub struct RawHost {
    socket: PacketSocket,
    own: Mac,
    gateway: Mac,
}

impl RawHost {
    /// Takes over `eth0` of `host`; `gateway` is the device on the same segment that frames are sent to.
    #[track_caller]
    pub fn new(host: &Host, gateway: (&Namespace, &str)) -> Self {
        host.nft(NO_RESETS);
        link::never_merge_received_segments(host, "eth0");
        Self {
            socket: PacketSocket::open(host, "eth0", READ_TIMEOUT),
            own: mac_of(host, "eth0"),
            gateway: mac_of(gateway.0, gateway.1),
        }
    }

    pub fn send(&self, segment: &Segment) {
        self.send_padded(segment, 0);
    }

    /// Sends a segment with `padding` bytes behind the IP packet, that belong to the frame only.
    pub fn send_padded(&self, segment: &Segment, padding: usize) {
        let mut frame = segment.frame(self.own, self.gateway);
        frame.resize(frame.len() + padding, 0xa5);
        self.socket.send(&frame);
    }

    /// The next segment for this host, with the IP packet as it was received.
    #[track_caller]
    pub fn receive(&mut self) -> (Segment, Vec<u8>) {
        self.try_receive(PATIENCE).unwrap_or_else(|| panic!("no segment within {PATIENCE:?}"))
    }

    /// Asserts that no segment arrives for a moment.
    #[track_caller]
    pub fn receive_nothing(&mut self) {
        if let Some((segment, _)) = self.try_receive(Duration::from_millis(300)) {
            panic!("a segment arrives that should not: {segment:?}");
        }
    }

    fn try_receive(&mut self, patience: Duration) -> Option<(Segment, Vec<u8>)> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let Some(frame) = self.socket.receive() else { continue };
            if frame[..6] != self.own {
                continue;
            }
            if let Some(segment) = Segment::from_frame(frame) {
                let length = match &segment.ip {
                    IpHeader::V4(header) => usize::from(header.total_len),
                    IpHeader::V6(header) => 40 + usize::from(header.payload_length),
                };
                return Some((segment, frame[ETHERNET_HEADER..][..length].to_vec()));
            }
        }
        None
    }

    /// Waits for the next packet that is no TCP segment of its own, such as an ICMP error, and gives its frame.
    #[track_caller]
    pub fn receive_frame(&mut self, is_wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(frame) = self.socket.receive()
                && frame[..6] == self.own
                && is_wanted(frame)
            {
                return frame.to_vec();
            }
        }
        panic!("no such frame within {PATIENCE:?}");
    }
}

/// The hardware address of a device.
#[track_caller]
pub fn mac_of(namespace: &Namespace, device: &str) -> Mac {
    let text = namespace.output("cat", &[&format!("/sys/class/net/{device}/address")]).success().stdout;
    let bytes: Vec<u8> = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).expect("a byte")).collect();
    bytes.try_into().expect("six bytes")
}
