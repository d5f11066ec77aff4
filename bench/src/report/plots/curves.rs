//! Figures along an axis: a line through each subject's medians, with bars over the spreads.

use std::{error::Error, ops::Range, path::Path};

use plotters::{
    coord::ranged1d::{AsRangedCoord, ValueFormatter},
    prelude::*,
};

use super::{FONT, WIDTH, colour, label};
use crate::{figure::Figure, report::group::Group};

const HEIGHT: u32 = 460;
/// An axis that spans more than this factor is logarithmic.
const WIDE: f64 = 20.0;

pub fn draw(group: &Group, path: &Path) -> Result<(), Box<dyn Error>> {
    let places: Vec<f64> = group.figures.iter().filter_map(|figure| place(figure)).collect();
    let (first, last) = (places.iter().copied().fold(f64::INFINITY, f64::min), places.into_iter().fold(0.0, f64::max));
    if first > 0.0 && last / first > WIDE {
        draw_over(group, path, (first..last).log_scale(), [first, last])
    } else {
        draw_over(group, path, first..last.max(first + 1.0), [first, last])
    }
}

/// `ends` are those of the axis: what has no place on it is the same from one to the other.
fn draw_over<X>(group: &Group, path: &Path, x: X, ends: [f64; 2]) -> Result<(), Box<dyn Error>>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let area = SVGBackend::new(path, (WIDTH, HEIGHT)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(group.title(), (FONT, 18))
        .margin(10)
        .margin_right(40)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(x, heights(group))?;
    chart
        .configure_mesh()
        .x_desc(group.axis.unwrap_or_default())
        .y_desc(group.unit)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .label_style((FONT, 13))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (index, subject) in group.subjects().into_iter().enumerate() {
        let colour = colour(index);
        let figures = || group.figures.iter().filter(|figure| figure.subject == subject);
        let points = figures().flat_map(|figure| match place(figure) {
            Some(place) => vec![(place, figure.median())],
            None => ends.map(|end| (end, figure.median())).to_vec(),
        });
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
            .label(subject)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(figures().filter_map(|figure| {
            let (place, median) = (place(figure)?, figure.median());
            Some(ErrorBar::new_vertical(place, figure.min(), median, figure.max(), colour.filled(), 6))
        }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 13))
        .draw()?;
    area.present()?;
    Ok(())
}

fn heights(group: &Group) -> Range<f64> {
    let largest = group.figures.iter().map(|figure| figure.max()).fold(0.0, f64::max);
    0.0..if largest > 0.0 { largest * 1.1 } else { 1.0 }
}

fn place(figure: &Figure) -> Option<f64> {
    figure.at.as_ref().map(|point| point.value as f64)
}
