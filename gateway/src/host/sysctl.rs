//! The kernel settings that the gateway depends on, below `/proc/sys/net`.

use std::{fmt, fs, net::IpAddr};

use anyhow::{Context, Result};

/// The version of the Internet Protocol that a setting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An interface that the kernel does not forward from. Displays as a sentence with the command that changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub family: Family,
    pub interface: String,
    /// The interface learns from router advertisements, and would stop to once it forwards.
    learns: bool,
}

/// Whether the kernel forwards packets that come in on `interface`.
pub fn forwarding(family: Family, interface: &str) -> Result<bool> {
    let path = path(family, interface, "forwarding");
    let value = fs::read_to_string(&path)
        .with_context(|| format!("read {path}; is there an interface {interface} with {family} enabled?"))?;
    Ok(value.trim() != "0")
}

/// Where forwarding is off, or cannot be told to be on.
pub fn missing_forwarding(interfaces: &[&str], families: &[Family]) -> Vec<Missing> {
    let all = interfaces.iter().flat_map(|interface| families.iter().map(move |family| (*family, *interface)));
    all.filter(|(family, interface)| !forwarding(*family, interface).unwrap_or(false))
        .map(|(family, interface)| Missing {
            family,
            interface: interface.to_owned(),
            learns: family == Family::V6
                && fs::read_to_string(path(family, interface, "accept_ra")).is_ok_and(|value| value.trim() == "1"),
        })
        .collect()
}

/// Turns forwarding on. Routes that IPv6 learnt from router advertisements stay, and go on to be learnt.
pub fn set(missing: &Missing) -> Result<()> {
    for (name, value) in missing.settings() {
        let path = path(missing.family, &missing.interface, name);
        fs::write(&path, value)
            .with_context(|| format!("write {value} to {path}; run as root: {}", missing.command()))?;
    }
    Ok(())
}

/// First and last port that the kernel gives to sockets of this host.
pub fn ip_local_port_range() -> Result<(u16, u16)> {
    const PATH: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    let value = fs::read_to_string(PATH).with_context(|| format!("read {PATH}; is /proc mounted?"))?;
    parse_range(&value).with_context(|| format!("{PATH} holds {value:?}, which is no range of ports"))
}

/// Ranges within it that the kernel gives to nobody who does not ask for the very port; both ends included.
pub fn ip_local_reserved_ports() -> Vec<(u16, u16)> {
    let value = fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    parse_list(&value)
}

fn parse_list(value: &str) -> Vec<(u16, u16)> {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    value.trim().split(',').filter_map(range).collect()
}

fn parse_range(value: &str) -> Option<(u16, u16)> {
    let (first, last) = value.trim().split_once(char::is_whitespace)?;
    Some((first.parse().ok()?, last.trim().parse().ok()?))
}

impl Missing {
    /// In the order they have to be made: turning forwarding on drops learnt default routes, unless `accept_ra` is 2.
    fn settings(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.learns.then_some(("accept_ra", "2")).into_iter().chain([("forwarding", "1")])
    }

    /// The command that turns forwarding on.
    pub fn command(&self) -> String {
        let settings = self.settings().map(|(name, value)| {
            // sysctl(8) separates by dots, and takes a slash for the dot of a name such as eth0.5.
            let interface = self.interface.replace('.', "/");
            format!(" net.{}.conf.{interface}.{name}={value}", self.family.folder())
        });
        format!("sysctl -w{}", settings.collect::<String>())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, interface, .. } = self;
        write!(
            f,
            "{family} forwarding is off on {interface}; packets cannot be routed from it: run \"{}\" or start with \
             --set-sysctls",
            self.command()
        )
    }
}

fn path(family: Family, interface: &str, name: &str) -> String {
    format!("/proc/sys/net/{}/conf/{interface}/{name}", family.folder())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_single_ones_and_ranges() {
        assert_eq!(parse_list("\n"), []);
        assert_eq!(parse_list("22,61000-65535\n"), [(22, 22), (61000, 65535)]);
    }

    fn missing(family: Family, interface: &str, learns: bool) -> Missing {
        Missing { family, interface: interface.to_owned(), learns }
    }

    #[test]
    fn missing_forwarding_names_the_command() {
        assert_eq!(
            missing(Family::V4, "eth0", false).to_string(),
            "IPv4 forwarding is off on eth0; packets cannot be routed from it: run \
             \"sysctl -w net.ipv4.conf.eth0.forwarding=1\" or start with --set-sysctls"
        );
    }

    #[test]
    fn dot_of_an_interface_name_is_a_slash_for_sysctl() {
        assert_eq!(missing(Family::V4, "eth0.5", false).command(), "sysctl -w net.ipv4.conf.eth0/5.forwarding=1");
    }

    #[test]
    fn router_advertisements_are_kept_before_forwarding_is_turned_on() {
        assert_eq!(
            missing(Family::V6, "eth0", true).command(),
            "sysctl -w net.ipv6.conf.eth0.accept_ra=2 net.ipv6.conf.eth0.forwarding=1"
        );
    }

    #[test]
    fn port_range_is_two_ports() {
        assert_eq!(parse_range("32768\t60999\n"), Some((32768, 60999)));
        assert_eq!(parse_range("32768"), None);
        assert_eq!(parse_range("1 70000"), None);
    }
}
