//! `gateway flows` sorts, counts and repeats itself, over both kinds of flow table.

use std::{net::TcpStream, time::Duration};

use gateway_tests::{
    Family, Gateway, Mode, Process, Topology, gateway,
    scenario::{PORT, config, servers},
    traffic::{Behaviour, client},
};
use serde_json::Value;

/// What each connection sends, in the order in which they open.
const SIZES: [usize; 4] = [20_000, 1_000, 300_000, 5_000];
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn flows_are_sorted_before_they_are_cut_off() {
    for table in ["buckets", "hash"] {
        let lab = Topology::two_arm(2).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let text = config(&lab, Mode::XdpNative).with_flows(&format!("table = {table:?}")).to_toml();
        let gateway = Gateway::start_with(&lab, &text, &[]);
        let open = |(seed, size): (u64, usize)| {
            let stream = client::connect(&lab.client, lab.front.at(Family::V4, PORT)).unwrap();
            client::exchange(&stream, seed, size).unwrap();
            stream
        };
        let streams: Vec<TcpStream> = (0..).zip(SIZES).map(open).collect();
        let clients: Vec<String> = streams.iter().map(|stream| stream.local_addr().unwrap().to_string()).collect();
        let listed = |arguments: &[&str]| -> Vec<String> {
            let page = gateway.json(&[&["flows", "--state", "established"], arguments].concat());
            assert_eq!(page["total"], SIZES.len(), "{table} {arguments:?}");
            let flows = page["flows"].as_array().unwrap().iter();
            flows.map(|flow| flow["client"].as_str().unwrap().to_owned()).collect()
        };
        let [a, b, c, d] = &clients[..] else { panic!("four are open") };
        for key in ["bytes", "packets"] {
            assert_eq!(listed(&["--sort", key]), [c, a, d, b].map(Clone::clone), "{table} {key}");
        }
        assert_eq!(listed(&["--sort", "bytes", "--limit", "2"]), [c, a].map(Clone::clone), "{table}");
        assert_eq!(listed(&["--sort", "bytes", "--reverse", "--limit", "1"]), std::slice::from_ref(b), "{table}");
        // Ticks are of milliseconds: which of two is older is told only where their ages differ.
        let ages = |arguments: &[&str]| -> Vec<u64> {
            let page = gateway.json(&[&["flows", "--sort"], arguments].concat());
            let flows = page["flows"].as_array().unwrap().iter();
            flows.map(|flow| flow["age_seconds"].as_u64().unwrap()).collect()
        };
        assert!(ages(&["age"]).is_sorted_by(|a, b| a >= b) && ages(&["age", "--reverse"]).is_sorted());
        let mut by_client = clients.clone();
        by_client.sort_by_key(|client| client.parse::<std::net::SocketAddr>().unwrap());
        assert_eq!(listed(&["--sort", "client"]), by_client, "{table}");
        by_client.reverse();
        assert_eq!(listed(&["--sort", "client", "--reverse"]), by_client, "{table}");
        let mut by_backend = gateway.json(&["flows", "--sort", "backend"])["flows"].as_array().unwrap().to_owned();
        assert!(by_backend.is_sorted_by_key(|flow| flow["backend"].as_str().unwrap().to_owned()));
        by_backend.truncate(1);
        let backend = by_backend[0]["backend"].as_str().unwrap();
        let of_backend = gateway.json(&["flows", "--backend", backend])["total"].clone();
        let count = |arguments: &[&str]| gateway.cli(&[&["flows", "--count"], arguments].concat()).success().stdout;
        assert_eq!(count(&["--backend", backend]), format!("{of_backend}\n"), "{table}");
        assert_eq!(count(&["v4", "--state", "established"]), "4\n", "{table}");
        assert_eq!(count(&["v6"]), "0\n", "{table}");
    }
}

#[test]
fn a_watched_listing_comes_again_and_follows_what_happens() {
    let lab = Topology::two_arm(1).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let _gateway = Gateway::start(&lab, &config(&lab, Mode::XdpNative));
    let watch = ["flows", "v4", "--state", "established", "--json", "--watch", "100ms"];
    let mut watching = Process::start(gateway::command(&lab).args(watch));
    watching.wait_for_line("{\"flows\":[],\"total\":0}", PATIENCE);
    let stream = client::connect(&lab.client, lab.front.at(Family::V4, PORT)).unwrap();
    client::exchange(&stream, 1, 1_000).unwrap();
    watching.wait_for_line("{\"flows\":[{", PATIENCE);
    for line in watching.stdout().lines() {
        let page: Value = serde_json::from_str(line).expect("every line is a listing");
        assert!(page["flows"].is_array(), "{line}");
    }
}
