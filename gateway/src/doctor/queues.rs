//! Queues of a network card against processors.

use std::thread;

use super::{Check, Finding, interfaces::Subject};
use crate::host::device::{Count, Queues};

const QUEUES: Check = Check {
    name: "queues",
    why: "each receive queue is served by one processor, and redirected frames of processors that share a transmit queue \
          wait for each other",
};

/// None where the device has no queues to speak of.
pub(super) fn finding(subject: &Subject<'_>) -> Option<Finding> {
    let queues = subject.device.queues.filter(|_| subject.wants_xdp())?;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    Some(judge(&subject.interface.name, queues, u32::try_from(processors).unwrap_or(u32::MAX)))
}

fn judge(name: &str, queues: Queues, processors: u32) -> Finding {
    let Queues { receive, transmit, combined } = queues;
    let sum = |a: Count, b: Count| a.now + b.now;
    let now = (sum(receive, combined), sum(transmit, combined));
    let detail = format!("{} to receive, {} to transmit, for {processors} processors", now.0, now.1);
    let more = [("combined", combined), ("rx", receive), ("tx", transmit)].into_iter().filter_map(|(word, count)| {
        let wanted = processors.min(count.most);
        // A card with combined queues has others for special ends.
        let of_use = word == "combined" || combined.most == 0;
        (of_use && wanted > count.now).then(|| format!(" {word} {wanted}"))
    });
    let more: String = more.collect();
    if now.0.min(now.1) >= processors || more.is_empty() {
        return QUEUES.ok(if more.is_empty() && now.0.min(now.1) < processors {
            format!("{detail}: all that it has")
        } else {
            detail
        });
    }
    QUEUES.warning(detail, format!("ethtool -L {name}{more}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    fn fix(receive: (u32, u32), transmit: (u32, u32), combined: (u32, u32)) -> Option<String> {
        let count = |(now, most)| Count { now, most };
        let queues = Queues { receive: count(receive), transmit: count(transmit), combined: count(combined) };
        let finding = judge("eth0", queues, 4);
        assert_eq!(finding.result == Outcome::Ok, finding.fix.is_none());
        finding.fix
    }

    #[test]
    fn more_queues_are_asked_for_where_the_card_has_them() {
        assert_eq!(fix((0, 0), (0, 0), (1, 8)).as_deref(), Some("ethtool -L eth0 combined 4"));
        assert_eq!(fix((0, 0), (0, 0), (1, 2)).as_deref(), Some("ethtool -L eth0 combined 2"));
        assert_eq!(fix((1, 2), (1, 8), (0, 0)).as_deref(), Some("ethtool -L eth0 rx 2 tx 4"));
        assert_eq!(fix((4, 4), (1, 4), (0, 0)).as_deref(), Some("ethtool -L eth0 tx 4"));
    }

    #[test]
    fn enough_queues_and_all_that_there_are_are_good() {
        assert_eq!(fix((0, 0), (0, 0), (4, 8)), None);
        assert_eq!(fix((0, 0), (0, 0), (1, 1)), None);
        assert_eq!(fix((0, 1), (0, 1), (4, 4)), None);
    }
}
