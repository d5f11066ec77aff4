//! A gateway in front of three backends, and the packets of one client.

use std::net::{IpAddr, SocketAddr};

use gateway_common::{
    abi::{Address, Direction, Egress, Family, Flow, Hop, Ifindex, Seen, Service, ServiceKey, Tuple},
    host::{HostFrame, HostTables, Local, Message, Packet, Routes, ServiceOptions, Snapshot, Stack, Wire, check},
    nat::{Action, Flags, Reason, State, Tables, Verdict, headers::Mac, state},
};

/// The device that everything leaves by.
pub const DEVICE: u32 = 7;
pub const MTU: u16 = 1500;
pub const HOP: Hop = Hop {
    generation: 1,
    device: Ifindex::new(DEVICE),
    dst_mac: Mac([0x12, 0, 0, 0, 0, 1]),
    src_mac: Mac([0x12, 0, 0, 0, 0, 2]),
    egress: Egress::native(0),
    mtu: MTU,
};
/// Initial sequence numbers of the client and of the backend.
pub const ISN: u32 = 1_000;
pub const ISS: u32 = 0xffff_fff0;

pub struct World {
    pub tables: HostTables,
    pub routes: Routes,
    pub client: SocketAddr,
    pub service: SocketAddr,
    pub backends: Vec<SocketAddr>,
    /// The backends' indices.
    pub indices: Vec<u32>,
    pub snat: IpAddr,
}

/// Runs a test with a gateway of each family.
pub fn in_both_families(test: impl Fn(World)) {
    test(World::new(Family::V4));
    test(World::new(Family::V6));
}

impl World {
    pub fn new(family: Family) -> Self {
        Self::with(family, ServiceOptions::default())
    }

    pub fn with(family: Family, options: ServiceOptions) -> Self {
        let socket = |v4: &str, v6: &str| -> SocketAddr {
            match family {
                Family::V4 => v4.parse().unwrap(),
                Family::V6 => v6.parse().unwrap(),
            }
        };
        let service = socket("203.0.113.10:20001", "[2001:db8::10]:20001");
        let backends = vec![
            socket("10.0.1.1:8080", "[fd00:1::1]:8080"),
            socket("10.0.1.2:8081", "[fd00:1::2]:8081"),
            socket("10.0.1.3:8082", "[fd00:1::3]:8082"),
        ];
        let snat = socket("10.0.0.1:0", "[fd00::1]:0").ip();
        let mut tables = HostTables::new(7);
        tables.add_snat(snat);
        let weighted: Vec<_> = backends.iter().map(|&backend| (backend, 1)).collect();
        let indices = tables.add_service(service, options, &weighted);
        let client = socket("198.51.100.1:50000", "[2001:db8:1::1]:50000");
        Self { tables, routes: Routes::new(HOP), client, service, backends, indices, snat }
    }

    /// Lets a packet arrive in TC.
    #[track_caller]
    pub fn send(&self, packet: &Packet) -> Outcome {
        self.arrive::<Stack>(&packet.build())
    }

    /// Lets a packet arrive in XDP.
    #[track_caller]
    pub fn send_by_wire(&self, packet: &Packet) -> Outcome {
        self.arrive::<Wire>(&packet.build())
    }

    /// Lets any bytes arrive. Whatever they are, the tables stay whole, and what is passed is not touched.
    #[track_caller]
    pub fn arrive<L: Local>(&self, bytes: &[u8]) -> Outcome {
        let before = Snapshot::of(&self.tables);
        let mut frame = HostFrame::<L>::new(bytes, &self.routes);
        let verdict = self.tables.process(&mut frame);
        if verdict.reason.action() == Action::Pass {
            assert_eq!(frame.bytes(), bytes, "{verdict:?}");
            assert_eq!(Snapshot::of(&self.tables), before, "{verdict:?}");
        }
        check(&self.tables).unwrap();
        Outcome { verdict, bytes: frame.bytes().to_vec() }
    }

    pub fn service_key(&self) -> ServiceKey {
        ServiceKey::new(self.service.ip().into(), self.service.port().to_be_bytes())
    }

    pub fn original(&self) -> Tuple {
        Tuple::from_sockets(self.client, self.service)
    }

    /// The original direction of the client's flow, wherever it is.
    #[track_caller]
    pub fn flow(&self) -> Flow {
        let tuple = self.original();
        self.tables.flows.find(&tuple).or_else(|| self.tables.half_open.find(&tuple)).expect("the client has a flow")
    }

    /// The established flow's state.
    #[track_caller]
    pub fn state(&self) -> State {
        let original = self.tables.flows.find(&self.original()).expect("the flow is established");
        let reply = self.tables.flows.find(&original.to.reversed()).expect("a flow has two directions");
        assert_eq!((original.direction, reply.direction), (Direction::Original, Direction::Reply));
        state(original.seen, reply.seen)
    }

    pub fn open_flows(&self) -> i64 {
        self.indices.iter().map(|&index| self.tables.open_flows(index)).sum()
    }

    pub fn connections(&self) -> u64 {
        self.indices.iter().map(|&index| self.tables.totals(index).connections).sum()
    }

    pub fn service_mut(&mut self) -> &mut Service {
        self.tables.service_mut(self.service)
    }

    /// A segment of the client.
    pub fn client_segment(&self, flags: Flags) -> Packet {
        Packet::new(self.client, self.service).flags(flags)
    }

    /// A segment of the backend that the client's flow has.
    #[track_caller]
    pub fn backend_segment(&self, flags: Flags) -> Packet {
        let to = self.flow().to;
        Packet::new(to.destination(), to.source()).flags(flags)
    }

    pub fn syn(&self) -> Packet {
        self.client_segment(Flags::SYN).seq(ISN)
    }

    #[track_caller]
    pub fn syn_ack(&self) -> Packet {
        self.backend_segment(Flags::SYN).seq(ISS).ack(ISN + 1)
    }

    /// A segment after the handshake, from the client, `offset` bytes into the stream.
    pub fn client_data(&self, flags: Flags, offset: u32, payload: &str) -> Packet {
        self.client_segment(flags).seq(ISN + 1 + offset).ack(ISS.wrapping_add(1)).payload(payload)
    }

    /// A segment after the handshake, from the backend, `offset` bytes into the stream.
    #[track_caller]
    pub fn backend_data(&self, flags: Flags, offset: u32, payload: &str) -> Packet {
        self.backend_segment(flags).seq(ISS.wrapping_add(1 + offset)).ack(ISN + 1).payload(payload)
    }

    /// Brings the client's flow to ESTABLISHED.
    #[track_caller]
    pub fn establish(&self) -> Flow {
        self.send(&self.syn()).expect(Reason::Opened);
        self.send(&self.syn_ack()).expect(Reason::Forwarded);
        self.send(&self.client_data(Flags::ACK, 0, "")).expect(Reason::Forwarded);
        assert_eq!(self.state(), State::Established);
        self.flow()
    }

    /// Brings the client's flow from ESTABLISHED to TIME-WAIT.
    #[track_caller]
    pub fn finish(&self) {
        self.send(&self.client_data(Flags::FIN, 0, "")).expect(Reason::Forwarded);
        self.send(&self.backend_data(Flags::FIN, 0, "")).expect(Reason::Forwarded);
        assert_eq!(self.state(), State::TimeWait);
    }

    pub fn route_to(&mut self, destination: IpAddr, route: Result<Hop, Reason>) {
        self.routes.set(Address::from(destination), route);
    }

    /// Makes all routes known so far stale.
    pub fn routes_changed(&mut self) {
        self.tables.settings.generation += 1;
        let current = |route: &mut Result<Hop, Reason>| {
            if let Ok(hop) = route {
                hop.generation = self.tables.settings.generation;
            }
        };
        current(&mut self.routes.default);
        self.routes.by_destination.values_mut().for_each(current);
    }

    pub fn is_resting(&self, reply: &Tuple) -> bool {
        self.tables.flows.find(reply).is_some_and(|flow| flow.seen.contains(Seen::RESTING))
    }
}

/// What became of a packet.
#[derive(Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    pub bytes: Vec<u8>,
}

impl Outcome {
    /// Asserts the reason.
    #[track_caller]
    pub fn expect(self, reason: Reason) -> Self {
        assert_eq!(self.verdict.reason, reason);
        self
    }

    /// The frame as a TCP segment with correct checksums.
    #[track_caller]
    pub fn packet(&self) -> Packet {
        Packet::read(&self.bytes).unwrap_or_else(|problem| panic!("{:?}: {problem}", self.verdict))
    }

    /// The frame as an ICMP message with correct checksums.
    #[track_caller]
    pub fn message(&self) -> Message {
        Message::read(&self.bytes).unwrap_or_else(|problem| panic!("{:?}: {problem}", self.verdict))
    }
}
