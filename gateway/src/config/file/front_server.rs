//! The front server's own sections: control, public, interface, snat, flows, backends, docker.

use std::{collections::HashSet, net::IpAddr, path::PathBuf};

use serde_spanned::Spanned;

use crate::config::{
    Backends, Config, Control, Docker, FIRST_SNAT_PORT, Fault, Flows, Interface, MAX_CAPACITY, MIN_SNAT_PORTS,
    PortRange, Public, Snat,
    finding::{Report, fault},
    rules::{unusable_address, unusable_hostname, unusable_interface_name},
    section::Section,
};

/// Longest path of a unix socket, in bytes (`sun_path` of unix(7) less the terminator).
const MAX_SOCKET_PATH: usize = 107;

pub(super) fn read(root: &mut Section<'_, '_>, report: &Report<'_>, config: &mut Config) {
    let mut section = |name: &'static str| root.section(name, name, format!("[{name}] "));
    if let Some(section) = section("control") {
        config.control = read_control(section);
    }
    config.docker = section("docker").map(read_docker);
    if let Some(section) = section("flows") {
        config.flows = read_flows(section);
    }
    if let Some(section) = section("backends") {
        config.backends = read_backends(section);
    }
    if let Some(section) = section("snat") {
        config.snat = read_snat(section);
    }
    if let Some(section) = section("public") {
        config.public = read_public(section, config.snat.ports);
    }
    read_interfaces(root, report, config);
}

fn read_control(mut section: Section<'_, '_>) -> Control {
    let default = Control::default();
    let socket = read_socket(&mut section).unwrap_or(default.socket);
    let state = section.text("state").map_or(default.state, Spanned::into_inner);
    section.finish();
    Control { socket, state }
}

fn read_docker(mut section: Section<'_, '_>) -> Docker {
    let socket = read_socket(&mut section).unwrap_or_else(|| Docker::default().socket);
    section.finish();
    Docker { socket }
}

fn read_socket(section: &mut Section<'_, '_>) -> Option<PathBuf> {
    let socket: Spanned<PathBuf> = section.text("socket")?;
    let length = socket.get_ref().as_os_str().len();
    if length > MAX_SOCKET_PATH {
        let message = format!("socket: the path has {length} bytes, a unix socket's at most {MAX_SOCKET_PATH}");
        section.error(&socket.span(), fault(message, "choose a shorter path"));
    }
    Some(socket.into_inner())
}

fn read_public(mut section: Section<'_, '_>, snat_ports: Option<PortRange>) -> Public {
    let hostname = section.text::<String>("hostname");
    if let Some((place, wrong)) =
        hostname.as_ref().and_then(|name| Some((name.span(), unusable_hostname(name.get_ref())?)))
    {
        section.error(&place, Fault { message: format!("hostname: {}", wrong.message), ..wrong });
    }
    let address = read_addresses(&mut section, "address");
    let ports = section.text::<PortRange>("ports");
    if let (Some(ports), Some(snat)) = (&ports, snat_ports)
        && ports.get_ref().overlaps(&snat)
    {
        let message = format!("ports: {} overlaps the snat range {snat}", ports.get_ref());
        section.error(&ports.span(), fault(message, "separate the two ranges"));
    }
    section.finish();
    Public { hostname: hostname.map(Spanned::into_inner), address, ports: ports.map(Spanned::into_inner) }
}

fn read_snat(mut section: Section<'_, '_>) -> Snat {
    let addresses = read_addresses(&mut section, "addresses");
    let ports = section.text::<PortRange>("ports");
    if let Some(ports) = &ports {
        let range = ports.get_ref();
        if range.first() < FIRST_SNAT_PORT {
            let message = format!("ports: {range} begins below {FIRST_SNAT_PORT}, where servers such as sshd listen");
            section.error(&ports.span(), fault(message, "begin at 1024 or above, best above ip_local_port_range"));
        }
        if range.len() < MIN_SNAT_PORTS {
            let message = format!("ports: {range} has {} ports, at least {MIN_SNAT_PORTS} are needed", range.len());
            section.error(&ports.span(), fault(message, "give a larger range; each open flow of a backend takes one"));
        }
    }
    section.finish();
    Snat { addresses, ports: ports.map(Spanned::into_inner) }
}

fn read_addresses(section: &mut Section<'_, '_>, key: &'static str) -> Vec<IpAddr> {
    let written = section.texts::<IpAddr>(key);
    let mut seen = HashSet::new();
    for address in &written {
        if let Some(wrong) = unusable_address(*address.get_ref()) {
            section.error(&address.span(), Fault { message: format!("{key}: {}", wrong.message), ..wrong });
        }
        if !seen.insert(*address.get_ref()) {
            let message = format!("{key}: {} is there twice", address.get_ref());
            section.error(&address.span(), fault(message, "remove one of the two"));
        }
    }
    written.into_iter().map(Spanned::into_inner).collect()
}

fn read_flows(mut section: Section<'_, '_>) -> Flows {
    let default = Flows::default();
    let capacity = section.count("capacity", MAX_CAPACITY).map_or(default.capacity, Spanned::into_inner);
    let half_open = section.count("half_open", MAX_CAPACITY).map_or(default.half_open, Spanned::into_inner);
    let table = section.choice("table").map_or(default.table, Spanned::into_inner);
    let full = section.choice("full").map_or(default.full, Spanned::into_inner);
    let syn_cookies = section.choice("syn_cookies").map_or(default.syn_cookies, Spanned::into_inner);
    section.finish();
    Flows { capacity, half_open, table, full, syn_cookies }
}

fn read_backends(mut section: Section<'_, '_>) -> Backends {
    let default = Backends::default();
    let capacity = section.count("capacity", MAX_CAPACITY).map_or(default.capacity, Spanned::into_inner);
    section.finish();
    Backends { capacity }
}

fn read_interfaces(root: &mut Section<'_, '_>, report: &Report<'_>, config: &mut Config) {
    for mut section in root.sections("interface", "interface", |number| format!("interface #{number}: ")) {
        let name = section.text::<String>("name");
        let mode = section.choice("mode").map(Spanned::into_inner).unwrap_or_default();
        if let Some(name) = name {
            let (place, name) = (name.span(), name.into_inner());
            if let Some(wrong) = unusable_interface_name(&name) {
                section.error(&place, wrong);
            }
            let missing = report.finding(&place, missing_interface(&name));
            if config.interface_places.insert(name.clone(), missing).is_some() {
                section.error(&place, fault(format!("{name:?} is there already"), "name each interface once"));
            }
            config.interfaces.push(Interface { name, mode });
        } else if !section.has("name") {
            section.missing("name", "write name = \"eth0\"");
        }
        section.finish();
    }
}

/// What is wrong when a host has no such interface.
pub(in crate::config) fn missing_interface(name: &str) -> Fault {
    fault(format!("interface {name:?} does not exist on this host"), "use a name that `ip link` shows")
}
