//! Events of the Docker API that change what the gateway does.

use bollard::models::{EventMessage, EventMessageTypeEnum as Type};

/// The actions that the daemon is asked to tell of.
pub const ACTIONS: [&str; 9] =
    ["start", "kill", "die", "destroy", "pause", "unpause", "rename", "connect", "disconnect"];

/// Something that has happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It was sent a signal, by number.
    Killed { container: String, signal: String },
    /// It is to be looked at again.
    Changed { container: String },
}

impl Event {
    /// None for an event that names no container.
    pub fn from_message(message: EventMessage) -> Option<Self> {
        let (actor, action) = (message.actor?, message.action?);
        let mut attributes = actor.attributes.unwrap_or_default();
        let container = match message.typ? {
            Type::CONTAINER => actor.id?,
            // A container joined or left a network.
            Type::NETWORK => attributes.remove("container")?,
            _ => return None,
        };
        Some(match attributes.remove("signal") {
            Some(signal) if action == "kill" => Self::Killed { container, signal },
            _ => Self::Changed { container },
        })
    }
}
