//! Which packets a driver makes, and which flow a number stands for. Both sides of the benchmarks use this file.
//!
//! Addresses and ports follow from the number by arithmetic, so that a driver pays no cache miss for them, and the
//! tables are filled with the same flows.

/// What a driver is told; the only entry of its map.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Plan {
    /// Of the random numbers.
    pub state: u64,
    /// Flows to draw from: numbers 0 to this one. 0: every packet is of a flow of its own, from `next` on.
    pub flows: u32,
    pub next: u32,
    pub kind: Kind,
    pub direction: Direction,
    pub shape: Shape,
    /// Offset of the IP header in the frame: 14, or 18 with a VLAN tag.
    pub l3: u32,
    /// Identifier of a VLAN tag; on TC it stands beside the packet.
    pub vlan: u32,
    /// Length of the frame. On XDP a program may leave another one behind, by moving the start.
    pub len: u32,
}

/// The services that flows are spread over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Shape {
    pub services: u32,
    /// Of each service.
    pub backends: u32,
    /// Port of service 0; the others follow.
    pub first_port: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    Tcp4 = 0,
    Tcp6 = 1,
    /// An ICMP error from behind the gateway about a packet to the backend.
    Icmp4 = 2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Direction {
    Original = 0,
    Reply = 1,
    /// Either, drawn for each packet.
    Both = 2,
}

/// Where a flow begins, goes through and ends. IPv4 addresses as numbers, ports likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub client: u32,
    pub client_port: u16,
    pub service_port: u16,
    /// Number of the service.
    pub service: u32,
    /// Number of the backend among all.
    pub backend: u32,
    pub snat: u32,
    pub snat_port: u16,
}

/// 203.0.113.10.
pub const SERVICE: u32 = 0xcb00_710a;
/// 10.64.0.0, and a number.
pub const BACKENDS: u32 = 0x0a40_0000;
pub const BACKEND_PORT: u16 = 80;
/// 192.168.0.0, and a number.
pub const SNAT: u32 = 0xc0a8_0000;
/// 10.0.1.1: from where errors come.
pub const ROUTER: u32 = 0x0a00_0101;
/// The first three words of IPv6 addresses whose last one is as above, in network order: 2001:db8::/96, fd00::/96.
pub const PUBLIC6: [u32; 3] = [0x2001_0db8, 0, 0];
pub const PRIVATE6: [u32; 3] = [0xfd00_0000, 0, 0];
/// Flows with a number of their own start here, and there are as many of them.
pub const FRESH: u32 = 1 << 25;

/// The flow with a number below 2^26.
#[inline(always)]
pub fn ends(number: u32, shape: &Shape) -> Ends {
    // A multiplicative hash (Knuth) as a fraction of 2^32: times the services, its whole part is the service, and what
    // is left of it is a fraction again.
    let product = u64::from(number.wrapping_mul(2_654_435_761)) * u64::from(shape.services);
    let service = (product >> 32) as u32;
    let backend = spread(product as u32, shape.backends);
    Ends {
        // 100.64.0.0 on, sixteen ports each.
        client: 0x6440_0000 + (number >> 4),
        client_port: 32_768 + (number & 15) as u16 * 997,
        service_port: shape.first_port as u16 + service as u16,
        service,
        backend: service * shape.backends + backend,
        snat: SNAT + (number >> 15),
        snat_port: 32_768 + (number & 0x7fff) as u16,
    }
}

#[cfg(target_arch = "bpf")]
impl Plan {
    /// The number of the next packet's flow, and whether it goes from the backend to the client.
    #[inline(always)]
    pub fn draw(&mut self) -> (u32, bool) {
        // Knuth's MMIX generator; its upper bits are the random ones.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (self.state >> 32) as u32;
        let reply = match self.direction {
            Direction::Original => false,
            Direction::Reply => true,
            Direction::Both => self.state & (1 << 31) != 0,
        };
        if self.flows != 0 {
            return (spread(random, self.flows), reply);
        }
        self.next = self.next.wrapping_add(1);
        (FRESH + (self.next & (FRESH - 1)), reply)
    }
}

#[inline(always)]
fn spread(hash: u32, range: u32) -> u32 {
    ((u64::from(hash) * u64::from(range)) >> 32) as u32
}
