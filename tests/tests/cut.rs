//! All connections of a backend ended at once: both ends learn of it without having sent anything, or, where silence
//! was asked for, nobody is told.

use std::{
    collections::HashSet,
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use aya::maps::{Array, Map, MapData};
use gateway::{datapath::Pins, tables::Cutter};
use gateway_common::abi::{Answer, Backend};
use gateway_tests::{
    BackendSide, Family, Gateway, Host, Lab, Mode, Topology, eventually,
    packets::Capture,
    scenario::{BACKEND_PORT, PORT, cases, config, service_name},
    traffic::{DEADLINE, client, crowd},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

/// A connection through the gateway, by both of its ends.
struct Connection {
    client: TcpStream,
    server: TcpStream,
}

impl Connection {
    fn ends(&self) -> [&TcpStream; 2] {
        [&self.client, &self.server]
    }
}

/// A service whose only backend is `lab.backends[0]`.
struct Scene<'lab> {
    lab: &'lab Lab,
    gateway: Gateway<'lab>,
    family: Family,
    listener: TcpListener,
}

impl<'lab> Scene<'lab> {
    fn new(lab: &'lab Lab, mode: Mode, family: Family) -> Self {
        let gateway = Gateway::start(lab, &config(lab, mode));
        let listener = listen(lab, 0, family);
        Self { lab, gateway, family, listener }
    }

    fn to(&self) -> SocketAddr {
        self.lab.front.at(self.family, PORT)
    }

    fn backend(&self) -> SocketAddr {
        self.lab.backends[0].at(self.family, BACKEND_PORT)
    }

    fn connect(&self) -> Connection {
        let client = client::connect(&self.lab.client, self.to()).unwrap();
        Connection { client, server: accept(&self.listener) }
    }

    fn cut(&self, answer: Answer) -> u64 {
        cut(self.lab, &[self.backend()], answer)
    }

    fn open_flows(&self) -> u64 {
        let rows = self.gateway.json(&["backend", "list", service_name(self.family)]);
        let address = self.backend().to_string();
        let row = rows.as_array().unwrap().iter().find(|row| row["address"] == address.as_str());
        row.unwrap()["counters"]["open_flows"].as_u64().unwrap()
    }

    fn packets(&self, reason: &str) -> u64 {
        let status = self.gateway.json(&["status"]);
        let reasons = status["reasons"].as_array().unwrap();
        reasons.iter().find(|row| row["reason"] == reason).unwrap()["packets"].as_u64().unwrap()
    }

    /// The states of all flows.
    fn states(&self) -> HashSet<String> {
        let flows = self.gateway.json(&["flows", service_name(self.family)]);
        let states = flows["flows"].as_array().unwrap().iter().map(|flow| flow["state"].as_str().unwrap().to_owned());
        states.collect()
    }
}

fn listen(lab: &Lab, backend: usize, family: Family) -> TcpListener {
    let host = &lab.backends[backend];
    host.run(|| {
        let socket = Socket::new(Domain::for_address(host.at(family, BACKEND_PORT)), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&host.at(family, BACKEND_PORT).into()).unwrap();
        socket.listen(16_384).unwrap();
        socket.into()
    })
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    server.set_write_timeout(Some(DEADLINE)).unwrap();
    server
}

/// Ends the flows of a backend, from the front server, as its daemon does.
fn cut(lab: &Lab, wanted: &[SocketAddr], answer: Answer) -> u64 {
    lab.front.run(|| {
        let pins = Pins::at(lab.id().pin_directory());
        let open = |name: &str| Ok(MapData::from_pin(pins.map(name))?);
        let backends: Array<_, Backend> = Array::try_from(Map::Array(open("BACKENDS").unwrap())).unwrap();
        let is_wanted = |index: &u32| {
            let entry = backends.get(index, 0).unwrap();
            let address = SocketAddr::new(entry.address.into(), u16::from_be_bytes(entry.port));
            entry.in_use != 0 && wanted.contains(&address)
        };
        let indices: HashSet<u32> = (1..backends.len()).filter(is_wanted).collect();
        assert_eq!(indices.len(), wanted.len());
        let mut cutter = Cutter::new(open).unwrap();
        let start = Instant::now();
        let open = cutter.cut(&indices, answer).unwrap();
        println!("{open} flows cut in {:?}", start.elapsed());
        open
    })
}

/// Waits until the kernel has noted on a socket that its connection is over.
#[track_caller]
fn expect_reset(end: &TcpStream) {
    let error = eventually(DEADLINE, || end.take_error().unwrap().ok_or("the connection goes on"));
    // Linux says "broken pipe" of a connection whose other end has closed already.
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

/// Sends until the connection ends.
fn send_endlessly(mut end: &TcpStream) -> ErrorKind {
    let chunk = [7; 1 << 16];
    loop {
        if let Err(error) = end.write_all(&chunk) {
            return error.kind();
        }
    }
}

/// Receives until the connection ends.
fn receive_endlessly(mut end: &TcpStream) -> ErrorKind {
    let mut chunk = [0; 1 << 16];
    loop {
        match end.read(&mut chunk) {
            Ok(0) => return ErrorKind::UnexpectedEof,
            Ok(_) => (),
            Err(error) => return error.kind(),
        }
    }
}

#[test]
fn every_kind_of_connection_is_reset_at_both_ends() {
    for side in [BackendSide::Segment, BackendSide::Bridge] {
        for (mode, family) in cases() {
            println!("{side:?} {mode:?} {family:?}");
            let lab = Topology::new(side, 1).build();
            let scene = Scene::new(&lab, mode, family);
            let [idle, used, upload, download, stalled, client_done, server_done] = [(); 7].map(|()| scene.connect());
            client_to_server(&used);
            client_done.client.shutdown(Shutdown::Write).unwrap();
            server_done.server.shutdown(Shutdown::Write).unwrap();
            stalled.client.set_nonblocking(true).unwrap();
            assert_eq!(send_endlessly(&stalled.client), ErrorKind::WouldBlock);
            thread::scope(|scope| {
                let bulk = [(&upload.client, &upload.server), (&download.server, &download.client)];
                let ends = bulk
                    .map(|(from, to)| [scope.spawn(|| send_endlessly(from)), scope.spawn(|| receive_endlessly(to))]);
                eventually(DEADLINE, || if scene.megabytes() > 20 { Ok(()) } else { Err("no transfer is under way") });
                assert_eq!(scene.open_flows(), 7);
                assert_eq!(scene.cut(Answer::Reset), 7);
                for end in ends.into_iter().flatten() {
                    assert_eq!(end.join().unwrap(), ErrorKind::ConnectionReset);
                }
            });
            for connection in [&idle, &used, &stalled, &client_done, &server_done] {
                connection.ends().into_iter().for_each(expect_reset);
            }
            assert_eq!(scene.open_flows(), 0);
            assert_eq!(scene.states(), HashSet::from(["CLOSED".to_owned()]));
        }
    }
}

fn client_to_server(connection: &Connection) {
    let (mut client, mut server) = (&connection.client, &connection.server);
    client.write_all(b"question").unwrap();
    server.read_exact(&mut [0; 8]).unwrap();
    server.write_all(b"answer").unwrap();
    client.read_exact(&mut [0; 6]).unwrap();
}

impl Scene<'_> {
    /// Data that connections have carried so far, both ways.
    fn megabytes(&self) -> u64 {
        let flows = self.gateway.json(&["flows", service_name(self.family)]);
        let bytes = |flow: &serde_json::Value, way: &str| flow[way]["bytes"].as_u64().unwrap();
        let flows = flows["flows"].as_array().unwrap();
        flows.iter().map(|flow| bytes(flow, "original").min(20 << 20) + bytes(flow, "reply").min(20 << 20)).sum::<u64>()
            >> 20
    }
}

#[test]
fn silent_cut_tells_nobody_and_answers_nothing() {
    for side in [BackendSide::Segment, BackendSide::Bridge] {
        for (mode, family) in cases() {
            let lab = Topology::new(side, 1).build();
            let scene = Scene::new(&lab, mode, family);
            let connection = scene.connect();
            client_to_server(&connection);
            let captures = [&lab.client, &lab.backends[0]].map(|host| Capture::start(host, "eth0"));
            assert_eq!((scene.cut(Answer::Drop), scene.open_flows()), (1, 0));
            for mut end in connection.ends() {
                let dropped = scene.packets("flow_cut");
                end.write_all(b"lost").unwrap();
                // The segment, and its first repetition.
                eventually(DEADLINE, || match scene.packets("flow_cut") {
                    count if count >= dropped + 2 => Ok(()),
                    count => Err(count),
                });
            }
            for (captured, host) in captures.map(Capture::finish).iter().zip([&lab.client, &lab.backends[0]]) {
                let own = host.address(family);
                let foreign: Vec<_> = captured.segments().filter(|segment| segment.source().ip() != own).collect();
                assert!(foreign.is_empty(), "{side:?} {mode:?} {family:?}: {foreign:?}");
            }
            for end in connection.ends() {
                assert!(end.take_error().unwrap().is_none(), "{side:?} {mode:?} {family:?}");
            }
        }
    }
}

#[test]
fn other_backends_connections_go_on_and_a_new_syn_of_a_cut_tuple_goes_to_them() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let listeners = [0, 1].map(|backend| listen(&lab, backend, family));
        let (name, to) = (service_name(family), lab.front.at(family, PORT));
        let backend = |number: usize, verb: &[&str]| {
            let address = lab.backends[number].at(family, BACKEND_PORT).to_string();
            gateway.cli(&[&["backend", verb[0], name, address.as_str()], &verb[1..]].concat()).success();
        };
        backend(1, &["drain"]);
        let doomed = connect_from(&lab, to, 50_000);
        let doomed_server = accept(&listeners[0]);
        backend(0, &["drain"]);
        backend(1, &["set", "--active"]);
        let other = Connection { client: client::connect(&lab.client, to).unwrap(), server: accept(&listeners[1]) };
        assert_eq!(cut(&lab, &[lab.backends[0].at(family, BACKEND_PORT)], Answer::Reset), 1);
        [&doomed, &doomed_server].into_iter().for_each(expect_reset);
        drop((doomed, doomed_server));
        let again = Connection { client: connect_from(&lab, to, 50_000), server: accept(&listeners[1]) };
        [&other, &again].into_iter().for_each(client_to_server);
    }
}

/// A connection of the lab's client from a port of its choice.
fn connect_from(lab: &Lab, to: SocketAddr, port: u16) -> TcpStream {
    lab.client.run(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
        socket.bind(&lab.client.at(family, port).into()).unwrap();
        socket.connect_timeout(&to.into(), DEADLINE).unwrap();
        socket.into()
    })
}

/// Prints how long it takes; how long it may take is a matter for a quiet machine.
#[test]
fn ten_thousand_connections_are_cut() {
    const CONNECTIONS: usize = 10_000;
    // Each has as many connections at most as there are source ports, 4,536 where the kernel has its usual share.
    const BACKENDS: usize = 5;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    for family in Family::ALL {
        let lab = Topology::two_arm(BACKENDS).build();
        let gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
        // The servers' ends stay in the queues of their listeners.
        lab.backends.iter().for_each(|backend| backend.sysctl("net/core/somaxconn", "16384"));
        let _listeners: Vec<_> = (0..BACKENDS).map(|backend| listen(&lab, backend, family)).collect();
        let clients = crowd::open(&lab.client, lab.front.at(family, PORT), CONNECTIONS).unwrap();
        expect_established(&lab, CONNECTIONS);
        assert_eq!(cut(&lab, &lab.backends_at(family, BACKEND_PORT), Answer::Reset), CONNECTIONS as u64);
        clients.iter().for_each(expect_reset);
        expect_established(&lab, 0);
        let rows = gateway.json(&["backend", "list", service_name(family)]);
        let open = rows.as_array().unwrap().iter().map(|row| row["counters"]["open_flows"].as_u64().unwrap());
        assert_eq!(open.sum::<u64>(), 0);
    }
}

/// Waits until the backends have so many established connections.
#[track_caller]
fn expect_established(lab: &Lab, expected: usize) {
    eventually(DEADLINE, || {
        let count: usize = lab.backends.iter().map(established).sum();
        if count == expected { Ok(()) } else { Err(format!("{count} are established")) }
    });
}

/// The kernel's `CurrEstab` of a host: the ninth of its TCP counters (RFC 4022).
fn established(host: &Host) -> usize {
    let counters = host.run(|| fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
    let values = counters.lines().filter_map(|line| line.strip_prefix("Tcp: ")).nth(1).unwrap();
    values.split(' ').nth(8).unwrap().parse().unwrap()
}
