//! Line charts as SVG or as pixels.

use image::RgbImage;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::error::{Error, Result};
use crate::figures::code_map::white;
use crate::figures::log_axis::LogAxis;
use crate::figures::raster::Raster;

/// Sides of a chart and of its legend, in pixels.
const WIDTH: u32 = 960;
const HEIGHT: u32 = 420;
const LEGEND_WIDTH: u32 = 260;

/// Values beyond this are left out, and on a logarithmic axis those below its inverse: nothing else could be seen.
const LARGEST: f64 = 1e30;

/// Okabe and Ito's colors, which people of any color vision can tell apart; lines beyond them are dashed.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(60, 60, 60),
];

/// A chart with an axis of its own.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Stands above it.
    pub title: String,
    /// What runs to the right.
    pub x: String,
    /// What runs upwards.
    pub y: String,
    /// Whether the upward axis is logarithmic; values that are not above 0 are then left out.
    pub logarithmic: bool,
    /// The lines.
    pub curves: Vec<Curve>,
}

/// A line.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// Its name in the legend.
    pub label: String,
    /// Its points, from left to right.
    pub points: Vec<CurvePoint>,
}

/// A point of a line, and the band around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// To the right.
    pub x: f64,
    /// Where the line runs.
    pub mean: f64,
    /// The band's lower end.
    pub low: f64,
    /// The band's upper end.
    pub high: f64,
}

impl CurvePoint {
    /// A point without a band.
    pub fn single(x: f64, y: f64) -> Self {
        Self { x, mean: y, low: y, high: y }
    }

    fn is_drawable(&self, logarithmic: bool) -> bool {
        let values = [self.x, self.mean, self.low, self.high];
        let within = |value: &f64| value.abs() <= LARGEST;
        values.iter().all(within) && (!logarithmic || self.low >= 1.0 / LARGEST)
    }
}

/// Draws charts below each other, as SVG.
///
/// # Errors
/// There is no chart, or one cannot be drawn.
pub fn chart_svg(charts: &[Chart]) -> Result<String> {
    let size = size_of(charts)?;
    let mut svg = String::new();
    draw_all(charts, SVGBackend::with_string(&mut svg, size))?;
    Ok(svg)
}

/// Draws charts below each other, as a picture.
///
/// # Errors
/// There is no chart, or one cannot be drawn.
pub fn chart_picture(charts: &[Chart]) -> Result<RgbImage> {
    let mut picture = white(size_of(charts)?)?;
    draw_all(charts, Raster(&mut picture))?;
    Ok(picture)
}

fn size_of(charts: &[Chart]) -> Result<(u32, u32)> {
    if charts.is_empty() {
        return Err(Error::Invalid("there is no curve to draw".into()));
    }
    Ok((WIDTH, HEIGHT.saturating_mul(charts.len() as u32)))
}

fn draw_all<D: DrawingBackend>(charts: &[Chart], backend: D) -> Result<()> {
    let root = backend.into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    for (chart, area) in charts.iter().zip(root.split_evenly((charts.len(), 1))) {
        draw(chart, &area)?;
    }
    root.present().map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("cannot draw the curves: {error}"))
}

type Area<D> = DrawingArea<D, Shift>;

fn draw<D: DrawingBackend>(chart: &Chart, area: &Area<D>) -> Result<()> {
    let (plot, legend) = area.split_horizontally(WIDTH - LEGEND_WIDTH);
    let drawable = |point: &CurvePoint| point.is_drawable(chart.logarithmic);
    let points = || chart.curves.iter().flat_map(|curve| &curve.points).copied().filter(drawable);
    let span = |low: fn(&CurvePoint) -> f64, high: fn(&CurvePoint) -> f64| {
        let low = points().map(|point| low(&point)).fold(f64::INFINITY, f64::min);
        let high = points().map(|point| high(&point)).fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    };
    let (mut left, mut right) = span(|point| point.x, |point| point.x);
    let (mut low, mut high) = span(|point| point.low, |point| point.high);
    if points().next().is_none() {
        (left, right, low, high) = (0.0, 1.0, if chart.logarithmic { 0.1 } else { 0.0 }, 1.0);
    }
    if left == right {
        right = left + left.abs().max(1.0);
    }
    if chart.logarithmic {
        (low, high) = (low / 1.05, high * 1.05);
        lines(chart, &plot, left..right, LogAxis::new(low, high))?;
    } else {
        // A line that is level has room around it too.
        let flat = high - low <= 1e-6 * high.abs().max(low.abs());
        let room = if flat { (0.5 * high.abs()).max(1e-3) } else { 0.04 * (high - low) };
        let floor = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
        lines(chart, &plot, left..right, floor..high + room)?;
    }
    labels(chart, &legend)
}

/// Axes, bands and lines.
fn lines<D, Y>(chart: &Chart, area: &Area<D>, x: std::ops::Range<f64>, y: Y) -> Result<()>
where
    D: DrawingBackend,
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut context = ChartBuilder::on(area)
        .margin(12)
        .caption(&chart.title, ("sans-serif", 18))
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(x, y)
        .map_err(failed)?;
    context
        .configure_mesh()
        .x_desc(&chart.x)
        .y_desc(&chart.y)
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_label_formatter(&|value: &f64| number(*value))
        .y_label_formatter(&|value: &f64| number(*value))
        .draw()
        .map_err(failed)?;
    for (number, curve) in chart.curves.iter().enumerate() {
        let points: Vec<&CurvePoint> =
            curve.points.iter().filter(|point| point.is_drawable(chart.logarithmic)).collect();
        if points.iter().any(|point| point.low < point.high) {
            let upper = points.iter().map(|point| (point.x, point.high));
            let lower = points.iter().rev().map(|point| (point.x, point.low));
            let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
            context.draw_series([Polygon::new(outline, color(number).mix(0.15))]).map_err(failed)?;
        }
        let line = points.iter().map(|point| (point.x, point.mean));
        let style = color(number).stroke_width(2);
        if is_dashed(number) {
            context.draw_series(DashedLineSeries::new(line, 6, 4, style)).map_err(failed)?;
        } else {
            context.draw_series(LineSeries::new(line, style)).map_err(failed)?;
        }
    }
    Ok(())
}

/// The legend, to the right of the plot.
fn labels<D: DrawingBackend>(chart: &Chart, area: &Area<D>) -> Result<()> {
    const LINE_HEIGHT: i32 = 20;
    const LONGEST_LABEL: usize = 36;
    for (number, curve) in chart.curves.iter().enumerate() {
        let y = 50 + LINE_HEIGHT * number as i32;
        let style = color(number).stroke_width(2);
        let dashes: &[(i32, i32)] = if is_dashed(number) { &[(4, 12), (18, 26)] } else { &[(4, 26)] };
        for &(from, to) in dashes {
            area.draw(&PathElement::new(vec![(from, y), (to, y)], style)).map_err(failed)?;
        }
        let label: String = curve.label.chars().take(LONGEST_LABEL).collect();
        area.draw(&Text::new(label, (34, y - 7), ("sans-serif", 14))).map_err(failed)?;
    }
    Ok(())
}

fn color(number: usize) -> RGBColor {
    COLORS[number % COLORS.len()]
}

fn is_dashed(number: usize) -> bool {
    number / COLORS.len() % 2 == 1
}

/// A number at an axis, without digits that say nothing.
fn number(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e6).contains(&value.abs()) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(logarithmic: bool, values: &[f64]) -> Chart {
        let points = values.iter().enumerate().map(|(x, &y)| CurvePoint::single(x as f64, y)).collect();
        let curves = vec![Curve { label: "a < b & c".into(), points }];
        Chart { title: "Title".into(), x: "steps".into(), y: "loss".into(), logarithmic, curves }
    }

    #[test]
    fn text_is_kept_from_being_markup() {
        let svg = chart_svg(&[chart(true, &[1.0, 0.5]), chart(false, &[1.0])]).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("960") && svg.contains("840"), "{svg}");
        assert!(svg.contains("a &lt; b &amp; c"), "{svg}");
    }

    #[test]
    fn pixels_show_the_line_its_axes_and_its_name() {
        let picture = chart_picture(&[chart(false, &[1.0, 0.5, 2.0])]).unwrap();
        let close = |pixel: &image::Rgb<u8>, color: [u8; 3]| pixel.0.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 9);
        let count = |color: [u8; 3]| picture.pixels().filter(|pixel| close(pixel, color)).count();
        // A line of two pixels across the plot and in the legend; black axes and letters.
        assert!(count([0, 114, 178]) > 600, "{}", count([0, 114, 178]));
        assert!(count([0; 3]) > 600, "{}", count([0; 3]));
        let dark = |pixel: &image::Rgb<u8>| pixel.0.iter().all(|&value| value < 128);
        let legend = picture.enumerate_pixels().filter(|(x, _, pixel)| *x > WIDTH - LEGEND_WIDTH + 34 && dark(pixel));
        assert!(legend.count() > 20);
    }

    #[test]
    fn strange_values_are_left_out() {
        for values in [
            &[][..],
            &[0.0],
            &[f64::NAN, 1.0],
            &[f64::INFINITY],
            &[-1.0, 0.0],
            &[3.0; 3],
            &[1e-300, 1e300],
            &[-1e30, 1e30],
        ] {
            for logarithmic in [false, true] {
                let svg = chart_svg(&[chart(logarithmic, values)]).unwrap();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}");
                assert_eq!(chart_picture(&[chart(logarithmic, values)]).unwrap().dimensions(), (WIDTH, HEIGHT));
            }
        }
        assert!(chart_svg(&[]).is_err());
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.05, 100.0, 30_000.0, 2e-5, 3e7].map(number);
        assert_eq!(texts, ["0", "0.05", "100", "30000", "2e-5", "3e7"]);
    }
}
