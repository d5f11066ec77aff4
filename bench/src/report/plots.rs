//! The figures as SVG files: curves for what has an axis, bars for the rest.

mod bars;
mod curves;

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::style::RGBColor;

use super::group::{Group, groups};
use crate::{figure::Findings, number};

/// A file that was drawn.
pub struct Plot {
    /// Of the group that it shows.
    pub title: String,
    /// Name within the report's folder.
    pub file: String,
}

/// Colours that differ for most kinds of eyes (Okabe and Ito's).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];
const FONT: &str = "sans-serif";
const WIDTH: u32 = 800;

/// Draws every group into `folder`.
pub fn draw(findings: &Findings, folder: &Path) -> Result<Vec<Plot>> {
    groups(findings).iter().map(|group| draw_group(group, folder)).collect()
}

fn draw_group(group: &Group, folder: &Path) -> Result<Plot> {
    let title = group.title();
    let file = format!("{}.svg", file_name(&title));
    let path = folder.join(&file);
    let drawn = if group.axis.is_some() { curves::draw(group, &path) } else { bars::draw(group, &path) };
    drawn.map_err(|error| anyhow!("draw {}: {error}", path.display()))?;
    Ok(Plot { title, file })
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// A number beside an axis.
fn label(value: &f64) -> String {
    if value.fract() == 0.0 && *value >= 0.0 { number::count(*value as u64) } else { number::quantity(*value) }
}

fn file_name(title: &str) -> String {
    let words = title.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_plain_names() {
        assert_eq!(file_name("new flow, 10,000 × 100 (ns/packet)"), "new-flow-10-000-100-ns-packet");
    }
}
