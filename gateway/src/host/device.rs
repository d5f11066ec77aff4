//! What a network device does to packets before the gateway sees them, and what it offers to XDP.
//!
//! Asked for by generic netlink: the families `ethtool` and, from Linux 6.3 on, `netdev`. What a device or a kernel does
//! not answer is absent, and judged by nobody.

mod netdev;

use std::collections::HashSet;

use anyhow::{Context, Result};
use ethtool::{EthtoolAttr, EthtoolChannelAttr, EthtoolError, EthtoolFeatureAttr, EthtoolHandle};
use futures_util::TryStreamExt;

pub use netdev::XdpFeatures;

/// The facts about a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Names of the offloads in force, as `ethtool --show-features` has the kernel's strings: `rx-lro`.
    pub offloads: HashSet<String>,
    pub queues: Option<Queues>,
    pub xdp: Option<XdpFeatures>,
}

/// Queues of a device, as `ethtool --show-channels` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    pub receive: Count,
    pub transmit: Count,
    /// For both.
    pub combined: Count,
}

/// How many there are, of how many there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub now: u32,
    pub most: u32,
}

/// The connections to both families.
pub struct Devices {
    ethtool: EthtoolHandle,
    netdev: netdev::Netdev,
}

impl Devices {
    /// Connects in the network namespace of the calling thread.
    pub fn connect() -> Result<Self> {
        let (connection, ethtool, _) = ethtool::new_connection().context("open a netlink socket")?;
        tokio::spawn(connection);
        Ok(Self { ethtool, netdev: netdev::Netdev::connect()? })
    }

    /// What this device answers.
    pub async fn look_at(&mut self, index: u32, name: &str) -> Device {
        let offloads = self.offloads(name).await.unwrap_or_else(|error| {
            log::debug!("{name} shows no offloads: {error}");
            HashSet::new()
        });
        let queues = self.queues(name).await.unwrap_or_else(|error| {
            log::debug!("{name} shows no queues: {error}");
            None
        });
        Device { offloads, queues, xdp: self.netdev.xdp_features(index).await }
    }

    async fn offloads(&mut self, name: &str) -> Result<HashSet<String>, EthtoolError> {
        let mut answers = std::pin::pin!(self.ethtool.feature().get(Some(name)).execute().await);
        let mut offloads = HashSet::new();
        while let Some(message) = answers.try_next().await? {
            for attribute in message.payload.nlas {
                if let EthtoolAttr::Feature(EthtoolFeatureAttr::Active(bits)) = attribute {
                    offloads.extend(bits.into_iter().filter(|bit| bit.value).map(|bit| bit.name));
                }
            }
        }
        Ok(offloads)
    }

    async fn queues(&mut self, name: &str) -> Result<Option<Queues>, EthtoolError> {
        let mut answers = std::pin::pin!(self.ethtool.channel().get(Some(name)).execute().await);
        let Some(message) = answers.try_next().await? else { return Ok(None) };
        let mut queues = Queues::default();
        for attribute in message.payload.nlas {
            let EthtoolAttr::Channel(attribute) = attribute else { continue };
            match attribute {
                EthtoolChannelAttr::RxCount(count) => queues.receive.now = count,
                EthtoolChannelAttr::RxMax(count) => queues.receive.most = count,
                EthtoolChannelAttr::TxCount(count) => queues.transmit.now = count,
                EthtoolChannelAttr::TxMax(count) => queues.transmit.most = count,
                EthtoolChannelAttr::CombinedCount(count) => queues.combined.now = count,
                EthtoolChannelAttr::CombinedMax(count) => queues.combined.most = count,
                _ => {}
            }
        }
        Ok(Some(queues))
    }
}
