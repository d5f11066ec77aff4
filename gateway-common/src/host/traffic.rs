//! Random traffic through the core, judged after every step: for property tests and the fuzzer.
//!
//! The world is small, so that tuples collide, ports run out and tables fill: a few clients, four backends behind
//! three services (two of which share an address), two source ports on each of three addresses.

mod decode;
mod judge;
mod odd;

use std::{collections::HashMap, net::SocketAddr};

pub use odd::{Oddity, fragment};

use super::{HostFrame, HostTables, Local, Message, Packet, Routes, ServiceOptions, Snapshot, Stack, Wire, check};
use crate::{
    abi::{Address, Answer, Cookies, Direction, Egress, Flow, Hop, Ifindex, Limit, Limits, Tuple},
    nat::{Action, Flags, Reason, Verdict, headers::Mac},
};

/// Source ports, and flows at most.
const PORTS: u16 = 2;
const CAPACITY: u32 = 8;
const LISTENS: [&str; 3] = ["203.0.113.10:20001", "203.0.113.10:20002", "[2001:db8::10]:20001"];
const SNAT: [&str; 3] = ["10.0.0.1", "10.0.0.2", "fd00::1"];
/// The address of the backend that only the kernel's stack reaches.
const LOCAL_BACKEND: &str = "10.0.1.3";

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A client opens a flow to a service: all that it takes, if it can.
    Connect { client: u8, service: u8, wire: bool },
    /// Both ends of a flow close it, the backend first.
    Close { flow: u8, wire: bool },
    /// A client sends to a service.
    Client { client: u8, service: u8, shape: Shape },
    /// A client sends to a service what no honest one does.
    Odd { client: u8, service: u8, oddity: Oddity, wire: bool },
    /// A backend sends on a flow, counted through those there are.
    Backend { flow: u8, shape: Shape },
    /// A router complains about a packet that left on one side of a flow; `whole` if it quotes all of it.
    Icmp { flow: u8, whole: bool, mtu: u16, shape: Shape },
    /// Time passes.
    Wait { ticks: u32 },
    /// Routes change, to ones with this MTU.
    Reroute { mtu: u16 },
    /// A service gets all its new flows to one of its backends, or to any, or (`None`) has none that is usable.
    Backends { service: u8, backend: Option<u8> },
    /// The operator ends all flows of a backend, counted through those of a service.
    Cut { service: u8, backend: u8, answer: Answer },
    /// A service gets limits: open and new connections, of all and of each source, and a share of the source ports in
    /// percent; 0 is none.
    Limit { service: u8, limits: [u8; 4], port_share: u8, answer: Answer },
    /// The half-open table loses an entry.
    Forget { flow: u8 },
    /// Any bytes arrive.
    Raw { bytes: Vec<u8>, wire: bool },
}

/// What a segment looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub flags: Flags,
    /// How far its numbers are from what the flow expects.
    pub seq: i32,
    pub ack: i32,
    pub payload: u8,
    pub hop_limit: u8,
    /// A byte of the frame that is changed, and how.
    pub damage: Option<(u8, u8)>,
    /// Arrives in XDP, otherwise in TC.
    pub wire: bool,
}

impl Shape {
    /// A segment as the flow expects it.
    const EXACT: Self =
        Self { flags: Flags::ACK, seq: 0, ack: 0, payload: 0, hop_limit: 64, damage: None, wire: false };
}

/// The world and what has happened in it.
pub struct Traffic {
    pub tables: HostTables,
    routes: Routes,
    backends: Vec<Vec<u32>>,
    /// The last SYN of each client that was forwarded, where it is known.
    syns: HashMap<Tuple, Packet>,
    /// The last cookie that each client was sent: the numbers that its acknowledgement has.
    cookies: HashMap<Tuple, (u32, u32)>,
    /// Segments that were forwarded.
    forwarded: u64,
    outcomes: [bool; Reason::COUNT],
}

impl Traffic {
    pub fn new(seed: u64) -> Self {
        let mut tables = HostTables::new(seed);
        (tables.settings.ports, tables.settings.capacity) = (PORTS, CAPACITY);
        tables.settings.cookies = if seed.is_multiple_of(3) { Cookies::Always } else { Cookies::InFloods };
        tables.settings.full = if seed.is_multiple_of(2) { Answer::Reset } else { Answer::Drop };
        for address in SNAT {
            tables.add_snat(address.parse().expect("a valid address"));
        }
        let backend = |address: &str| (socket(address), 1);
        let reset = ServiceOptions { unknown_flow: Answer::Reset, ..ServiceOptions::default() };
        let silent = ServiceOptions { no_backend: Answer::Drop, ..ServiceOptions::default() };
        let backends = vec![
            tables.add_service(socket(LISTENS[0]), reset, &[backend("10.0.1.1:80"), backend("10.0.1.2:80")]),
            tables.add_service(socket(LISTENS[1]), silent, &[backend("10.0.1.1:80"), backend("10.0.1.3:80")]),
            tables.add_service(socket(LISTENS[2]), reset, &[backend("[fd00:1::1]:80")]),
        ];
        Self {
            tables,
            routes: routes(1, 1500),
            backends,
            syns: HashMap::new(),
            cookies: HashMap::new(),
            forwarded: 0,
            outcomes: [false; Reason::COUNT],
        }
    }

    /// Makes `step` happen; an error says which guarantee it broke.
    pub fn step(&mut self, step: &Step) -> Result<(), String> {
        self.happen(step)?;
        self.tables.reclaim();
        check(&self.tables)
    }

    /// Segments of one original tuple, and (`false`) of the backend that it has after them.
    fn exchange(&mut self, tuple: &Tuple, wire: bool, segments: &[(bool, Flags)]) -> Result<(), String> {
        for &(from_client, flags) in segments {
            let shape = Shape { flags, wire, ..Shape::EXACT };
            let from = if from_client { Some(*tuple) } else { self.find(tuple).map(|flow| flow.to.reversed()) };
            if let Some(from) = from {
                self.send(&self.segment(&from, &shape), &shape)?;
            }
        }
        Ok(())
    }

    /// The reasons of all verdicts so far.
    pub fn reasons(&self) -> impl Iterator<Item = Reason> {
        Reason::ALL.iter().copied().filter(|reason| self.outcomes[*reason as usize])
    }

    fn happen(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Connect { client, service, wire } => {
                let (syn, ack) = (Flags::SYN, Flags::ACK);
                // The last one for a client that was sent a cookie, to whom the backend answers last.
                let segments = [(true, syn), (false, syn.with(ack)), (true, ack), (false, syn.with(ack))];
                self.exchange(&client_tuple(*client, *service), *wire, &segments)
            }
            Step::Close { flow, wire } => {
                let Some((tuple, _)) = self.pick(*flow, |flow| flow.direction == Direction::Original) else {
                    return Ok(());
                };
                let fin = Flags::FIN.with(Flags::ACK);
                self.exchange(&tuple, *wire, &[(false, fin), (true, fin), (false, Flags::ACK)])
            }
            Step::Client { client, service, shape } => {
                self.send(&self.segment(&client_tuple(*client, *service), shape), shape)
            }
            Step::Odd { client, service, oddity, wire } => {
                let syn = Shape { flags: Flags::SYN, ..Shape::EXACT };
                let segment = self.segment(&client_tuple(*client, *service), &syn);
                self.arrive(&oddity.frame(segment), *wire)
            }
            Step::Backend { flow, shape } => {
                let Some((tuple, _)) = self.pick(*flow, |flow| flow.direction == Direction::Reply) else {
                    return Ok(());
                };
                self.send(&self.segment(&tuple, shape), shape)
            }
            Step::Icmp { flow, whole, mtu, shape } => {
                let Some((_, flow)) = self.pick(*flow, |_| true) else { return Ok(()) };
                let mut complaint = complaint(&self.segment(&flow.to, shape), *whole, *mtu);
                complaint.envelope.hop_limit = shape.hop_limit;
                self.send(&complaint, shape)
            }
            Step::Raw { bytes, wire } => self.arrive(bytes, *wire),
            Step::Wait { ticks } => {
                self.tables.advance(*ticks);
                Ok(())
            }
            Step::Reroute { mtu } => {
                self.tables.settings.generation += 1;
                self.routes = routes(self.tables.settings.generation, *mtu);
                Ok(())
            }
            Step::Backends { service, backend } => {
                self.set_backends(usize::from(*service) % LISTENS.len(), *backend);
                Ok(())
            }
            Step::Cut { service, backend, answer } => {
                let of_service = &self.backends[usize::from(*service) % LISTENS.len()];
                self.tables.cut(of_service[usize::from(*backend) % of_service.len()], *answer);
                Ok(())
            }
            Step::Limit { service, limits, port_share, answer } => {
                let [open, open_each, new, new_each] = limits.map(|limit| (limit != 0).then(|| u64::from(limit)));
                let limits = Limits::new(Limit::new(open, new), Limit::new(open_each, new_each), *answer);
                let limits = Limits { port_share: *port_share, ..limits };
                let is_limit = (limits.total, limits.per_source, *port_share) != (Limit::NONE, Limit::NONE, 0);
                let listen = socket(LISTENS[usize::from(*service) % LISTENS.len()]);
                self.tables.set_limits(listen, is_limit.then_some(limits));
                Ok(())
            }
            Step::Forget { flow } => {
                let entries: Vec<_> = self.tables.half_open.entries().into_keys().collect();
                if let Some(tuple) = entries.get(usize::from(*flow) % entries.len().max(1)) {
                    self.tables.half_open.forget(tuple);
                }
                Ok(())
            }
        }
    }

    fn set_backends(&mut self, service: usize, backend: Option<u8>) {
        let listen = socket(LISTENS[service]);
        let of_service = &self.backends[service];
        let usable = match backend.map(usize::from) {
            None => &[],
            Some(any) if any % 2 == 0 => &of_service[..],
            Some(one) => &of_service[one % of_service.len()..][..1],
        };
        self.tables.send_to(listen, usable);
    }

    /// A segment with `tuple` whose numbers fit the flow it belongs to, but for what `shape` says.
    fn segment(&self, tuple: &Tuple, shape: &Shape) -> Packet {
        let own = self.find(tuple);
        let twin = own.and_then(|flow| self.find(&flow.to.reversed()));
        let (seq, ack) = match (own, twin) {
            (Some(own), Some(twin)) => (own.next_seq, twin.next_seq.wrapping_sub(twin.shift())),
            (Some(own), None) => (own.next_seq, 0),
            (None, _) => self.cookies.get(tuple).copied().unwrap_or_default(),
        };
        let mut packet = Packet::new(tuple.source(), tuple.destination())
            .flags(shape.flags)
            .seq(seq.wrapping_add_signed(shape.seq))
            .payload(vec![shape.flags.0; shape.payload.into()])
            .hop_limit(shape.hop_limit);
        packet.tcp.acknowledgment_number = ack.wrapping_add_signed(shape.ack);
        packet
    }

    /// The sequence and acknowledgement numbers that a segment is to leave with.
    fn numbers(&self, segment: &Packet) -> (u32, u32) {
        let (seq, ack) = (segment.tcp.sequence_number, segment.tcp.acknowledgment_number);
        match (self.tables.flows.find(&segment.tuple()), self.tables.half_open.find(&segment.tuple())) {
            (Some(flow), _) => {
                let twin = self.tables.flows.find(&flow.to.reversed());
                (seq.wrapping_sub(flow.shift()), ack.wrapping_add(twin.map_or(0, |twin| twin.shift())))
            }
            // A refusal, or the SYN-ACK, for a client that was sent a cookie.
            (None, Some(flow)) if flow.shift() != 0 => (flow.shift().wrapping_add(segment.tcp.rst.into()), ack),
            _ => (seq, ack),
        }
    }

    fn find(&self, tuple: &Tuple) -> Option<Flow> {
        self.tables.flows.find(tuple).or_else(|| self.tables.half_open.find(tuple))
    }

    fn pick(&self, number: u8, wanted: impl Fn(&Flow) -> bool) -> Option<(Tuple, Flow)> {
        let tables = [&self.tables.half_open, &self.tables.flows];
        let entries = tables.into_iter().flat_map(|table| table.entries());
        let entries: Vec<_> = entries.filter(|(_, flow)| wanted(flow)).collect();
        entries.get(usize::from(number) % entries.len().max(1)).copied()
    }

    fn send(&mut self, frame: &impl Sendable, shape: &Shape) -> Result<(), String> {
        let mut bytes = frame.frame();
        if let Some((position, change)) = shape.damage {
            let position = usize::from(position) % bytes.len();
            bytes[position] ^= change;
        }
        self.arrive(&bytes, shape.wire)
    }

    fn arrive(&mut self, bytes: &[u8], wire: bool) -> Result<(), String> {
        let before = Snapshot::of(&self.tables);
        let segment = Packet::read(bytes).unwrap_or_else(|_| Packet::new(socket(LISTENS[0]), socket(LISTENS[0])));
        let translated = self.numbers(&segment);
        let (verdict, result) = if wire { self.run::<Wire>(bytes) } else { self.run::<Stack>(bytes) };
        self.outcomes[verdict.reason as usize] = true;
        let judged = match verdict.reason.action() {
            Action::Pass if result != bytes => Err("changed a packet that it passed".to_owned()),
            Action::Pass if before != Snapshot::of(&self.tables) => {
                Err("changed tables for a packet it passed".to_owned())
            }
            Action::Pass | Action::Drop => Ok(()),
            Action::Forward
                if matches!(verdict.reason, Reason::FailedOver | Reason::PortChanged) && is_answer(bytes) =>
            {
                self.judge_restored(&result)
            }
            Action::Forward => match verdict.reason {
                Reason::OpenedByCookie => judge::opened_by_cookie(bytes, &result),
                Reason::Forwarded | Reason::CookieCompleted => judge::translation(bytes, &result, translated),
                _ => {
                    let unchanged = (segment.tcp.sequence_number, segment.tcp.acknowledgment_number);
                    judge::translation(bytes, &result, unchanged)
                }
            },
            Action::Answer => judge::answer(verdict.reason, bytes, &result),
        };
        let sum = |snapshot: Snapshot| -> u64 {
            snapshot.totals.iter().flat_map(|backend| backend.traffic).map(|traffic| traffic.packets).sum()
        };
        if let (Reason::CookieSent, Ok(sent)) = (verdict.reason, Packet::read(&result)) {
            let numbers = (sent.tcp.acknowledgment_number, sent.tcp.sequence_number.wrapping_add(1));
            self.cookies.insert(sent.tuple().reversed(), numbers);
        }
        let on_its_way = matches!(
            verdict.reason,
            Reason::Forwarded
                | Reason::Opened
                | Reason::OpenedElsewhere
                | Reason::FailedOver
                | Reason::PortChanged
                | Reason::OpenedByCookie
                | Reason::CookieCompleted
        );
        self.forwarded += u64::from(on_its_way);
        if on_its_way {
            self.remember(bytes);
        }
        let counted = sum(Snapshot::of(&self.tables));
        judged.map_err(|problem| format!("{verdict:?} {problem}\n in {bytes:02x?}\nout {result:02x?}"))?;
        if counted == self.forwarded {
            Ok(())
        } else {
            Err(format!("{verdict:?}: {counted} packets are counted of {}", self.forwarded))
        }
    }

    /// Judges the SYN that a refusal was turned into.
    fn judge_restored(&self, result: &[u8]) -> Result<(), String> {
        let after = Packet::read(result)?;
        let reply = self.tables.half_open.find(&after.tuple().reversed()).ok_or("left without a reply entry")?;
        judge::given_to_another(self.syns.get(&reply.to.reversed()), &after)
    }

    /// Keeps a client's SYN. After a damaged packet, which may have been any, nothing is known.
    fn remember(&mut self, bytes: &[u8]) {
        match Packet::read(bytes) {
            Ok(packet) if is_syn(bytes) => {
                self.syns.insert(packet.tuple(), packet);
            }
            Ok(_) => {}
            Err(_) => self.syns.clear(),
        }
    }

    fn run<L: Local>(&self, bytes: &[u8]) -> (Verdict, Vec<u8>) {
        let mut frame = HostFrame::<L>::new(bytes, &self.routes);
        let verdict = self.tables.process(&mut frame);
        (verdict, frame.bytes().to_vec())
    }
}

/// Whether it is whole, and no SYN: what a damaged packet was nobody knows.
fn is_answer(bytes: &[u8]) -> bool {
    Packet::read(bytes).is_ok() && !is_syn(bytes)
}

fn is_syn(bytes: &[u8]) -> bool {
    Packet::read(bytes).is_ok_and(|packet| packet.tcp.syn && !packet.tcp.ack && !packet.tcp.rst && !packet.tcp.fin)
}

trait Sendable {
    fn frame(&self) -> Vec<u8>;
}

impl Sendable for Packet {
    fn frame(&self) -> Vec<u8> {
        self.build()
    }
}

impl Sendable for Message {
    fn frame(&self) -> Vec<u8> {
        self.build()
    }
}

/// A router's error about `about`, sent back to where it came from.
fn complaint(about: &Packet, whole: bool, mtu: u16) -> Message {
    let mut quote = about.quote();
    if !whole {
        quote.truncate(if about.envelope.source.is_ipv4() { 28 } else { 48 });
    }
    Message::too_big(about.envelope.destination, about.envelope.source, mtu, quote)
}

fn routes(generation: u16, mtu: u16) -> Routes {
    let hop =
        Hop { generation, device: Ifindex::new(2), dst_mac: Mac([4; 6]), src_mac: Mac([6; 6]), mtu, ..Hop::default() };
    let mut routes = Routes::new(hop);
    routes.set(
        Address::from(socket(&format!("{LOCAL_BACKEND}:80")).ip()),
        Ok(Hop { egress: Egress::LOCAL, device: Ifindex::new(3), ..hop }),
    );
    routes
}

/// The tuple of a client's packets to a service: two hosts with eight ports each.
fn client_tuple(client: u8, service: u8) -> Tuple {
    let listen = socket(LISTENS[usize::from(service) % LISTENS.len()]);
    let (host, port) = (client % 2, 1000 + u16::from(client / 2 % 8));
    let ip = if listen.is_ipv4() { format!("198.51.100.{host}") } else { format!("[2001:db8:1::{host}]") };
    Tuple::from_sockets(socket(&format!("{ip}:{port}")), listen)
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("a valid address")
}
