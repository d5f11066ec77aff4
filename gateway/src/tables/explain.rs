//! What the datapath would do with a client's SYN: its own core decides, over copies of the kernel's maps, and tells
//! by what it came to. Nothing is written to a map, sent or counted.

mod account;
mod candidates;
mod frame;
mod overlay;
mod trial;
mod view;
mod way;

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use gateway_common::{
    abi::{self, Flow as Entry, MAX_SNAT, ServiceKey, Tuple},
    nat::Reason,
};

pub use view::Maps;

use self::{
    trial::{Scene, Trial},
    way::Way,
};
use super::{Tables, flows::FlowTables};
use crate::model::{
    explanation::{Choice, CookieRule, Cookies, Explanation, Ingress, NextHop, Rule, Source, Target, Verdict},
    status::{AttachMode, Hook, TableFill},
};

impl Tables {
    /// Explains what a SYN between these addresses would come to. Waits for the kernel's routes.
    pub(super) fn explain_syn(&self, from: SocketAddr, to: SocketAddr) -> Result<Explanation> {
        ensure!(from.is_ipv4() == to.is_ipv4(), "{from} and {to} are of two versions of the Internet Protocol");
        let maps = &self.explained;
        let way = Way::of(from.ip())?;
        let ingress = way.ingress.as_ref().map(|interface| Ingress {
            interface: interface.name.clone(),
            mode: self.interfaces.iter().find(|it| it.ifindex == interface.index).map(|it| it.mode),
        });
        let by_xdp =
            ingress.as_ref().is_some_and(|it| matches!(it.mode, Some(AttachMode::XdpNative | AttachMode::XdpGeneric)));
        let tuple = Tuple::from_sockets(from, to);
        let settings = maps.settings.get(0);
        let scene = Scene { maps, way: &way, settings, by_xdp };
        let syn = scene.syn(&tuple);
        let first = scene.decide(&syn)?;
        let answer = (first.reason == Reason::CookieSent).then(|| first.acknowledgement(&syn)).transpose()?;
        let later = answer.map(|acknowledgement| scene.decide(&acknowledgement)).transpose()?;

        let service = maps.service(&ServiceKey::new(tuple.dst, tuple.dst_port))?;
        let resolved = self.services.listening(&to);
        let fill = TableFill { open: self.open_flows.get(0).max(0).cast_unsigned(), capacity: self.capacity.into() };
        let cookies = Cookies { when: rule(settings.cookies), sent: later.is_some() };
        let mut explanation = Explanation {
            acknowledged: later.as_ref().map(verdict),
            ingress,
            flow: FlowTables::new(&*maps.flows, &*maps.half_open, &self.backends)?.of_client(&tuple),
            ..Explanation::new(from, to, verdict(&first), fill, cookies)
        };
        if let (Some(service), Some(resolved)) = (&service, resolved) {
            explanation.service = Some(Target {
                name: resolved.service.name.clone(),
                algorithm: resolved.service.policy.algorithm,
                no_backend: resolved.service.policy.no_backend,
                places: service.slots,
            });
            explanation.limits = account::of(maps, service, &resolved.service.limits, &tuple.src)?;
            explanation.candidates = candidates::of(maps, service, resolved, &self.backends, to.is_ipv6());
        }
        // The acknowledgement is what opens a flow then.
        let trial = later.unwrap_or(first);
        let entry = trial.original(&tuple);
        explanation.choice = self.choice(&trial, service.as_ref(), entry.as_ref());
        if let Some(choice) = &explanation.choice {
            let without_port = matches!(trial.reason, Reason::PortsExhausted | Reason::PortShareUsed);
            if trial.is_forwarded() || without_port {
                explanation.source = Some(self.source(choice, entry.as_ref(), settings)?);
            }
            explanation.next_hop = next_hop(&trial, &way, choice.backend, entry.as_ref());
        }
        way.check()?;
        Ok(explanation)
    }

    /// The backend that the SYN would go to, if it came so far, also where something else refuses it.
    fn choice(&self, trial: &Trial<'_>, service: Option<&abi::Service>, entry: Option<&Entry>) -> Option<Choice> {
        let chosen = trial.view.chosen();
        if chosen == 0 {
            let entry = entry.filter(|_| trial.reason == Reason::Forwarded)?;
            let (by, places, drawn) = (Rule::Flow, Vec::new(), Vec::new());
            return Some(Choice { backend: entry.to.destination(), by, places, drawn, random: false });
        }
        let service = service?;
        let backend = self.backends.name(chosen)?.address;
        let looked_at: usize = if service.algorithm == abi::Algorithm::LeastConnections { 2 } else { 1 };
        let slots: Vec<u32> = trial.view.slots_read().into_iter().take(looked_at).collect();
        let in_slot = |slot: &u32| Some(self.backends.name(self.explained.slots.get(*slot).0)?.address);
        let drawn: Vec<SocketAddr> = slots.iter().filter_map(in_slot).collect();
        let elsewhere = matches!(trial.reason, Reason::FailedOver | Reason::OpenedElsewhere);
        let by = match service.algorithm {
            _ if elsewhere => Rule::Elsewhere,
            abi::Algorithm::Maglev => Rule::Tuple,
            abi::Algorithm::Source => Rule::Address,
            abi::Algorithm::LeastConnections => Rule::FewerFlows,
        };
        Some(Choice {
            backend,
            by,
            places: slots.iter().map(|slot| slot.wrapping_sub(service.first_slot)).collect(),
            drawn,
            random: matches!(by, Rule::FewerFlows | Rule::Elsewhere) && service.slots > 1,
        })
    }

    fn source(&self, choice: &Choice, entry: Option<&Entry>, settings: abi::Settings) -> Result<Source> {
        let (base, count) = if choice.backend.is_ipv4() { (0, settings.snat_v4) } else { (MAX_SNAT, settings.snat_v6) };
        let mut addresses = Vec::new();
        for index in base..base + count {
            addresses.extend(self.explained.snat(index)?.map(std::net::IpAddr::from));
        }
        let last = u32::from(settings.first_port) + u32::from(settings.ports).saturating_sub(1);
        let capacity = addresses.len() as u64 * u64::from(settings.ports);
        let taken = self.source_ports().remove(&choice.backend).unwrap_or(TableFill { open: 0, capacity });
        Ok(Source {
            address: entry.map(|entry| entry.to.source()),
            random: choice.by != Rule::Flow,
            addresses,
            ports: format!("{}-{last}", settings.first_port),
            taken,
        })
    }
}

fn next_hop(trial: &Trial<'_>, way: &Way, backend: SocketAddr, entry: Option<&Entry>) -> Option<NextHop> {
    // A flow that has its next hop has asked for none.
    let own = entry.and_then(|entry| way.find(entry.to.source().ip(), entry.to.destination().ip())?.ok());
    let route = own.or_else(|| way.known(backend.ip()))?;
    let mac = route.mac.map(|bytes| bytes.map(|byte| format!("{byte:02x}")).join(":"));
    Some(NextHop {
        interface: route.interface.name,
        address: route.next_hop,
        mac,
        neighbour: route.neighbour.to_owned(),
        mtu: route.mtu,
        by: trial.hook,
    })
}

fn verdict(trial: &Trial<'_>) -> Verdict {
    Verdict {
        reason: trial.reason.name().to_owned(),
        action: super::action(trial.reason.action()),
        meaning: trial.reason.meaning().to_owned(),
        hook: trial.hook,
    }
}

fn rule(cookies: abi::Cookies) -> CookieRule {
    match cookies {
        abi::Cookies::InFloods => CookieRule::Auto,
        abi::Cookies::Never => CookieRule::Off,
        abi::Cookies::Always => CookieRule::Always,
    }
}
