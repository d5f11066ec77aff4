//! What the gateway learns from the kernel of a host, and what it asks of it, on hosts of the laboratory.

mod doctor;
mod interfaces;
mod neighbours;
mod settings;
mod watching;

use std::{future::Future, pin::Pin};

use gateway_tests::{LabId, Namespace, link};

/// A host with `eth0` (10.0.0.1/24, fd00::1/64) and a peer on its wire (10.0.0.2, fd00::2).
struct Wire {
    host: Namespace,
    peer: Namespace,
}

impl Wire {
    fn new() -> Self {
        let id = LabId::new();
        let wire = Self { host: Namespace::new(id, "host"), peer: Namespace::new(id, "peer") };
        link::connect((&wire.host, "eth0"), (&wire.peer, "eth0"));
        link::assign(&wire.host, "eth0", "10.0.0.1/24", "fd00::1/64");
        link::assign(&wire.peer, "eth0", "10.0.0.2/24", "fd00::2/64");
        wire
    }
}

/// Runs asynchronous work on a thread of the namespace, with all of its sockets.
fn on<'a, T: Send>(namespace: &Namespace, work: impl FnOnce() -> Pin<Box<dyn Future<Output = T> + 'a>> + Send) -> T {
    namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime starts");
        runtime.block_on(work())
    })
}
