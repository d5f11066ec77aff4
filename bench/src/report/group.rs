//! Figures that stand in one table or plot: those of a case in one unit.

use crate::figure::{Figure, Findings};

/// The figures of a case, in one unit.
pub struct Group<'a> {
    pub case: &'a str,
    pub unit: &'a str,
    /// What varies, if the figures are curves.
    pub axis: Option<&'a str>,
    pub baseline: Option<&'a str>,
    /// Subjects in the order of their first figure, each one's places in rising order.
    pub figures: Vec<&'a Figure>,
}

/// All groups, in the order in which they were measured.
pub fn groups(findings: &Findings) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    for figure in &findings.figures {
        match groups.iter_mut().find(|group| group.case == figure.case && group.unit == figure.unit) {
            Some(group) => group.figures.push(figure),
            None => groups.push(Group {
                case: &figure.case,
                unit: &figure.unit,
                axis: None,
                baseline: findings.baselines.get(&figure.case).map(String::as_str),
                figures: vec![figure],
            }),
        }
    }
    for group in &mut groups {
        let subjects = group.subjects();
        let place = |figure: &Figure| subjects.iter().position(|subject| *subject == figure.subject);
        group.figures.sort_by_key(|figure| (place(figure), figure.at.as_ref().map(|point| point.value)));
        group.axis = group.figures.iter().find_map(|figure| figure.at.as_ref()).map(|point| point.axis.as_str());
    }
    groups
}

impl<'a> Group<'a> {
    /// Each subject once.
    pub fn subjects(&self) -> Vec<&'a str> {
        let mut subjects: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !subjects.contains(&figure.subject.as_str()) {
                subjects.push(&figure.subject);
            }
        }
        subjects
    }

    /// The case with its unit.
    pub fn title(&self) -> String {
        format!("{} ({})", self.case, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_stay_together_and_their_places_rise() {
        let mut findings = Findings::default();
        for (subject, at) in [("b", 10), ("a", 1), ("b", 1)] {
            findings.push(Figure::new("case", subject, "ns", vec![1.0]).at("flows", at));
        }
        findings.push(Figure::new("case", "a", "bytes", vec![1.0]));
        let groups = groups(&findings);
        let rows: Vec<_> =
            groups[0].figures.iter().map(|it| (it.subject.as_str(), it.at.clone().unwrap().value)).collect();
        assert_eq!(rows, [("b", 1), ("b", 10), ("a", 1)]);
        assert_eq!((groups.len(), groups[0].axis, groups[1].axis), (2, Some("flows"), None));
    }
}
