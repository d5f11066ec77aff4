//! Rules of the host's packet filter that are in the gateway's way.
//!
//! What the gateway forwards passes no netfilter: XDP and TC redirect it from interface to interface before the filter's
//! hooks, so neither FORWARD nor what Docker adds to it, nor its rules in the raw table against packets to containers, nor
//! `rp_filter` matter. Two ways lead through rules all the same:
//!
//! - Where `net.bridge.bridge-nf-call-iptables` is 1, as Docker needs it to be, frames that come out of a container go
//!   through PREROUTING before the datapath sees them.
//! - Resets that end connections at a deadline are sent by a raw socket, and so go through OUTPUT.
//!
//! The connections are unknown to the kernel's connection tracking, so these packets are INVALID there: no harm,
//! unless a rule drops such packets.

mod chains;
mod listing;

use std::{fs, process::Stdio};

use tokio::process::Command;

use chains::Chains;

/// The tools that list rules, each with what it is asked for and the setting by which a bridge's frames go through them. Of
/// one that is not there there are no rules. Two of them can tell of the same rule, each in its notation.
const LISTS: [(&str, &[&str], &str); 5] = [
    ("nft", &["--stateless", "--handle", "list", "ruleset"], IPTABLES),
    ("iptables-save", &[], IPTABLES),
    ("iptables-legacy-save", &[], IPTABLES),
    ("ip6tables-save", &[], IP6TABLES),
    ("ip6tables-legacy-save", &[], IP6TABLES),
];

const IPTABLES: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
const IP6TABLES: &str = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";

/// Where packets of the gateway meet the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    Prerouting,
    Output,
}

/// A rule that drops them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub hook: Hook,
    /// As its tool writes it.
    pub text: String,
    /// The command that takes it out.
    pub removal: String,
}

/// The rules that drop the replies of local containers.
pub async fn rules_against_replies() -> Vec<String> {
    let rules = rules_in_the_way().await;
    rules.into_iter().filter(|rule| rule.hook == Hook::Prerouting).map(|rule| rule.text).collect()
}

/// Every rule that drops packets of the gateway.
pub async fn rules_in_the_way() -> Vec<Rule> {
    let mut rules = Vec::new();
    for (tool, arguments, setting) in LISTS {
        let listing = Command::new(tool).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await;
        let Ok(output) = listing else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        let chains = if tool == "nft" { listing::nft(&text) } else { listing::iptables(tool, &text) };
        rules.extend(dropping_invalid(&chains, calls_rules(setting)));
    }
    rules.sort_unstable();
    rules.dedup_by(|a, b| a.text == b.text && a.hook == b.hook);
    rules
}

/// The setting is absent where the kernel's bridges know of no rules.
fn calls_rules(setting: &str) -> bool {
    fs::read_to_string(setting).is_ok_and(|value| value.trim() != "0")
}

fn dropping_invalid(chains: &Chains, bridged: bool) -> Vec<Rule> {
    let hooks = [Hook::Prerouting, Hook::Output].into_iter().filter(|hook| bridged || *hook == Hook::Output);
    hooks.flat_map(|hook| chains.dropping_invalid(hook)).collect()
}
