//! A flood of SYNs from addresses all over the Internet, as fast as one thread can make them.
//!
//! It comes in on a wire of its own, behind which the front server believes the rest of the world to be.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{PacketSocket, raw_host::mac_of};
use crate::{Family, Lab, Namespace, link};

mod frames;

use frames::{Frames, Syn};

/// The front server's device on the wire, and the flooding host's.
const FRONT_DEVICE: &str = "eth2";
const DEVICE: &str = "eth0";

/// Frames of one system call.
const BATCH: usize = 64;

/// What the owners of the addresses that are made use of do about SYN-ACKs that they have not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// Nothing: nobody is there, or a firewall drops them.
    Silent,
    /// Their kernels answer by a reset.
    Reset,
}

/// The wire that the flood comes by, and the host at its other end.
#[derive(Debug)]
pub struct FloodWire {
    host: Namespace,
}

impl FloodWire {
    /// Lays the wire to the front server of `lab`, before the gateway starts.
    #[track_caller]
    pub fn lay(lab: &mut Lab, strangers: Strangers) -> Self {
        let host = Namespace::new(lab.id(), "world");
        link::connect((&lab.front, FRONT_DEVICE), (&host, DEVICE));
        link::assign(&lab.front, FRONT_DEVICE, "192.0.2.1/24", "2001:db8:4::1/64");
        link::assign(&host, DEVICE, "192.0.2.2/24", "2001:db8:4::2/64");
        link::default_route(&lab.front, "192.0.2.2", "2001:db8:4::2");
        match strangers {
            Strangers::Silent => host.nft(SILENCE),
            Strangers::Reset => {
                // Every address but the front server's is the host's own. In the main table, where the longer prefix wins.
                host.ip(&["route add local 0.0.0.0/0 dev lo table main", "route add local ::/0 dev lo table main"]);
                for family in Family::ALL {
                    let via = if family == Family::V4 { "192.0.2.1" } else { "2001:db8:4::1" };
                    host.ip(&lab
                        .front
                        .public(family)
                        .map(|public| format!("route add {public} via {via} dev {DEVICE}")));
                }
            }
        }
        lab.front.interfaces.push(FRONT_DEVICE.to_owned());
        Self { host }
    }

    /// Starts the flood of these addresses, which take turns.
    #[track_caller]
    pub fn flood(&self, lab: &Lab, targets: &[SocketAddr]) -> Flood {
        let seed = fastrand::u64(..);
        println!("flood of seed {seed}");
        let (own, gateway) = (mac_of(&self.host, DEVICE), mac_of(&lab.front, FRONT_DEVICE));
        let syns = targets.iter().map(|to| Syn::new(*to, own, gateway)).collect();
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let socket = PacketSocket::open_to_send(&self.host, DEVICE);
        let sender = {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            thread::spawn(move || {
                let mut frames = Frames::new(syns, BATCH, fastrand::Rng::with_seed(seed));
                while !stop.load(Ordering::Relaxed) {
                    sent.fetch_add(socket.send_all(frames.next()), Ordering::Relaxed);
                }
            })
        };
        Flood { stop, sent, sender: Some(sender) }
    }
}

const SILENCE: &str = "
    table netdev silence {
        chain in {
            type filter hook ingress device eth0 priority 0
            ip protocol tcp drop
            ip6 nexthdr tcp drop
        }
    }";

/// A flood that goes on until it is stopped.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sender: Option<JoinHandle<()>>,
}

impl Flood {
    /// SYNs so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends the flood and tells how many SYNs it was.
    #[track_caller]
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.take().expect("a flood is stopped once").join().expect("the sender does not panic");
        self.sent()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
