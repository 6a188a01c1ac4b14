//! A curve for each server: how long its answers took, from the middle one to the slowest in a thousand.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::short;
use crate::stats::Median;

/// Told apart by colour-blind eyes too.
pub(super) const COLOURS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x80, 0x80, 0x80),
    RGBColor(0x20, 0x20, 0x20),
];

const SIZE: (u32, u32) = (860, 340);
const LEGEND: u32 = 240;
/// Names of servers, and how far below each other.
const LINE: i32 = 20;

/// One server's curve: the percentiles of `draw`, where known.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<Option<Median>>,
}

/// An SVG element; microseconds, on a scale where each step is ten times the one before.
pub(super) fn draw(curves: &[Curve<'_>], percentiles: &[&str]) -> io::Result<String> {
    let all = || curves.iter().flat_map(|c| c.points.iter().flatten());
    let most = all().map(|p| p.high.max(p.value)).fold(1e-3, f64::max);
    let least = all().map(|p| p.low.min(p.value)).fold(most, f64::min);
    // Whole decades, so that every label stands at one.
    let (first, last) = (least.max(1e-3).log10().floor(), most.log10().ceil());
    let (from, to) = (10_f64.powf(first), 10_f64.powf(last.max(first + 1.0)));
    let rows = LINE as u32 * curves.len() as u32 + 20;
    let mut text = String::new();
    {
        let size = (SIZE.0, SIZE.1.max(rows));
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let (left, right) = root.split_horizontally(SIZE.0 - LEGEND);
        let end = percentiles.len() as f64 - 0.5;
        let mut chart = drawing(
            ChartBuilder::on(&left)
                .margin(10)
                .set_label_area_size(LabelAreaPosition::Left, 64)
                .set_label_area_size(LabelAreaPosition::Bottom, 30)
                .build_cartesian_2d(-0.5..end, (from..to).log_scale()),
        )?;
        drawing(
            chart
                .configure_mesh()
                .disable_x_mesh()
                .x_labels(0)
                .y_labels((last - first).max(1.0) as usize + 1)
                .light_line_style(RGBColor(0xf0, 0xf0, 0xf0))
                .bold_line_style(RGBColor(0xdd, 0xdd, 0xdd))
                .label_style(("sans-serif", 12))
                .y_desc("us")
                .axis_desc_style(("sans-serif", 13))
                .y_label_formatter(&|us| short(*us))
                .draw(),
        )?;
        let font = TextStyle::from(("sans-serif", 13).into_font());
        let under = font.pos(Pos::new(HPos::Center, VPos::Top));
        for (n, percentile) in percentiles.iter().enumerate() {
            let (x, y) = chart.backend_coord(&(n as f64, from));
            drawing(left.draw_text(percentile, &under, (x, y + 8)))?;
        }
        for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
            let points = curve.points.iter().enumerate();
            let points: Vec<(f64, Median)> = points
                .filter_map(|(n, point)| Some((n as f64, (*point)?)))
                .collect();
            let line: Vec<(f64, f64)> = points.iter().map(|(x, p)| (*x, p.value)).collect();
            let dots: Vec<_> = line
                .iter()
                .map(|at| Circle::new(*at, 3, colour.filled()))
                .collect();
            let line = PathElement::new(line, colour.stroke_width(2));
            drawing(chart.draw_series(std::iter::once(line)))?;
            drawing(chart.draw_series(dots))?;
            let spreads = points.iter().filter(|(_, p)| p.low > 0.0 && p.low < p.high);
            let spreads = spreads.map(|(x, p)| {
                PathElement::new([(*x, p.low), (*x, p.high)], colour.stroke_width(1))
            });
            drawing(chart.draw_series(spreads))?;
        }
        legend(&right, curves, &font)?;
        drawing(root.present())?;
    }
    Ok(text)
}

fn legend(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    curves: &[Curve<'_>],
    font: &TextStyle<'_>,
) -> io::Result<()> {
    let beside = font.pos(Pos::new(HPos::Left, VPos::Center));
    for (n, (curve, colour)) in curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let y = 20 + n as i32 * LINE;
        let line = PathElement::new([(4, y), (24, y)], colour.stroke_width(3));
        drawing(area.draw(&line))?;
        drawing(area.draw_text(curve.name, &beside, (32, y)))?;
    }
    Ok(())
}

/// What drawing into a text can fail at is said like everything else that fails.
pub(super) fn drawing<T, E: std::error::Error + Send + Sync>(
    result: Result<T, DrawingAreaErrorKind<E>>,
) -> io::Result<T> {
    result.map_err(|e| io::Error::other(format!("drawing: {e}")))
}
