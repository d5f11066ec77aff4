//! The Docker API, as far as the gateway uses it.

use std::{collections::HashMap, path::Path};

use anyhow::{Context, Result};
use bollard::{
    Docker,
    errors::Error,
    query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptionsBuilder},
};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::{
    container::{Container, Network},
    event::{self, Event},
    labels,
};
use crate::host::docker;

/// Containers that are inspected at once.
const CONCURRENT_REQUESTS: usize = 8;

/// Requests to one run of a Docker daemon.
#[derive(Debug)]
pub struct Session(Docker);

impl Session {
    /// Opens a session with the daemon at `socket`. It is of no use once that has been restarted.
    pub async fn open(socket: &Path) -> Result<Self> {
        docker::connect(socket).await.map(Self)
    }

    /// What happens to containers from now on. Ends with the daemon.
    pub fn events(&self) -> impl Stream<Item = Result<Event>> + use<> {
        let filters = filters([("type", &["container", "network"][..]), ("event", &event::ACTIONS)]);
        let events = self.0.events(Some(EventsOptionsBuilder::new().filters(&filters).build()));
        events
            .map_err(|error| anyhow::Error::new(error).context("read events"))
            .try_filter_map(async |it| Ok(Event::from_message(it)))
    }

    /// All containers that carry the gateway's mark.
    pub async fn containers(&self) -> Result<Vec<Container>> {
        let marked = filters([("label", &[labels::MARK][..])]);
        let options = ListContainersOptionsBuilder::new().filters(&marked).build();
        let listed = self.0.list_containers(Some(options)).await.context("list the containers")?;
        let ids: Vec<String> = listed.into_iter().filter_map(|summary| summary.id).collect();
        let inspections = stream::iter(ids).map(async |id| self.container(&id).await);
        let inspected: Vec<_> = inspections.buffer_unordered(CONCURRENT_REQUESTS).try_collect().await?;
        Ok(inspected.into_iter().flatten().collect())
    }

    /// A container; none if it has been removed or does not carry the gateway's mark.
    pub async fn container(&self, id: &str) -> Result<Option<Container>> {
        match self.0.inspect_container(id, None).await {
            Ok(answer) => {
                let container = Container::from_inspect(answer).with_context(|| format!("inspect container {id}"))?;
                Ok(Some(container).filter(|it| it.labels.contains_key(labels::MARK)))
            }
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("inspect container {id}")),
        }
    }

    /// The networks that this host routes to.
    pub async fn networks(&self) -> Result<Vec<Network>> {
        let bridges = filters([("driver", &["bridge"][..])]);
        let options = ListNetworksOptionsBuilder::new().filters(&bridges).build();
        let listed = self.0.list_networks(Some(options)).await.context("list the networks")?;
        Ok(listed.into_iter().filter_map(Network::from_inspect).collect())
    }
}

fn filters<const N: usize>(filters: [(&str, &[&str]); N]) -> HashMap<String, Vec<String>> {
    let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    filters.into_iter().map(|(key, values)| (key.to_owned(), owned(values))).collect()
}
