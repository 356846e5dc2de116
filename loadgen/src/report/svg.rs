//! Line charts as inline SVG: axes, grid, series, marks. Colours come from the page's style sheet, so dark, light and
//! paper need nothing of their own.

use std::fmt::Write;

const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 38.0;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    Linear,
    Log,
}

pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// Dots instead of a line.
    pub(crate) dots: bool,
}

impl Series {
    pub(crate) fn line(name: &str, points: Vec<(f64, f64)>) -> Self {
        Series { name: name.to_string(), points, dots: false }
    }
}

pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x_label: String,
    pub(crate) y_label: String,
    pub(crate) y_scale: Scale,
    pub(crate) series: Vec<Series>,
    /// Ticks of the x axis where they are not plain numbers.
    pub(crate) x_ticks: Option<Vec<(f64, String)>>,
    /// Vertical lines, each with what happened there.
    pub(crate) marks: Vec<(f64, String)>,
}

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (x, y) = (self.x_axis(), self.y_axis());
        let title = escape(&self.title);
        writeln!(out, "<figure><figcaption>{title}</figcaption>")?;
        writeln!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">")?;
        for (value, text) in y.ticks() {
            let at = y.place(value);
            writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
                WIDTH - RIGHT
            )?;
            writeln!(
                out,
                "<text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                LEFT - 6.0,
                at + 4.0
            )?;
        }
        for (value, text) in self.x_ticks.clone().unwrap_or_else(|| x.ticks()) {
            let at = x.place(value);
            writeln!(
                out,
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>",
                HEIGHT - BOTTOM + 16.0,
                escape(&text)
            )?;
        }
        for (value, text) in &self.marks {
            let at = x.place(*value);
            writeln!(
                out,
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"><title>{}</title></line>",
                HEIGHT - BOTTOM,
                escape(text)
            )?;
        }
        for (number, series) in self.series.iter().enumerate() {
            self.write_series(out, number, series, &x, &y)?;
        }
        writeln!(
            out,
            "<text class=\"label\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            (LEFT + WIDTH) / 2.0,
            HEIGHT - 6.0,
            escape(&self.x_label)
        )?;
        writeln!(out, "<text class=\"label\" x=\"4\" y=\"14\">{}</text></svg></figure>", escape(&self.y_label))
    }

    fn write_series(&self, out: &mut String, number: usize, series: &Series, x: &Axis, y: &Axis) -> std::fmt::Result {
        let places = series.points.iter().filter(|point| point.1 > 0.0 || self.y_scale == Scale::Linear);
        let places: Vec<(f64, f64)> = places.map(|(at, value)| (x.place(*at), y.place(*value))).collect();
        if series.dots {
            for ((at, value), (left, top)) in series.points.iter().zip(&places) {
                writeln!(
                    out,
                    "<circle class=\"fill{number}\" cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"4\"><title>{}: {at:.0}, {value:.3}</title></circle>",
                    escape(&series.name)
                )?;
            }
        }
        let path: Vec<String> = places.iter().map(|(left, top)| format!("{left:.1},{top:.1}")).collect();
        writeln!(
            out,
            "<polyline class=\"line{number}\" points=\"{}\"><title>{}</title></polyline>",
            path.join(" "),
            escape(&series.name)
        )?;
        let left = WIDTH - RIGHT - 130.0 * (self.series.len() - number) as f64;
        writeln!(out, "<rect class=\"fill{number}\" x=\"{left:.1}\" y=\"6\" width=\"12\" height=\"4\"/>")?;
        writeln!(out, "<text class=\"tick\" x=\"{:.1}\" y=\"13\">{}</text>", left + 17.0, escape(&series.name))
    }

    fn x_axis(&self) -> Axis {
        let all = self.series.iter().flat_map(|series| &series.points).map(|point| point.0);
        let (low, high) = bounds(all);
        Axis { scale: Scale::Linear, low, high, from: LEFT, to: WIDTH - RIGHT }
    }

    fn y_axis(&self) -> Axis {
        let all = self.series.iter().flat_map(|series| &series.points).map(|point| point.1);
        let (from, to) = (HEIGHT - BOTTOM, TOP);
        if self.y_scale == Scale::Log {
            let (low, high) = bounds(all.filter(|value| *value > 0.0));
            let (low, high) = (10f64.powf(low.max(1e-9).log10().floor()), 10f64.powf(high.max(1e-9).log10().ceil()));
            return Axis { scale: Scale::Log, low, high: high.max(low * 10.0), from, to };
        }
        let (_, high) = bounds(all);
        Axis { scale: Scale::Linear, low: 0.0, high: high.max(1e-9) * 1.05, from, to }
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low > high { (0.0, 1.0) } else { (low, if high > low { high } else { low + 1.0 }) }
}

struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
        };
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    /// About five, at 1, 2 or 5 times a power of ten.
    fn ticks(&self) -> Vec<(f64, String)> {
        if self.scale == Scale::Log {
            let decades = (self.high / self.low).log10().round() as i32;
            return (0..=decades)
                .map(|decade| self.low * 10f64.powi(decade))
                .map(|value| (value, number(value)))
                .collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|count| count as f64 * step).map(|value| (value, number(value))).collect()
    }
}

fn number(value: f64) -> String {
    if value >= 1000.0 {
        return crate::units::thousands(value.round() as u64);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_of_nothing_or_of_one_point_has_no_impossible_number() {
        for points in [vec![], vec![(1.0, 5.0)], vec![(1.0, 0.0), (2.0, 0.0)]] {
            for y_scale in [Scale::Linear, Scale::Log] {
                let chart = Chart {
                    title: "<&>".to_string(),
                    x_label: String::new(),
                    y_label: String::new(),
                    y_scale,
                    series: vec![Series::line("a", points.clone())],
                    x_ticks: None,
                    marks: vec![(1.0, "mark".to_string())],
                };
                let svg = chart.svg();
                assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("&lt;&amp;&gt;"), "{svg}");
            }
        }
    }
}
