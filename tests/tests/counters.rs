//! What the gateway says about its work agrees with what was done through it.

use std::time::Duration;

use gateway_tests::{
    Family, Gateway, Mode, Topology, eventually,
    scenario::{BACKEND_PORT, PORT, cases, config, numbered_servers, servers, service_name},
    traffic::{Behaviour, client},
};
use serde_json::{Value, json};

const CONNECTIONS: usize = 30;
const PAYLOAD: usize = 10_000;

/// The number in a field that must be there.
#[track_caller]
fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number at {pointer} in {value}"))
}

#[test]
fn backends_count_their_connections_and_bytes() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(2).build();
        let servers = numbered_servers(&lab);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        for seed in 0..CONNECTIONS as u64 {
            let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
            client::read_identity(&stream).unwrap();
            client::exchange(&stream, seed, PAYLOAD).unwrap();
        }
        let listed = gateway.json(&["backend", "list", service_name(family)]);
        for (index, server) in servers.iter().enumerate() {
            let address = lab.backends[index].at(family, BACKEND_PORT).to_string();
            let backends = listed.as_array().expect("a list of backends");
            let backend = backends.iter().find(|backend| backend["address"] == address.as_str()).unwrap();
            let accepted = server.accepted() as u64;
            assert_eq!(number(backend, "/counters/connections"), accepted, "{mode:?} {family:?}: {backend}");
            for direction in ["original", "reply"] {
                let bytes = number(backend, &format!("/counters/{direction}/bytes"));
                assert!(bytes > accepted * PAYLOAD as u64, "{mode:?} {family:?}: {direction} of {backend}");
            }
        }
    }
}

#[test]
fn an_open_connection_is_listed_with_all_its_ends_until_it_closes() {
    for (mode, family) in cases() {
        let lab = Topology::two_arm(1).build();
        let servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
        client::exchange(&stream, 1, PAYLOAD).unwrap();
        let page = gateway.json(&["flows", service_name(family), "--state", "established"]);
        let flow = &page["flows"][0];
        let expected = json!({
            "service": service_name(family),
            "client": stream.local_addr().unwrap().to_string(),
            "public": lab.front.at(family, PORT).to_string(),
            "snat": servers[0].peers()[0].to_string(),
            "backend": lab.backends[0].at(family, BACKEND_PORT).to_string(),
            "state": "ESTABLISHED",
        });
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(flow[field], *value, "{mode:?} {family:?}: {field} of {flow}");
        }
        drop(stream);
        eventually(Duration::from_secs(2), || {
            let open = gateway.json(&["flows", service_name(family), "--state", "established"])["total"].clone();
            if open == 0 { Ok(()) } else { Err(format!("{open} connections are listed as established")) }
        });
    }
}

#[test]
fn outcomes_of_packets_are_counted_by_reason() {
    for mode in Mode::ALL {
        let lab = Topology::two_arm(1).build();
        let _servers = servers(&lab, &Behaviour::Echo);
        let gateway = Gateway::start(&lab, &config(&lab, mode));
        for family in Family::ALL {
            let stream = client::connect(&lab.client, lab.front.at(family, PORT)).unwrap();
            client::exchange(&stream, 1, PAYLOAD).unwrap();
        }
        let refused = client::connect(&lab.client, lab.front.at(Family::V4, PORT + 1));
        assert!(refused.is_err());
        assert_eq!(gateway.packets("opened"), 2, "{mode:?}");
        assert!(gateway.packets("forwarded") > 20, "{mode:?}");
        assert!(gateway.packets("no_service") > 0, "{mode:?}");
        let attached = gateway.json(&["status"])["interfaces"].clone();
        for interface in attached.as_array().expect("a list of interfaces") {
            assert_eq!(interface["mode"], mode.name(), "{attached}");
        }
    }
}
