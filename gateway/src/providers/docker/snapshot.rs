//! All containers at one moment, as the services that their labels make.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    container::{Activity, Container, Network},
    labels::{self, Member},
};

/// What the labels of all containers ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Running and paused containers by service, the oldest first.
    pub services: BTreeMap<String, Vec<Member>>,
    /// The interfaces of this host by which their packets go.
    pub bridges: BTreeSet<String>,
    /// What is wrong with labels, a sentence each.
    pub findings: BTreeSet<String>,
}

impl Snapshot {
    /// Takes the containers that have been started; of the others nothing is asked.
    pub fn of<'a>(containers: impl IntoIterator<Item = &'a Container>, networks: &[Network]) -> Self {
        let mut snapshot = Self::default();
        for container in containers.into_iter().filter(|container| container.activity != Activity::Stopped) {
            snapshot.add(container, networks);
        }
        for members in snapshot.services.values_mut() {
            members.sort_by(|a, b| (a.created, &a.container).cmp(&(b.created, &b.container)));
        }
        snapshot
    }

    fn add(&mut self, container: &Container, networks: &[Network]) {
        let finding = |sentence| format!("container {}: {sentence}", container.name);
        let member = match Member::from_container(container, networks) {
            Ok(None) => return,
            Ok(Some(member)) => member,
            Err(sentence) => {
                self.findings.insert(finding(sentence));
                return;
            }
        };
        self.findings.extend(labels::unknown(container).into_iter().map(finding));
        // All of them: a container in several networks answers by the one with its default route.
        let is_in = |network: &&Network| container.endpoints.values().any(|it| it.network == network.id);
        self.bridges.extend(networks.iter().filter(is_in).map(|network| network.bridge.clone()));
        self.services.entry(member.service.clone()).or_default().push(member);
    }
}
