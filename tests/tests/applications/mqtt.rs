//! mosquitto: hundreds of subscribers that are connected all the time.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use gateway_tests::{
    Family, Gateway, GatewayConfig, Host, Lab, Mode, Process, Topology, eventually,
    scenario::{BACKEND_PORT, PORT},
};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use tokio::{runtime, task::JoinSet};

use crate::{TIMEOUT, add_service, backend, deploy, deploy_another_service, serve, text};

const SUBSCRIBERS: usize = 500;
const TOPIC: &str = "news";

/// What all subscribers have seen together.
#[derive(Clone, Debug, Default)]
struct Seen {
    subscribed: usize,
    received: BTreeMap<String, usize>,
}

/// Clients that connect again, and subscribe again, when a connection has ended.
struct Subscribers(Arc<Mutex<Seen>>);

impl Subscribers {
    /// They end with the process: their connections do not outlive the lab.
    fn start(host: &Host, to: SocketAddr) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let shared = Arc::clone(&seen);
        let all = async move {
            let subscribers: JoinSet<()> = (0..SUBSCRIBERS).map(|id| subscribe(id, to, shared.clone())).collect();
            subscribers.join_all().await;
        };
        host.spawn(|| runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(all));
        Self(seen)
    }

    /// Waits until there were this many subscriptions since the start.
    #[track_caller]
    fn wait_for_subscriptions(&self, count: usize) {
        self.wait_for(|seen| seen.subscribed == count);
    }

    /// Publishes with the broker's own client, and waits until every subscriber has the message.
    #[track_caller]
    fn receive(&self, lab: &Lab, to: SocketAddr, message: &str) {
        let (address, port) = (to.ip().to_string(), to.port().to_string());
        let publish = ["-h", &address, "-p", &port, "-q", "1", "-t", TOPIC, "-m", message];
        lab.client.output("mosquitto_pub", &publish).success();
        self.wait_for(|seen| seen.received.get(message) == Some(&SUBSCRIBERS));
    }

    #[track_caller]
    fn wait_for(&self, condition: impl Fn(&Seen) -> bool) {
        eventually(TIMEOUT, || {
            let seen = self.0.lock().unwrap().clone();
            if condition(&seen) { Ok(()) } else { Err(seen) }
        });
    }
}

async fn subscribe(id: usize, to: SocketAddr, seen: Arc<Mutex<Seen>>) {
    let options = MqttOptions::new(format!("subscriber-{id}"), to.ip().to_string(), to.port());
    let (client, mut events) = AsyncClient::new(options, 10);
    loop {
        // The poll after an error connects again.
        let Ok(Event::Incoming(packet)) = events.poll().await else { continue };
        match packet {
            Packet::ConnAck(_) => client.try_subscribe(TOPIC, QoS::AtLeastOnce).expect("the queue is empty"),
            Packet::SubAck(_) => seen.lock().unwrap().subscribed += 1,
            Packet::Publish(message) => {
                let text = String::from_utf8(message.payload.to_vec()).expect("messages are text");
                *seen.lock().unwrap().received.entry(text).or_default() += 1;
            }
            _ => {}
        }
    }
}

#[track_caller]
fn broker(lab: &Lab, index: usize) -> Process {
    let path = lab.directory().join("mosquitto.conf");
    fs::write(&path, format!("listener {BACKEND_PORT}\nallow_anonymous true\n")).unwrap();
    serve(&lab.backends[index], BACKEND_PORT, "mosquitto", &["-c", text(&path)])
}

#[test]
fn mqtt_subscribers_stay_through_another_deployment_and_return_after_their_own() {
    let lab = Topology::two_arm(2).build();
    let gateway = Gateway::start(&lab, &GatewayConfig::new(&lab, Mode::XdpNative));
    let to = lab.front.at(Family::V4, PORT);
    let [first, second] = [0, 1].map(|index| lab.backends[index].at(Family::V4, BACKEND_PORT));
    let mut old = broker(&lab, 0);
    add_service(&gateway, "mqtt", to, &backend(first, &old));
    let subscribers = Subscribers::start(&lab.client, to);
    subscribers.wait_for_subscriptions(SUBSCRIBERS);
    subscribers.receive(&lab, to, "to the first broker");

    deploy_another_service(&lab, &gateway);
    subscribers.receive(&lab, to, "after another deployment");
    subscribers.wait_for_subscriptions(SUBSCRIBERS);

    let new = broker(&lab, 1);
    deploy(&gateway, "mqtt", &backend(second, &new));
    assert_eq!(old.wait(TIMEOUT).code, Some(0), "the broker ends by SIGTERM");
    subscribers.wait_for_subscriptions(2 * SUBSCRIBERS);
    subscribers.receive(&lab, to, "to the second broker");
}
