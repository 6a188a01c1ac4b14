//! Bars that lie, one for each server, of one or two parts; a line across their end is the spread.

use std::io;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::curves::{COLOURS, drawing};
use crate::report::short;
use crate::stats::Median;

/// Pixels: the width of everything, the place for names, the height of a bar with its gap, and that of axis and legend.
const WIDTH: u32 = 860;
const NAMES: u32 = 210;
const EACH: u32 = 34;
const AXIS: u32 = 44;
const LEGEND: i32 = 22;
/// Of the height of a row.
const THICK: f64 = 0.62;

/// One server's bar.
pub(super) struct Bar<'a> {
    pub(super) name: &'a str,
    /// From the left.
    pub(super) parts: Vec<f64>,
    /// Of all parts together.
    pub(super) total: Median,
}

/// An SVG element; `parts` says what the parts of every bar are.
pub(super) fn draw(bars: &[Bar<'_>], parts: &[&str], unit: &str) -> io::Result<String> {
    let rows = bars.len() as u32;
    let size = (WIDTH, rows * EACH + AXIS + LEGEND as u32);
    let longest = bars.iter().map(|bar| bar.total.high.max(bar.total.value));
    // Room for the figure behind the longest bar.
    let end = longest.fold(0.0, f64::max).max(1e-9) * 1.18;
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let mut chart = drawing(
            ChartBuilder::on(&root)
                .margin_top(LEGEND)
                .margin_right(12)
                .set_label_area_size(LabelAreaPosition::Left, NAMES)
                .set_label_area_size(LabelAreaPosition::Bottom, AXIS)
                .build_cartesian_2d(0.0..end, 0.0..f64::from(rows)),
        )?;
        drawing(
            chart
                .configure_mesh()
                .disable_y_mesh()
                .disable_y_axis()
                .light_line_style(TRANSPARENT)
                .bold_line_style(RGBColor(0xdd, 0xdd, 0xdd))
                .x_labels(8)
                .x_label_formatter(&|x| short(*x))
                .label_style(("sans-serif", 12))
                .x_desc(unit)
                .axis_desc_style(("sans-serif", 13))
                .draw(),
        )?;
        let style = |at: HPos| {
            let font = TextStyle::from(("sans-serif", 13).into_font());
            font.pos(Pos::new(at, VPos::Center))
        };
        for (n, bar) in bars.iter().enumerate() {
            // The first on top.
            let middle = f64::from(rows) - n as f64 - 0.5;
            let (low, high) = (middle - THICK / 2.0, middle + THICK / 2.0);
            let mut from = 0.0;
            for (part, colour) in bar.parts.iter().zip(COLOURS) {
                let corners = [(from, low), (from + part, high)];
                drawing(
                    chart.draw_series(std::iter::once(Rectangle::new(corners, colour.filled()))),
                )?;
                from += part;
            }
            let Median { value, low, high } = bar.total;
            if low < high {
                let cap = THICK / 5.0;
                let lines = [
                    [(low, middle), (high, middle)],
                    [(low, middle - cap), (low, middle + cap)],
                    [(high, middle - cap), (high, middle + cap)],
                ];
                let lines = lines.map(|line| PathElement::new(line, BLACK.stroke_width(2)));
                drawing(chart.draw_series(lines))?;
            }
            let (_, y) = chart.backend_coord(&(0.0, middle));
            let name = (NAMES as i32 - 8, y);
            drawing(root.draw_text(bar.name, &style(HPos::Right), name))?;
            let (x, _) = chart.backend_coord(&(value.max(high), middle));
            let figure = short(value);
            drawing(root.draw_text(&figure, &style(HPos::Left), (x + 7, y)))?;
        }
        let mut x = NAMES as i32;
        for (part, colour) in parts.iter().zip(COLOURS) {
            let square = Rectangle::new([(x, 4), (x + 12, 16)], colour.filled());
            drawing(root.draw(&square))?;
            drawing(root.draw_text(part, &style(HPos::Left), (x + 18, 10)))?;
            x += 40 + 8 * part.len() as i32;
        }
        drawing(root.present())?;
    }
    Ok(text)
}
