//! `[metrics]` and `[dashboard]`: what the daemon serves over TCP on the front server itself.

use std::net::SocketAddr;

use super::{Place, service};
use crate::config::{
    Config, Dashboard, Metrics, PortRange,
    finding::{Report, fault},
    section::Section,
};

/// A section, and the address that stands in its example.
const METRICS: (&str, &str) = ("metrics", "127.0.0.1:9469");
const DASHBOARD: (&str, &str) = ("dashboard", "127.0.0.1:9470");

pub(super) fn read(root: &mut Section<'_, '_>, config: &mut Config) {
    let metrics = read_section(root, METRICS, config.snat.ports);
    let dashboard = read_section(root, DASHBOARD, config.snat.ports);
    if let (Some((_, metrics)), Some((place, dashboard))) = (&metrics, &dashboard)
        && metrics == dashboard
    {
        let message = format!("[dashboard] listen: {dashboard} is [metrics] listen as well");
        root.error(place, fault(message, "choose another port for one of the two"));
    }
    config.metrics = metrics.map(|(_, listen)| Metrics { listen });
    config.dashboard = dashboard.map(|(_, listen)| Dashboard { listen });
}

fn read_section(
    root: &mut Section<'_, '_>,
    (name, example): (&'static str, &str),
    snat_ports: Option<PortRange>,
) -> Option<(Place, SocketAddr)> {
    let mut section = root.section(name, name, format!("[{name}] "))?;
    let listen = section.text::<SocketAddr>("listen");
    if let Some(listen) = &listen {
        check_listen(&section, &listen.span(), *listen.get_ref(), snat_ports);
    } else if !section.has("listen") {
        section.missing("listen", &format!("write listen = \"{example}\", or remove the section to turn it off"));
    }
    section.finish();
    listen.map(|listen| (listen.span(), listen.into_inner()))
}

fn check_listen(section: &Section<'_, '_>, place: &Place, listen: SocketAddr, snat_ports: Option<PortRange>) {
    let port = listen.port();
    if port == 0 {
        section.error(place, fault("listen: the port is 0", "choose a port from 1 to 65535"));
    }
    if let Some(range) = snat_ports.filter(|range| range.contains(port)) {
        let message = format!("listen: port {port} is inside the snat range {range}");
        section.error(place, fault(message, "choose a port outside it or change [snat] ports"));
    }
    if !listen.ip().is_loopback() {
        let remedy = "use 127.0.0.1, or see to it that a firewall protects the port";
        section.warn(place, fault(format!("listen: {listen} can be read by anyone who reaches it"), remedy));
    }
}

/// Refuses a service that would take the connections to one of these addresses.
pub(super) fn check_service(written: &service::Written, config: &Config, report: &Report<'_>) {
    let metrics = config.metrics.as_ref().map(|metrics| (METRICS.0, metrics.listen));
    let dashboard = config.dashboard.as_ref().map(|dashboard| (DASHBOARD.0, dashboard.listen));
    for (section, taken) in metrics.into_iter().chain(dashboard) {
        for (listen, place) in written.service.listen.iter().zip(&written.listen_places) {
            let every_local = taken.ip().is_unspecified();
            let same_address = listen.resolve(&config.public.address).any(|address| address == taken);
            if listen.port() == taken.port() && (every_local || same_address) {
                let message = format!("{}listen {listen} takes the connections to [{section}] listen", written.prefix);
                report.error(place, fault(message, "choose another port for one of the two"));
            }
        }
    }
}
