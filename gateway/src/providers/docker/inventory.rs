//! The containers that are known of, and which of them have been told to stop.

use std::{collections::HashMap, time::SystemTime};

use super::container::{Activity, Container};

#[derive(Debug, Default)]
pub struct Inventory {
    containers: HashMap<String, Container>,
    /// When those were started that have been told to stop since.
    stopping: HashMap<String, SystemTime>,
}

impl Inventory {
    /// What a listing of all containers says. Those that have been told to stop remain so until they start again.
    pub fn replace(&mut self, containers: Vec<Container>) {
        self.containers.clear();
        containers.into_iter().for_each(|container| self.put(container));
        self.stopping.retain(|id, _| self.containers.contains_key(id));
    }

    /// What is known of one container; none if it has been removed.
    pub fn update(&mut self, id: &str, container: Option<Container>) {
        self.containers.remove(id);
        container.into_iter().for_each(|container| self.put(container));
    }

    /// A container was sent a signal, by number.
    pub fn signalled(&mut self, id: &str, signal: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.is_stopped_by(signal) && container.activity == Activity::Running {
            container.activity = Activity::Stopping;
            self.stopping.insert(id.to_owned(), container.started);
        }
    }

    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }

    fn put(&mut self, mut container: Container) {
        if self.stopping.get(&container.id) == Some(&container.started) {
            if container.activity == Activity::Running {
                container.activity = Activity::Stopping;
            }
        } else {
            self.stopping.remove(&container.id);
        }
        self.containers.insert(container.id.clone(), container);
    }
}
