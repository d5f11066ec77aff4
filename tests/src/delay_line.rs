//! A client that is far away: frames between it and the clients' segment are under way for a while.
//!
//! netem is not in every kernel, so the distance is a program that holds frames back. It is for loads of a few
//! thousand frames a second.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{Family, Host, Lab, Namespace, link, packets::PacketSocket};

/// How late a frame may be because nothing else has come.
const TICK: Duration = Duration::from_millis(1);

/// The far client, with addresses on the segment of the near ones.
#[derive(Debug)]
pub struct FarClient {
    pub host: Host,
    stop: Arc<AtomicBool>,
    lines: Vec<JoinHandle<()>>,
    // After the host, whose frames it carries.
    _between: Namespace,
}

impl FarClient {
    /// Adds a client to a lab whose clients are on a segment, at a distance of `round_trip` from it.
    #[track_caller]
    pub fn join(lab: &Lab, round_trip: Duration) -> Self {
        let host = Host {
            namespace: Namespace::new(lab.id(), "far"),
            v4: "203.0.113.66".parse().expect("an address"),
            v6: "2001:db8:1::66".parse().expect("an address"),
        };
        let between = Namespace::new(lab.id(), "distance");
        // It is a wire, not a host: no frame is its own.
        between.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
        link::connect((&between, "near"), (lab.switch("lan0"), "far"));
        lab.switch("lan0").ip(&["link set far master br0"]);
        link::connect((&between, "far"), (&host, "eth0"));
        link::assign(&host, "eth0", &format!("{}/24", host.v4), &format!("{}/64", host.v6));
        let [v4, v6] = Family::ALL.map(|family| lab.front.public(family)[0].to_string());
        link::default_route(&host, &v4, &v6);
        let stop = Arc::<AtomicBool>::default();
        let lines = [("near", "far"), ("far", "near")].map(|(from, to)| {
            link::never_merge_received_segments(&between, from);
            let (from, to) =
                (PacketSocket::open_incoming(&between, from, TICK), PacketSocket::open_to_send(&between, to));
            let stop = Arc::clone(&stop);
            thread::spawn(move || carry(from, &to, round_trip / 2, &stop))
        });
        Self { host, stop, lines: lines.into(), _between: between }
    }
}

impl Drop for FarClient {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for line in self.lines.drain(..) {
            let _ = line.join();
        }
    }
}

/// Carries what comes in, each frame after `delay`.
fn carry(mut from: PacketSocket, to: &PacketSocket, delay: Duration, stop: &AtomicBool) {
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        if let Some(frame) = from.receive() {
            under_way.push_back((Instant::now() + delay, frame.to_vec()));
        }
        let now = Instant::now();
        while let Some((due, _)) = under_way.front()
            && *due <= now
        {
            let (_, frame) = under_way.pop_front().expect("there is a first one");
            to.send_all(&[frame]);
        }
    }
}
