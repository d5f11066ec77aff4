//! Listings of nft(8) and iptables-save(8), read as chains.

use super::{
    Hook,
    chains::{ChainName, Chains, Line, Then},
};

/// `nft --handle list ruleset`. Tables of bridges and devices are no matter, nor are those that iptables keeps, which it
/// lists itself.
pub fn nft(listing: &str) -> Chains {
    let mut chains = Chains::default();
    let (mut table, mut chain) = (None, None);
    let mut iptables = false;
    for line in listing.lines().map(str::trim) {
        let (text, handle) = line.split_once(" # handle ").unwrap_or((line, ""));
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["#", ..] => iptables = text.contains("managed by iptables"),
            ["table", family, name, "{"] => {
                let of_use = matches!(family, "ip" | "ip6" | "inet") && !std::mem::take(&mut iptables);
                table = of_use.then(|| format!("{family} {name}"));
            }
            ["chain", name, "{"] => {
                chain = table.clone().map(|table| ChainName { table, name: name.to_owned() });
            }
            ["type", _, "hook", hook, ..] => {
                if let Some(chain) = &chain {
                    chains.chain(chain.clone()).hook = hook_of(hook);
                }
            }
            ["}"] if chain.is_some() => chain = None,
            [.., last] if !handle.is_empty() => {
                let Some(chain) = &chain else { continue };
                let then = match words[..] {
                    [.., "jump" | "goto", target] => Then::Jump(target.to_owned()),
                    _ if last == "drop" || words.contains(&"reject") => Then::Drop,
                    _ => Then::Other,
                };
                let removal = format!("nft delete rule {} {} handle {handle}", chain.table, chain.name);
                let statements = ["counter", "drop", "jump", "goto", "log", "reject"];
                let always = words.first().is_some_and(|first| statements.contains(first));
                let line = Line { text: text.to_owned(), removal, invalid: words.contains(&"invalid"), always, then };
                chains.chain(chain.clone()).rules.push(line);
            }
            _ => {}
        }
    }
    chains
}

/// What `tool`, one of the iptables-save family, lists.
pub fn iptables(tool: &str, listing: &str) -> Chains {
    let command = tool.trim_end_matches("-save");
    let mut chains = Chains::default();
    let mut table = "";
    for line in listing.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some((name, policy)) = line.strip_prefix(':').and_then(|rest| rest.split_once(' ')) {
            // Only the chains of the kernel's hooks have a policy.
            let hook = if policy.starts_with('-') { None } else { hook_of(&name.to_lowercase()) };
            chains.chain(ChainName { table: table.to_owned(), name: name.to_owned() }).hook = hook;
        } else if let Some((name, rule)) = line.strip_prefix("-A ").and_then(|rest| rest.split_once(' ')) {
            let target = rule.split_whitespace().skip_while(|word| !matches!(*word, "-j" | "-g")).nth(1);
            let then = match target {
                Some("DROP" | "REJECT") => Then::Drop,
                Some(target) => Then::Jump(target.to_owned()),
                None => Then::Other,
            };
            let invalid = rule.split([' ', ',']).any(|word| word == "INVALID") && !rule.contains("! --");
            chains.chain(ChainName { table: table.to_owned(), name: name.to_owned() }).rules.push(Line {
                text: line.to_owned(),
                removal: format!("{command} -t {table} -D {name} {rule}"),
                invalid,
                always: rule.starts_with("-j") || rule.starts_with("-g"),
                then,
            });
        }
    }
    chains
}

fn hook_of(name: &str) -> Option<Hook> {
    match name {
        "prerouting" => Some(Hook::Prerouting),
        "output" => Some(Hook::Output),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removals(chains: &Chains, hook: Hook) -> Vec<String> {
        chains.dropping_invalid(hook).into_iter().map(|rule| rule.removal).collect()
    }

    #[test]
    fn rules_of_either_notation_are_found() {
        let before = nft("table inet filter { # handle 1\n\tchain before { # handle 2\n\
                          \t\ttype filter hook prerouting priority raw; policy accept;\n\
                          \t\tct state invalid counter drop # handle 3\n\t}\n}\n");
        assert_eq!(removals(&before, Hook::Prerouting), ["nft delete rule inet filter before handle 3"]);
        assert_eq!(removals(&before, Hook::Output), [""; 0]);
        let mangle = iptables(
            "iptables-save",
            "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n",
        );
        let removal = "iptables -t mangle -D PREROUTING -m conntrack --ctstate INVALID -j DROP";
        assert_eq!(removals(&mangle, Hook::Prerouting), [removal]);
    }

    #[test]
    fn rules_are_found_behind_jumps() {
        let nft =
            nft("table ip t { # handle 1\n\tchain sort { # handle 2\n\t\tct state invalid drop # handle 7\n\t}\n\
                       \tchain out { # handle 3\n\t\ttype filter hook output priority filter; policy accept;\n\
                       \t\toifname \"eth0\" jump sort # handle 8\n\t}\n}\n");
        assert_eq!(removals(&nft, Hook::Output), ["nft delete rule ip t sort handle 7"]);
        // The rule that sends INVALID packets to their end is the one to take out, not the end of others as well.
        let iptables = iptables(
            "iptables-legacy-save",
            "*filter\n:OUTPUT ACCEPT [0:0]\n:END - [0:0]\n-A OUTPUT -m state --state INVALID -j END\n\
             -A END -j LOG\n-A END -j DROP\n",
        );
        let removal = "iptables-legacy -t filter -D OUTPUT -m state --state INVALID -j END";
        assert_eq!(removals(&iptables, Hook::Output), [removal]);
    }

    #[test]
    fn rules_elsewhere_are_no_matter() {
        let nft = nft("table inet filter { # handle 1\n\tchain input { # handle 2\n\
                       \t\ttype filter hook input priority filter; policy drop;\n\t\tct state invalid drop # handle 3\n\t}\n\
                       \tchain pre { # handle 4\n\t\ttype filter hook prerouting priority filter; policy drop;\n\
                       \t\tct state established accept # handle 5\n\t\ttcp dport 25 drop # handle 6\n\t}\n}\n\
                       table bridge b { # handle 1\n\tchain pre { # handle 1\n\t\ttype filter hook prerouting priority 0;\n\
                       \t\tct state invalid drop # handle 3\n\t}\n}\n");
        let elsewhere = iptables(
            "iptables-save",
            "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n\
             -A INPUT -m conntrack --ctstate INVALID -j DROP\n-A FORWARD -j DOCKER\n-A DOCKER -j DROP\n\
             *raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP\n",
        );
        for (chains, hook) in [&nft, &elsewhere].into_iter().flat_map(|c| [(c, Hook::Prerouting), (c, Hook::Output)]) {
            assert_eq!(removals(chains, hook), [""; 0]);
        }
    }
}
