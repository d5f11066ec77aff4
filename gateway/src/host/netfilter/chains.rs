//! Chains of rules, and which of them an INVALID packet can come to.

use std::collections::{BTreeMap, BTreeSet};

use super::{Hook, Rule};

/// The chains of one listing, by their tables and names.
#[derive(Debug, Default)]
pub struct Chains(BTreeMap<ChainName, Chain>);

/// Chains of different tables can have the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainName {
    pub table: String,
    pub name: String,
}

#[derive(Debug, Default)]
pub struct Chain {
    /// Of a base chain.
    pub hook: Option<Hook>,
    pub rules: Vec<Line>,
}

/// One rule of a listing.
#[derive(Debug)]
pub struct Line {
    pub text: String,
    pub removal: String,
    /// It is about INVALID packets alone.
    pub invalid: bool,
    /// It has no conditions.
    pub always: bool,
    pub then: Then,
}

/// What a rule does, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    Drop,
    Jump(String),
    Other,
}

impl Chains {
    pub fn chain(&mut self, name: ChainName) -> &mut Chain {
        self.0.entry(name).or_default()
    }

    /// The rules that drop INVALID packets of a hook: those that say so, and those that such a rule leads to.
    pub fn dropping_invalid(&self, hook: Hook) -> Vec<Rule> {
        let mut found = Vec::new();
        for name in self.0.iter().filter(|(_, chain)| chain.hook == Some(hook)).map(|(name, _)| name) {
            self.follow(name, None, &mut BTreeSet::new(), &mut |line| {
                found.push(Rule { hook, text: line.text.clone(), removal: line.removal.clone() });
            });
        }
        found
    }

    /// `cause` is the rule by which only INVALID packets have come here.
    fn follow<'a>(
        &'a self,
        name: &ChainName,
        cause: Option<&'a Line>,
        seen: &mut BTreeSet<(ChainName, bool)>,
        report: &mut impl FnMut(&'a Line),
    ) {
        if !seen.insert((name.clone(), cause.is_some())) {
            return;
        }
        for line in self.0.get(name).into_iter().flat_map(|chain| &chain.rules) {
            match &line.then {
                Then::Drop if line.invalid => report(line),
                Then::Drop if line.always => cause.into_iter().for_each(&mut *report),
                Then::Jump(target) => {
                    let target = ChainName { table: name.table.clone(), name: target.clone() };
                    let cause = if line.invalid { Some(line) } else { cause };
                    self.follow(&target, cause, seen, report);
                }
                Then::Drop | Then::Other => {}
            }
        }
    }
}
