//! What the datapath shows of packets and flows while somebody watches.
//!
//! A sighting is one line of `GET /v1/sightings`: kinds and field names are part of the outward contract.

use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{
    flow::{FlowState, Traffic},
    instant,
    status::{Action, Hook},
};

/// Bytes of a frame that can be shown.
pub const LONGEST_FRAME: u32 = gateway_common::abi::SNAP as u32;

/// What one who watches wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub packets: Option<PacketFilter>,
    /// Flows that open and close.
    pub flows: bool,
}

/// Whose packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketFilter {
    /// Absent: of all clients, but not what is none of the gateway's business.
    pub client: Option<IpAddr>,
    /// Absent: any.
    pub port: Option<u16>,
    /// Bytes of each frame.
    pub snap: u32,
}

/// Something seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Sighting {
    /// A packet as it came.
    PacketIn(PacketSeen),
    /// The packet as it leaves.
    PacketOut(PacketSeen),
    FlowOpened(FlowSeen),
    FlowClosed(FlowSeen),
    /// So much was not shown: it came too fast.
    Lost {
        sightings: u64,
    },
}

/// A packet, and the flow it belongs to after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketSeen {
    #[serde(flatten)]
    pub flow: FlowSeen,
    /// Nanoseconds since 1970; the same for a packet as it came and as it leaves.
    pub time_ns: u64,
    /// The program that saw it.
    pub hook: Hook,
    pub cpu: u32,
    /// The interface it came in by, or is sent out of.
    pub interface: String,
    /// From the backend to the client.
    pub is_reply: bool,
    /// Why it goes where it goes: a reason of the status.
    pub reason: String,
    pub action: Action,
    /// Bytes of the frame.
    pub length: u32,
    /// Its first bytes, in base64.
    #[serde(with = "base64_bytes")]
    pub frame: Vec<u8>,
}

/// A connection, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSeen {
    #[serde(with = "instant")]
    pub at: SystemTime,
    pub client: SocketAddr,
    /// The address that it connects to.
    pub public: SocketAddr,
    /// What follows is absent for a packet of no flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snat: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<FlowState>,
    /// What has passed from the client to the backend, and back.
    pub original: Traffic,
    pub reply: Traffic,
}

impl Wanted {
    /// Whether `sighting` is among it. What is lost concerns everybody.
    pub fn includes(&self, sighting: &Sighting) -> bool {
        match sighting {
            Sighting::PacketIn(packet) | Sighting::PacketOut(packet) => {
                self.packets.is_some_and(|filter| filter.matches(packet))
            }
            Sighting::FlowOpened(_) | Sighting::FlowClosed(_) => self.flows,
            Sighting::Lost { .. } => true,
        }
    }

    /// What satisfies both.
    pub fn and(self, other: Self) -> Self {
        let packets = match (self.packets, other.packets) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        Self { packets, flows: self.flows || other.flows }
    }
}

impl PacketFilter {
    fn matches(&self, packet: &PacketSeen) -> bool {
        match self.client {
            Some(client) => {
                client == packet.flow.client.ip() && self.port.is_none_or(|port| port == packet.flow.client.port())
            }
            None => packet.action != Action::Pass,
        }
    }

    fn and(self, other: Self) -> Self {
        let same = (self.client, self.port) == (other.client, other.port);
        let (client, port) = if same { (self.client, self.port) } else { (None, None) };
        Self { client, port, snap: self.snap.max(other.snap) }
    }
}

mod base64_bytes {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn packet(client: &str, action: Action) -> PacketSeen {
        let flow = FlowSeen {
            at: SystemTime::UNIX_EPOCH,
            client: client.parse().unwrap(),
            public: "203.0.113.10:80".parse().unwrap(),
            service: None,
            backend: None,
            snat: None,
            state: None,
            original: Traffic::default(),
            reply: Traffic::default(),
        };
        PacketSeen {
            flow,
            time_ns: 5,
            hook: Hook::Xdp,
            cpu: 1,
            interface: "eth0".into(),
            is_reply: false,
            reason: "no_backend".into(),
            action,
            length: 60,
            frame: vec![1, 2, 255],
        }
    }

    #[test]
    fn sighting_is_one_flat_object() {
        let sighting = Sighting::PacketIn(packet("198.51.100.7:51234", Action::Drop));
        let json = serde_json::to_string(&sighting).unwrap();
        assert!(
            json.starts_with(r#"{"kind":"packet-in","at":"1970-01-01T00:00:00.000Z","client":"198.51.100.7:51234","#)
        );
        assert!(json.ends_with(r#""reason":"no_backend","action":"drop","length":60,"frame":"AQL/"}"#), "{json}");
        assert_eq!(serde_json::from_str::<Sighting>(&json).unwrap(), sighting);
    }

    #[test]
    fn everybody_sees_what_was_wanted_and_no_more() {
        let of = |client: Option<&str>, port| {
            let client = client.map(|client| client.parse().unwrap());
            Wanted { packets: Some(PacketFilter { client, port, snap: 100 }), flows: false }
        };
        let seen = |action| Sighting::PacketOut(packet("198.51.100.7:51234", action));
        let (drop, pass) = (seen(Action::Drop), seen(Action::Pass));
        assert!(of(None, None).includes(&drop) && !of(None, None).includes(&pass));
        let client = of(Some("198.51.100.7"), None);
        assert!(client.includes(&drop) && client.includes(&pass));
        assert!(!of(Some("198.51.100.8"), None).includes(&drop));
        assert!(!of(Some("198.51.100.7"), Some(1)).includes(&drop));
        assert!(!Wanted { packets: None, flows: true }.includes(&drop));
        assert_eq!(client.and(client), client);
        assert_eq!(client.and(of(Some("198.51.100.8"), None)), of(None, None));
        assert_eq!(client.and(Wanted { packets: None, flows: true }), Wanted { flows: true, ..client });
    }
}
