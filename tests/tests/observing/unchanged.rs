//! Looking changes nothing: every map is the same afterwards, byte by byte.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, PerCpuArray},
};
use gateway::datapath::Pins;
use gateway_common::{
    abi::{
        Address, Backend, BackendCounters, Bucket, Limits, Link, Service, ServiceKey, Settings, Slot, Source, Usage,
        Watch,
    },
    nat::Reason,
};
use gateway_tests::{
    Family, Gateway, GatewayConfig, Mode, Topology, eventually,
    scenario::{PORT, servers, service},
    traffic::{Behaviour, crowd},
};

/// The contents of all pinned maps but the ring of what is watched, as text: their values are compared, not looked at.
type Contents = BTreeMap<&'static str, Vec<String>>;

/// The maps of a front server.
struct Maps(Pins);

impl Maps {
    fn open(&self, name: &str) -> MapData {
        MapData::from_pin(self.0.map(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn array<const SIZE: usize>(&self, name: &str) -> Vec<String> {
        let map: Array<_, [u8; SIZE]> = Array::try_from(Map::Array(self.open(name))).unwrap();
        lines(name, map.iter())
    }

    fn per_cpu<T: Pod + Debug>(&self, name: &str) -> Vec<String> {
        let map: PerCpuArray<_, T> = PerCpuArray::try_from(Map::PerCpuArray(self.open(name))).unwrap();
        lines(name, map.iter().map(|values| values.map(|values| values.to_vec())))
    }

    fn hash<const KEY: usize, const VALUE: usize>(&self, name: &str, kind: fn(MapData) -> Map) -> Vec<String> {
        let map: HashMap<_, [u8; KEY], [u8; VALUE]> = HashMap::try_from(kind(self.open(name))).unwrap();
        let mut lines = lines(name, map.iter());
        lines.sort_unstable();
        lines
    }

    /// All but those of the host's own traffic, such as ARP, which never rests.
    fn reasons(&self) -> Vec<String> {
        let of_host = [Reason::NotIp, Reason::NotTcp, Reason::IcmpUnrelated];
        let counts = self.per_cpu::<u64>("REASONS").into_iter().zip(Reason::ALL.iter().cycle());
        counts
            .filter(|(_, reason)| !of_host.contains(reason))
            .map(|(count, reason)| format!("{reason:?} {count}"))
            .collect()
    }

    fn contents(&self) -> Contents {
        BTreeMap::from([
            ("FLOWS", self.array::<{ size_of::<Bucket>() }>("FLOWS")),
            ("HALF_OPEN", self.array::<{ size_of::<Bucket>() }>("HALF_OPEN")),
            ("SERVICES", self.hash::<{ size_of::<ServiceKey>() }, { size_of::<Service>() }>("SERVICES", Map::HashMap)),
            ("SLOTS", self.array::<{ size_of::<Slot>() }>("SLOTS")),
            ("BACKENDS", self.array::<{ size_of::<Backend>() }>("BACKENDS")),
            ("OPEN_FLOWS", self.array::<8>("OPEN_FLOWS")),
            ("PRESSURE", self.array::<8>("PRESSURE")),
            ("COUNTERS", self.per_cpu::<BackendCounters>("COUNTERS")),
            ("REASONS", self.reasons()),
            ("SNAT", self.array::<{ size_of::<Address>() }>("SNAT")),
            ("LINKS", self.hash::<4, { size_of::<Link>() }>("LINKS", Map::HashMap)),
            ("SETTINGS", self.array::<{ size_of::<Settings>() }>("SETTINGS")),
            ("WATCH", self.array::<{ size_of::<Watch>() }>("WATCH")),
            ("LIMITS", self.hash::<4, { size_of::<Limits>() }>("LIMITS", Map::HashMap)),
            ("TOTAL_USAGE", self.hash::<4, { size_of::<Usage>() }>("TOTAL_USAGE", Map::HashMap)),
            (
                "SOURCE_USAGE",
                self.hash::<{ size_of::<Source>() }, { size_of::<Usage>() }>("SOURCE_USAGE", Map::LruHashMap),
            ),
        ])
    }
}

/// Each element as text.
fn lines<T: Debug, E: Debug>(name: &str, elements: impl Iterator<Item = Result<T, E>>) -> Vec<String> {
    let element = |element: Result<T, E>| format!("{:?}", element.unwrap_or_else(|e| panic!("{name}: {e:?}")));
    elements.map(element).collect()
}

#[test]
fn explanations_change_no_map() {
    let lab = Topology::two_arm(2).build();
    let _servers = servers(&lab, &Behaviour::Echo);
    let family = Family::V4;
    let limits = "limits = { connections = 12, connections_per_source = 100, new_per_second = 50 }";
    let config = GatewayConfig::new(&lab, Mode::XdpNative).capacity(256, 256);
    let gateway = Gateway::start(&lab, &config.service(service(&lab, family).with(limits)));
    let to = lab.front.at(family, PORT);
    let open = crowd::open(&lab.client, to, 8).unwrap();
    crowd::exchange_on_all(&open).unwrap();
    let maps = Maps(Pins::at(lab.id().pin_directory()));
    let client = lab.client.address(family);
    let known = open[0].local_addr().unwrap().to_string();
    let explain = |from: &str, to: &str| gateway.json(&["explain", "--from", from, "--to", to])["verdict"].clone();
    // The host's own traffic and its daemon change the maps now and then, but not each time.
    eventually(Duration::from_secs(60), || {
        let before = maps.contents();
        for port in 30_000..30_010 {
            assert_eq!(explain(&format!("{client}:{port}"), &to.to_string())["reason"], "opened");
        }
        assert_eq!(explain(&known, &to.to_string())["reason"], "forwarded");
        assert_eq!(explain(&known, &lab.front.at(family, PORT + 1).to_string())["reason"], "no_service");
        let after = maps.contents();
        let changed: Vec<_> = before.keys().filter(|name| before[*name] != after[*name]).collect();
        if changed.is_empty() { Ok(()) } else { Err(format!("{changed:?} have changed")) }
    });
    crowd::exchange_on_all(&open).unwrap();
}
