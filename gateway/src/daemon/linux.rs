//! This machine: its interfaces, the datapath on them, and what keeps both in step.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;

use super::{
    Host, RunOptions,
    bridges::{self, ContainerBridges},
    forwarding::Forwarding,
    host::Upkeep,
    upkeep,
};
use crate::{
    config::{self, Config},
    datapath::{self, Attached, Capacity, Datapath, Detached, Pins, Wanted},
    host::{
        bpffs,
        links::{self, Interface},
        neighbours::Neighbours,
        privileges::{self, Access},
        qdisc, requirements, sysctl,
    },
    lifecycle::{Engine, HostAddresses, Site},
    model::status::AttachMode,
    providers::docker::Bridges,
    tables::{Snat, Tables, Terms},
};

/// The Linux host that the daemon runs on.
pub struct LinuxHost {
    pins: Pins,
    forwarding: Forwarding,
    datapath: Option<(Arc<Datapath>, Vec<Attached>)>,
}

impl LinuxHost {
    /// Mounts a bpffs for the pins where there is none, and gives up the privileges that are of no use from then on.
    ///
    /// To be called on the only thread of the process. A configuration that is refused changes nothing.
    pub fn prepare(options: &RunOptions) -> Result<Self> {
        let config = options.load()?;
        requirements::check()?;
        let pins = Pins::at(&options.pins);
        bpffs::ensure_mounted(pins.root().parent().unwrap_or(Path::new("/")))?;
        privileges::confine(&files(options, &config))?;
        let forwarding = Forwarding { set: options.set_sysctls, families: Vec::new() };
        Ok(Self { pins, forwarding, datapath: None })
    }

    async fn attach_all(
        &self,
        config: &Config,
        site: &Site,
        wanted: &[Interface],
    ) -> Result<(Arc<Datapath>, Tables, Vec<Attached>)> {
        let capacity = Capacity {
            flows: config.flows.capacity,
            half_open: config.flows.half_open,
            backends: config.backends.capacity,
            flow_map: config.flows.table,
        };
        let datapath = Arc::new(Datapath::load(self.pins.clone(), capacity)?);
        let snat = Snat { addresses: site.snat.clone(), ports: site.snat_ports };
        let mut tables = Tables::new(&datapath, &snat, &config.flows, Terms::from(&site.defaults))?;
        let mut attached = Vec::with_capacity(wanted.len());
        for interface in wanted {
            let mode = config.interfaces.iter().find(|it| it.name == interface.name).map(|it| it.mode);
            attached.push(datapath.attach(interface, wanted_mode(mode.unwrap_or_default()))?);
        }
        let names: Vec<&str> = wanted.iter().map(|interface| interface.name.as_str()).collect();
        remove_qdiscs(&datapath.detach_others(&names)?).await?;
        tables.set_links(datapath.map("LINKS")?, &links::snapshot().await?, &attached)?;
        let mut warnings: Vec<String> = attached.iter().filter_map(|it| it.warning.clone()).collect();
        warnings.extend(config.warnings.iter().map(ToString::to_string));
        tables.set_interfaces(attached.clone());
        tables.set_programs(datapath.clone());
        tables.set_warnings(warnings);
        Ok((datapath, tables, attached))
    }
}

impl Host for LinuxHost {
    type Tables = Tables;

    /// Where the file leaves it open, clients come in on the first interface, and the addresses of the last one are
    /// the sources of translated packets.
    async fn site(&self, config: &Config) -> Result<Site> {
        let interfaces = configured(config).await?;
        let of = |interface: Option<&Interface>| -> Vec<IpAddr> {
            interface.into_iter().flat_map(|interface| &interface.addresses).map(IpNet::addr).collect()
        };
        let host = HostAddresses {
            public: of(interfaces.first()),
            internal: of(interfaces.last()),
            local_ports: sysctl::ip_local_port_range()?,
        };
        let site = Site::new(config, host)?;
        ensure!(
            !site.snat.is_empty(),
            "there is no address to translate sources to: set [snat] addresses, or give the last interface an address"
        );
        Ok(site)
    }

    async fn attach(&mut self, config: &Config, site: &Site) -> Result<Tables> {
        let mut wanted = configured(config).await?;
        if config.docker.is_some() {
            wanted.extend(bridges::of_earlier_gateway(&self.pins, &wanted).await?);
        }
        self.forwarding = self.forwarding.of(site);
        self.forwarding.ensure(&wanted.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>())?;
        let fresh = !self.pins.exist();
        match self.attach_all(config, site, &wanted).await {
            Ok((datapath, tables, attached)) => {
                self.datapath = Some((datapath, attached));
                Ok(tables)
            }
            Err(error) => {
                // Nothing ran before, so nothing is to run after a start that failed.
                if fresh && let Err(again) = detach(&self.pins).await {
                    log::warn!("cannot remove what was attached: {again:#}");
                }
                Err(error)
            }
        }
    }

    fn attend(&mut self, engine: Arc<Engine<Tables>>) -> Upkeep {
        let datapath = self.datapath.clone();
        Box::pin(async move {
            let (datapath, attached) = datapath.context("the datapath is not attached")?;
            upkeep::run(datapath, attached, engine).await
        })
    }

    fn bridges(&self, engine: Arc<Engine<Tables>>) -> impl Bridges {
        let (datapath, attached) = self.datapath.clone().expect("it is asked for after `attach`");
        ContainerBridges::new(datapath, attached, self.forwarding.clone(), engine)
    }

    async fn detach(&mut self) -> Result<()> {
        detach(&self.pins).await.map(drop)
    }
}

/// Takes the datapath off this host, with the queueing disciplines that it had made for it and what it kept in the
/// neighbour tables. What it was told to set stays set: others may have come to need it.
pub async fn detach(pins: &Pins) -> Result<Detached> {
    let detached = datapath::detach(pins)?;
    remove_qdiscs(&detached.qdiscs).await?;
    Neighbours::new().await?.release().await.context("give the neighbours back to the kernel")?;
    Ok(detached)
}

async fn remove_qdiscs(interfaces: &[String]) -> Result<()> {
    for name in interfaces {
        qdisc::remove_clsact(name).await.with_context(|| format!("remove the clsact qdisc of {name}"))?;
    }
    Ok(())
}

/// What the daemon reads and writes for as long as it runs.
fn files(options: &RunOptions, config: &Config) -> Vec<(PathBuf, Access)> {
    let file = options.config.iter().map(|file| (file.clone(), Access::Read));
    let folders = [config.control.socket.parent(), Some(&*config.control.state)];
    file.chain(folders.into_iter().flatten().map(|folder| (folder.to_owned(), Access::Fill))).collect()
}

/// The interfaces of the configuration, in its order, as the host has them.
async fn configured(config: &Config) -> Result<Vec<Interface>> {
    ensure!(
        !config.interfaces.is_empty(),
        "there is no interface to attach to: add an [[interface]] to the file, or give --interface"
    );
    let mut host = links::snapshot().await.context("list the interfaces")?;
    let take = |wanted: &config::Interface| {
        let position = host.iter().position(|interface| interface.name == wanted.name);
        let position = position.with_context(|| format!("there is no interface {}", wanted.name))?;
        Ok(host.swap_remove(position))
    };
    config.interfaces.iter().map(take).collect()
}

fn wanted_mode(mode: config::Mode) -> Wanted {
    match mode {
        config::Mode::Auto => Wanted::Auto,
        config::Mode::XdpNative => Wanted::Exactly(AttachMode::XdpNative),
        config::Mode::XdpGeneric => Wanted::Exactly(AttachMode::XdpGeneric),
        config::Mode::Tc => Wanted::Exactly(AttachMode::Tc),
    }
}
