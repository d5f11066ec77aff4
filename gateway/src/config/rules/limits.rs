//! Rules about limits.

use super::{Field, Problem};
use crate::model::Limits;

/// The limits that admit nothing.
pub fn check(limits: &Limits, problems: &mut Vec<Problem>) {
    let rules = [
        ("connections", limits.connections),
        ("connections_per_source", limits.connections_per_source),
        ("new_per_second", limits.new_per_second),
        ("new_per_second_per_source", limits.new_per_second_per_source),
    ];
    for (name, _) in rules.into_iter().filter(|(_, limit)| *limit == Some(0)) {
        let message = format!("limits.{name} is 0, which admits nothing");
        problems.push(Problem::new(Field::Limit(name), message, "use at least 1, or leave it out for no limit"));
    }
}
