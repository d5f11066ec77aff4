//! One set of backends replacing another, with real connections: nothing is lost, nothing is signalled too early,
//! and wherever the daemon is killed the deployment ends as if it had not been.

mod crashes;
mod drains;
mod outcomes;
mod stage;
