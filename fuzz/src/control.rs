//! Any sequence of requests to the control API: each is answered, in JSON and never with the server's own failure;
//! what is not JSON is refused; a service is there from the answer that it was added to the one that it was removed;
//! and what is in force is in the packet tables, in every view of it, and there again after a restart.

mod judge;
mod requests;
mod tables;
mod world;

use requests::Request;
use world::World;

/// Enough to add, change, deploy and remove; a change is a write to disk.
const MAX_REQUESTS: usize = 24;

/// Panics if a guarantee is broken.
pub fn attack(bytes: &[u8]) {
    let mut world = World::new();
    for request in Request::decode(bytes).take(MAX_REQUESTS) {
        world.send(&request);
    }
    world.judge();
}
