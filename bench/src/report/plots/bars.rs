//! Figures without an axis: a bar to the median for each subject, with a line over the spread.

use std::{error::Error, path::Path};

use plotters::prelude::*;

use super::{FONT, WIDTH, colour, label};
use crate::report::group::Group;

const ROW: u32 = 44;

pub fn draw(group: &Group, path: &Path) -> Result<(), Box<dyn Error>> {
    let rows = group.figures.len();
    let height = 110 + ROW * u32::try_from(rows)?;
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let largest = group.figures.iter().map(|figure| figure.max()).fold(0.0, f64::max);
    let limit = if largest > 0.0 { largest * 1.05 } else { 1.0 };
    let mut chart = ChartBuilder::on(&area)
        .caption(group.title(), (FONT, 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(180)
        .build_cartesian_2d(0.0..limit, (0..rows - 1).into_segmented())?;
    let subject = |place: &SegmentValue<usize>| match place {
        // The first subject stands at the top.
        SegmentValue::CenterOf(row) if *row < rows => group.figures[rows - 1 - row].subject.clone(),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&label)
        .y_labels(rows)
        .y_label_formatter(&subject)
        .label_style((FONT, 13))
        .draw()?;
    for (index, figure) in group.figures.iter().enumerate() {
        let row = rows - 1 - index;
        let mut bar = Rectangle::new(
            [(0.0, SegmentValue::Exact(row)), (figure.median(), SegmentValue::Exact(row + 1))],
            colour(index).mix(0.7).filled(),
        );
        bar.set_margin(6, 6, 0, 0);
        chart.draw_series([bar])?;
        let spread = [(figure.min(), SegmentValue::CenterOf(row)), (figure.max(), SegmentValue::CenterOf(row))];
        chart.draw_series([PathElement::new(spread.to_vec(), BLACK.stroke_width(2))])?;
    }
    area.present()?;
    Ok(())
}
