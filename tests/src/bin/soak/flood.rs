//! A flood of SYNs from sources that do not exist.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gateway_tests::{
    Family, Lab,
    packets::{PacketSocket, Segment, raw_host::mac_of, segment::Mac},
};

/// The machine is to have time for all else.
const PER_SECOND: u32 = 2_000;
const TICK: Duration = Duration::from_millis(5);

/// Where the sources are, which lead nowhere: RFC 2544, and a part of the documentation's network.
const SOURCES_V4: &str = "198.18.0.0/15";
const SOURCES_V6: &str = "2001:db8:f100::/40";

/// Who sends floods: a network card beside the clients' own.
pub struct Flood {
    socket: PacketSocket,
    from: Mac,
    to: Mac,
    target: SocketAddr,
}

impl Flood {
    /// Takes the client's network card for floods of `target`, and lets the front server answer towards it.
    pub fn new(lab: &Lab, target: SocketAddr) -> Self {
        let (v4, v6) = (lab.client.address(Family::V4), lab.client.address(Family::V6));
        lab.front.ip(&[format!("route add {SOURCES_V4} via {v4}"), format!("route add {SOURCES_V6} via {v6}")]);
        Self {
            socket: PacketSocket::open(&lab.client, "eth0", TICK),
            from: mac_of(&lab.client, "eth0"),
            to: mac_of(&lab.front, "eth0"),
            target,
        }
    }

    /// Sends for a time, beside whatever else happens.
    pub fn run(self, duration: Duration) -> JoinHandle<Self> {
        thread::spawn(move || {
            let start = Instant::now();
            while start.elapsed() < duration {
                for _ in 0..PER_SECOND * u32::try_from(TICK.as_millis()).expect("a tick is short") / 1_000 {
                    self.send();
                }
                thread::sleep(TICK);
            }
            self
        })
    }

    fn send(&self) {
        let source: IpAddr = match self.target.ip() {
            IpAddr::V4(_) => Ipv4Addr::from_bits(0xc612_0000 | fastrand::u32(..1 << 17)).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(0x2001_0db8_f100 << 80 | fastrand::u128(..1 << 88)).into(),
        };
        let mut syn = Segment::new(SocketAddr::new(source, fastrand::u16(1024..)), self.target);
        (syn.tcp.syn, syn.tcp.sequence_number) = (true, fastrand::u32(..));
        self.socket.send(&syn.frame(self.from, self.to));
    }
}
