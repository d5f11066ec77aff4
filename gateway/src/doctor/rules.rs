//! The packet filter's rules that are in the gateway's way. Most never see its packets.

use super::{Check, Finding};
use crate::host::netfilter::{self, Hook, Rule};

const REPLIES: Check =
    Check { name: "packet filter", why: "it drops the replies of containers before the gateway sees them" };
const RESETS: Check = Check {
    name: "packet filter",
    why: "it drops the resets by which the gateway ends connections at a deadline, so silent ends learn of it late",
};

pub(super) async fn findings() -> Vec<Finding> {
    let rules = netfilter::rules_in_the_way().await;
    if rules.is_empty() {
        return vec![REPLIES.ok("no rule is in the way")];
    }
    let finding = |rule: Rule| {
        let check = match rule.hook {
            Hook::Prerouting => REPLIES,
            Hook::Output => RESETS,
        };
        check.warning(rule.text, rule.removal)
    };
    rules.into_iter().map(finding).collect()
}
