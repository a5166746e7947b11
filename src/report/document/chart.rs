//! Charts as coordinates: values in, points of a drawing of 640 by 260 out. The drawing itself is chart.svg.

use serde::Serialize;

/// Left, right, top and bottom of the plotting area.
const AREA: (f64, f64, f64, f64) = (56.0, 628.0, 14.0, 220.0);
/// The steps between two lines of the grid, in powers of ten.
const STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];
/// Lines of a grid, at most.
const LINES: f64 = 5.0;

/// A value of a series.
#[derive(Clone, Debug, Default)]
pub(super) struct Datum {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Ends of the interval of `y`.
    pub(super) ends: Option<(f64, f64)>,
    /// Text that a pointer brings up.
    pub(super) label: String,
    /// Text beside the point.
    pub(super) name: Option<String>,
}

/// Values that belong together.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) name: String,
    pub(super) values: Vec<Datum>,
    pub(super) line: bool,
    pub(super) dots: bool,
}

/// A chart, ready to be drawn.
#[derive(Debug, Serialize)]
pub(super) struct Chart {
    title: String,
    x_label: String,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    series: Vec<Series>,
}

#[derive(Debug, Serialize)]
struct Tick {
    at: f64,
    label: String,
}

#[derive(Debug, Serialize)]
struct Series {
    name: String,
    line: bool,
    points: Vec<Point>,
}

#[derive(Debug, Serialize)]
struct Point {
    x: f64,
    y: f64,
    low: Option<f64>,
    high: Option<f64>,
    dot: bool,
    label: String,
    name: Option<String>,
}

/// The values that an axis covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// Scores run from 0 to 1.
    pub(super) const UNIT: Range = Range { low: 0.0, high: 1.0 };

    /// Covers these values, from 0 when none is below it.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>) -> Range {
        let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        Range { low, high: if high > low { high } else { low + 1.0 } }
    }

    /// Returns where a value lies, 0 at the low end and 1 at the high end.
    fn share(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Returns round values within the range, at most [`LINES`] and one.
    fn ticks(self) -> Vec<f64> {
        let rough = (self.high - self.low) / LINES;
        let power = 10f64.powf(rough.log10().floor());
        let step = STEPS.iter().map(|step| step * power).find(|step| *step >= rough * 0.999).unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|n| n as f64 * step).take_while(|tick| *tick <= self.high + step * 1e-9).collect()
    }
}

impl Chart {
    /// Lays out series over two numeric axes.
    pub(super) fn new(title: &str, x_label: &str, (x, y): (Range, Range), data: &[Data]) -> Chart {
        let x_ticks = x.ticks().into_iter().map(|tick| Tick { at: across(x, tick), label: number(tick) }).collect();
        Chart { x_ticks, ..Chart::laid_out(title, x_label, (x, y), data) }
    }

    /// Lays out series over places that have names instead of numbers: 0, 1, 2 and so on.
    pub(super) fn over_names(title: &str, x_label: &str, names: &[String], y: Range, data: &[Data]) -> Chart {
        let x = Range { low: -0.5, high: names.len().max(1) as f64 - 0.5 };
        // More names than fit beside each other would cover each other.
        let every = names.len().div_ceil(8).max(1);
        let shown = names.iter().enumerate().rev().step_by(every);
        let x_ticks = shown.map(|(at, name)| Tick { at: across(x, at as f64), label: name.clone() }).collect();
        Chart { x_ticks, ..Chart::laid_out(title, x_label, (x, y), data) }
    }

    fn laid_out(title: &str, x_label: &str, (x, y): (Range, Range), data: &[Data]) -> Chart {
        let point = |datum: &Datum, dot: bool| Point {
            x: across(x, datum.x),
            y: down(y, datum.y),
            low: datum.ends.map(|(low, _)| down(y, low)),
            high: datum.ends.map(|(_, high)| down(y, high)),
            dot,
            label: datum.label.clone(),
            name: datum.name.clone(),
        };
        let series = data.iter().map(|one| Series {
            name: one.name.clone(),
            line: one.line && one.values.len() > 1,
            points: one.values.iter().map(|datum| point(datum, one.dots || one.values.len() == 1)).collect(),
        });
        Chart {
            title: title.to_owned(),
            x_label: x_label.to_owned(),
            x_ticks: Vec::new(),
            y_ticks: y.ticks().into_iter().map(|tick| Tick { at: down(y, tick), label: number(tick) }).collect(),
            series: series.collect(),
        }
    }
}

fn across(range: Range, value: f64) -> f64 {
    rounded(AREA.0 + range.share(value) * (AREA.1 - AREA.0))
}

fn down(range: Range, value: f64) -> f64 {
    rounded(AREA.3 - range.share(value) * (AREA.3 - AREA.2))
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Writes a tick without the noise of binary fractions.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_range() {
        let labels = |low, high| Range { low, high }.ticks().into_iter().map(number).collect::<Vec<_>>();
        assert_eq!(labels(0.0, 1.0), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(0.0, 37.0), ["0", "10", "20", "30"]);
        assert_eq!(labels(0.0, 0.031), ["0", "0.01", "0.02", "0.03"]);
        assert_eq!(labels(-1.0, 1.0), ["-1", "-0.5", "0", "0.5", "1"]);
    }

    #[test]
    fn points_lie_within_the_area_and_higher_values_higher_up() {
        let values =
            [0.0, 0.5, 1.0].map(|y| Datum { x: y * 10.0, y, ends: Some((y - 0.1, y + 0.1)), ..Datum::default() });
        let x = Range::from_zero(values.iter().map(|datum| datum.x));
        let data = [Data { name: "one".into(), values: values.to_vec(), line: true, dots: false }];
        let chart = Chart::new("t", "step", (x, Range::UNIT), &data);
        let points = &chart.series[0].points;
        assert_eq!((points[0].x, points[0].y), (56.0, 220.0));
        assert_eq!((points[2].x, points[2].y), (628.0, 14.0));
        assert_eq!(points[1].y, 117.0);
        assert_eq!(points[2].high, Some(14.0), "an interval does not leave the area");
        assert!(points[1].high < points[1].low);
    }

    #[test]
    fn no_values_and_equal_values_have_an_axis_too() {
        assert_eq!(Range::from_zero(std::iter::empty()), Range::UNIT);
        assert_eq!(Range::from_zero([0.0, 0.0].into_iter()), Range::UNIT);
        let chart = Chart::over_names("t", "run", &[], Range::UNIT, &[]);
        assert!(chart.x_ticks.is_empty() && !chart.y_ticks.is_empty());
    }
}
