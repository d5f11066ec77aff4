//! Rules of the host's packet filter that keep the replies of local containers from the gateway.
//!
//! Where `net.bridge.bridge-nf-call-iptables` is 1, as Docker needs it to be, frames that come out of a container go
//! through the rules of PREROUTING before the datapath sees them. The connections that it translates are unknown to
//! the kernel's connection tracking, so their replies are INVALID there: no harm, unless a rule drops such packets.

use std::{fs, process::Stdio};

use tokio::process::Command;

/// The tools that list rules, each with what it is asked for. Of one that is not there there are no rules. Two of them
/// can tell of the same rule, each in its notation.
const LISTS: [(&str, &[&str]); 3] =
    [("nft", &["--stateless", "list", "ruleset"]), ("iptables-save", &[]), ("iptables-legacy-save", &[])];

const CALLS_RULES: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// The rules that drop the replies of local containers.
pub async fn rules_against_replies() -> Vec<String> {
    // Absent where the kernel's bridges know of no rules.
    if fs::read_to_string(CALLS_RULES).map_or(true, |value| value.trim() == "0") {
        return Vec::new();
    }
    let mut rules = Vec::new();
    for (tool, arguments) in LISTS {
        let listing = Command::new(tool).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await;
        if let Ok(output) = listing {
            rules.extend(dropping_invalid(&String::from_utf8_lossy(&output.stdout)));
        }
    }
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// The rules of prerouting chains, in the notation of nft(8) or iptables-save(8), that drop INVALID packets.
fn dropping_invalid(listing: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_prerouting = false;
    for line in listing.lines().map(str::trim) {
        match line {
            line if line.starts_with("chain ") => in_prerouting = false,
            line if line.contains("hook prerouting") => in_prerouting = true,
            _ => {}
        }
        let is_rule = in_prerouting || line.starts_with("-A PREROUTING ");
        let lower = line.to_ascii_lowercase();
        if is_rule && lower.contains("invalid") && lower.contains("drop") && !lower.contains("hook") {
            found.push(line.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_either_notation_are_found() {
        let nft = "table inet filter {\n\tchain before {\n\t\ttype filter hook prerouting priority raw; policy accept;\n\
                   \t\tct state invalid counter drop\n\t}\n}\n";
        assert_eq!(dropping_invalid(nft), ["ct state invalid counter drop"]);
        let iptables = "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m conntrack --ctstate INVALID -j DROP\n";
        assert_eq!(dropping_invalid(iptables), ["-A PREROUTING -m conntrack --ctstate INVALID -j DROP"]);
    }

    #[test]
    fn rules_elsewhere_are_no_matter() {
        let nft = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy drop;\n\
                   \t\tct state invalid drop\n\t}\n\tchain pre {\n\t\ttype filter hook prerouting priority 0; policy drop;\n\
                   \t\tct state established accept\n\t}\n}\n";
        assert_eq!(dropping_invalid(nft), [""; 0]);
        assert_eq!(dropping_invalid("-A INPUT -m conntrack --ctstate INVALID -j DROP\n"), [""; 0]);
    }
}
