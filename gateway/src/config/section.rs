//! One table of the file, read key by key.
//!
//! Every key that is asked for becomes a known key; [`Section::finish`] refuses the others. A value of the wrong
//! form is reported where it stands and reads as absent, so that one run finds every fault of a table.

use std::{
    collections::HashSet,
    ops::{Range, RangeInclusive},
};

use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    finding::{Fault, Report, fault},
    suggestion::did_you_mean,
    value::{self, FromText},
};

pub(super) struct Section<'r, 'i> {
    report: &'r Report<'r>,
    /// What precedes a message about this table, e.g. `[snat] `.
    prefix: String,
    place: Range<usize>,
    table: DeTable<'i>,
    known: Vec<&'static str>,
    /// Keys that were asked for and are in the file.
    present: HashSet<&'static str>,
}

impl<'r, 'i> Section<'r, 'i> {
    pub fn new(report: &'r Report<'r>, prefix: impl Into<String>, table: Spanned<DeTable<'i>>) -> Self {
        let place = table.span();
        Self {
            report,
            prefix: prefix.into(),
            place,
            table: table.into_inner(),
            known: Vec::new(),
            present: HashSet::new(),
        }
    }

    /// Whether a key is in the file, be its value right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.present.contains(key)
    }

    /// Where the table begins.
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn set_prefix(&mut self, prefix: String) {
        self.prefix = prefix;
    }

    /// Reports a fault of this table at a place in it.
    pub fn error(&self, at: &Range<usize>, Fault { message, remedy }: Fault) {
        self.report.error(at, fault(format!("{}{message}", self.prefix), remedy));
    }

    pub fn warn(&self, at: &Range<usize>, Fault { message, remedy }: Fault) {
        self.report.warn(at, fault(format!("{}{message}", self.prefix), remedy));
    }

    /// A string that stands for a `T`.
    pub fn text<T: FromText>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        let value = self.take(key)?;
        self.read(key, value, value::text)
    }

    /// A string or an array of strings.
    pub fn texts<T: FromText>(&mut self, key: &'static str) -> Vec<Spanned<T>> {
        let items = match self.take(key) {
            None => Vec::new(),
            Some(value) => match value.get_ref() {
                DeValue::Array(items) => items.iter().cloned().collect(),
                _ => vec![value],
            },
        };
        items.into_iter().filter_map(|item| self.read(key, item, value::text)).collect()
    }

    /// A whole number within bounds.
    pub fn number(&mut self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<Spanned<u64>> {
        let value = self.take(key)?;
        self.read(key, value, |value| value::number(value, &bounds))
    }

    /// A whole number from 1 to `most`.
    pub fn count(&mut self, key: &'static str, most: u32) -> Option<Spanned<u32>> {
        let number = self.number(key, 1..=u64::from(most))?;
        let count = u32::try_from(*number.get_ref()).ok()?;
        Some(Spanned::new(number.span(), count))
    }

    /// A string that names one of an enum's variants.
    pub fn choice<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        let value = self.take(key)?;
        self.read(key, value, value::choice)
    }

    /// A table below this one, written `[path]`.
    pub fn section(&mut self, key: &'static str, path: &str, prefix: String) -> Option<Section<'r, 'i>> {
        let value = self.take(key)?;
        let place = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(Section::new(self.report, prefix, Spanned::new(place, table))),
            other => {
                let remedy = format!("write it as one table [{path}]");
                self.error(&place, fault(format!("{key}: expected a table, found {}", value::shown(&other)), remedy));
                None
            }
        }
    }

    /// The tables of an array below this one, written `[[path]]`; `prefix` is given their numbers, from 1.
    pub fn sections(
        &mut self,
        key: &'static str,
        path: &str,
        prefix: impl Fn(usize) -> String,
    ) -> Vec<Section<'r, 'i>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let place = value.span();
        let remedy = format!("write each as [[{path}]], with double brackets");
        let DeValue::Array(items) = value.into_inner() else {
            self.error(&place, fault(format!("{key}: expected an array of tables"), remedy));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let place = item.span();
            match item.into_inner() {
                DeValue::Table(table) => {
                    sections.push(Section::new(self.report, prefix(index + 1), Spanned::new(place, table)));
                }
                other => {
                    let message = format!("{key}: expected a table, found {}", value::shown(&other));
                    self.error(&place, fault(message, remedy.clone()));
                }
            }
        }
        sections
    }

    /// Refuses a key that belongs elsewhere.
    pub fn misplaced(&mut self, key: &'static str, remedy: &str) {
        if let Some((name, _)) = self.table.remove_entry(key) {
            self.error(&name.span(), fault(format!("{key} does not belong here"), remedy));
        }
    }

    /// Reports that a key is missing.
    pub fn missing(&self, key: &str, remedy: &str) {
        self.error(&self.place, fault(format!("{key} is missing"), remedy));
    }

    /// Refuses the keys that were not asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            let message = format!("unknown key `{}`", key.get_ref());
            let remedy = did_you_mean(key.get_ref(), &self.known, format!("use one of {}", self.known.join(", ")));
            self.error(&key.span(), fault(message, remedy));
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'i>>> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        self.present.insert(key);
        Some(value)
    }

    fn read<T>(
        &self,
        key: &str,
        value: Spanned<DeValue<'i>>,
        read: impl FnOnce(&DeValue<'i>) -> Result<T, Fault>,
    ) -> Option<Spanned<T>> {
        match read(value.get_ref()) {
            Ok(read) => Some(Spanned::new(value.span(), read)),
            Err(Fault { message, remedy }) => {
                self.error(&value.span(), fault(format!("{key}: {message}"), remedy));
                None
            }
        }
    }
}
