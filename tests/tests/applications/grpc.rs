//! etcd: gRPC, which is many streams in one HTTP/2 connection.

use std::fs;

use gateway_tests::{
    BackendSide, Family, Gateway, GatewayConfig, Lab, Mode, Output, Process, Topology, eventually,
    scenario::{BACKEND_PORT, PORT},
};

use crate::{TIMEOUT, add_service, backend, deploy_another_service, serve, text};

/// As many as etcd takes in one transaction.
const BATCH: usize = 128;

#[track_caller]
fn etcd(lab: &Lab) -> Process {
    let data = lab.directory().join("etcd");
    let clients = format!("http://0.0.0.0:{BACKEND_PORT}");
    let peers = "http://127.0.0.1:2380";
    let options = [
        ("--data-dir", text(&data)),
        ("--listen-client-urls", &clients),
        ("--advertise-client-urls", &clients),
        ("--listen-peer-urls", peers),
        ("--initial-advertise-peer-urls", peers),
        ("--initial-cluster", &format!("default={peers}")),
    ];
    let arguments: Vec<&str> = options.into_iter().flat_map(|(option, value)| [option, value]).collect();
    serve(&lab.backends[0], BACKEND_PORT, "etcd", &arguments)
}

struct Etcdctl<'lab> {
    lab: &'lab Lab,
    endpoint: String,
}

impl Etcdctl<'_> {
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        self.lab.client.output("etcdctl", &[&["--endpoints", &self.endpoint], arguments].concat()).success()
    }

    /// Puts a batch of keys in one transaction, which etcdctl reads from its standard input.
    #[track_caller]
    fn put_batch(&self, number: usize) {
        let path = self.lab.directory().join("transaction");
        let puts = (0..BATCH).map(|key| format!("put events/{key} {number}-{key}\n")).collect::<String>();
        fs::write(&path, format!("\n{puts}\n\n")).unwrap();
        let command = format!("etcdctl --endpoints {} txn < {}", self.endpoint, text(&path));
        let output = self.lab.client.output("sh", &["-c", &command]).success();
        assert!(output.stdout.starts_with("SUCCESS"), "{output:?}");
    }
}

/// Waits until the watch has told of the batches up to this one, each key once and in order.
#[track_caller]
fn expect_batches(watch: &Process, count: usize) {
    let events = (0..count).flat_map(|number| (0..BATCH).map(move |key| (number, key)));
    let expected: String = events.map(|(number, key)| format!("PUT\nevents/{key}\n{number}-{key}\n")).collect();
    eventually(TIMEOUT, || {
        let told = watch.stdout();
        assert!(expected.starts_with(&told), "the watch has told: {told}");
        if told == expected { Ok(()) } else { Err(format!("{} of {} bytes", told.len(), expected.len())) }
    });
}

#[test]
fn grpc_calls_and_a_long_stream_go_through() {
    for (mode, side) in [(Mode::XdpNative, BackendSide::Segment), (Mode::Tc, BackendSide::Bridge)] {
        let lab = Topology::new(side, 2).build();
        let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, mode));
        let etcd = etcd(&lab);
        let to = lab.front.at(Family::V4, PORT);
        add_service(&gateway, "etcd", to, &backend(lab.backends[0].at(Family::V4, BACKEND_PORT), &etcd));
        let etcdctl = Etcdctl { lab: &lab, endpoint: format!("http://{to}") };
        assert_eq!(etcdctl.run(&["put", "greeting", "hello"]).stdout, "OK\n");
        assert_eq!(etcdctl.run(&["get", "greeting"]).stdout, "greeting\nhello\n");

        // From the first revision on, so that it misses nothing while it starts.
        let watch =
            lab.client.start("etcdctl", &["--endpoints", &etcdctl.endpoint, "watch", "--prefix", "events/", "--rev=1"]);
        etcdctl.put_batch(0);
        expect_batches(&watch, 1);
        deploy_another_service(&lab, &gateway);
        for number in 1..4 {
            etcdctl.put_batch(number);
            expect_batches(&watch, number + 1);
        }
    }
}
