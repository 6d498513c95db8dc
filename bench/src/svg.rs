//! Charts as SVG: bars in groups, and lines; both with a logarithmic scale of values.
//!
//! Invariants
//! - A picture brings its own colours for light and for dark, and is readable without any script.
//! - Values that are not above 0 have no place on a logarithmic scale and are left out.
//! - Text from outside is escaped.

use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 66.0;
const BOTTOM: f64 = 56.0;
/// Colours that can be told apart, also by those who see few; one for each name, in order.
const COLOURS: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a8a", "#b8a900",
];
const STYLE: &str = "<style>\
.b{fill:#fff}.t{fill:#1c1c1c}.g{stroke:#d9d9d9}.a{stroke:#1c1c1c}\
@media(prefers-color-scheme:dark){.b{fill:#14171a}.t{fill:#e8e8e8}.g{stroke:#3a3f44}\
.a{stroke:#e8e8e8}}\
text{font:12px system-ui,sans-serif}.h{font-size:15px;font-weight:600}</style>";

/// What a chart is about.
pub struct Labels<'a> {
    /// Above it.
    pub title: &'a str,
    /// Along the values, with their unit.
    pub values: &'a str,
    /// Along the bottom, with the unit if there is one.
    pub bottom: &'a str,
}

/// A line: its name, and its points from left to right.
pub struct Line {
    /// As the legend has it.
    pub name: String,
    /// Which of the colours; the same as that of the same name's bars.
    pub colour: usize,
    /// Place on the bottom and value.
    pub points: Vec<(f64, f64)>,
}

/// Whole powers of ten around some values.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Option<Scale> {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            return None;
        }
        let low = low.log10().floor() as i32;
        let high = (high.log10().ceil() as i32).max(low + 1);
        Some(Scale { low, high })
    }

    /// The share of the scale at which a value stands.
    fn share(&self, value: f64) -> f64 {
        (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.share(value) * (HEIGHT - BOTTOM - TOP)
    }
}

/// Bars in groups: `groups` have a heading and a value for each name, where there is one.
pub fn bars(labels: &Labels, names: &[String], groups: &[(String, Vec<Option<f64>>)]) -> String {
    let values = groups
        .iter()
        .flat_map(|(_, values)| values.iter().flatten());
    let Some(scale) = Scale::of(values.copied()) else {
        return String::new();
    };
    let legend: Vec<(usize, &str)> = names.iter().map(String::as_str).enumerate().collect();
    let mut svg = frame(labels, &legend, &scale);
    let group_width = (WIDTH - LEFT - RIGHT) / groups.len() as f64;
    let width = group_width * 0.84 / names.len() as f64;
    for (at, (heading, values)) in groups.iter().enumerate() {
        let left = LEFT + group_width * (at as f64 + 0.08);
        for (n, value) in values.iter().enumerate() {
            let Some(value) = value.filter(|value| *value > 0.0) else {
                continue;
            };
            let (x, y) = (left + width * n as f64, scale.y(value));
            let (high, fill) = (HEIGHT - BOTTOM - y, colour(n));
            let told = format!("{}, {heading}: {}", names[n], short(value));
            put(
                &mut svg,
                &format!(
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{high:.1}\" \
                 fill=\"{fill}\"><title>{}</title></rect>",
                    width * 0.92,
                    escaped(&told)
                ),
            );
        }
        let x = LEFT + group_width * (at as f64 + 0.5);
        put(
            &mut svg,
            &text(x, HEIGHT - BOTTOM + 18.0, "middle", heading),
        );
    }
    svg + "</svg>\n"
}

/// Lines over places on the bottom that are named by `ticks`.
pub fn lines(labels: &Labels, ticks: &[(f64, String)], lines: &[Line]) -> String {
    let points = lines.iter().flat_map(|line| &line.points);
    let Some(scale) = Scale::of(points.map(|(_, value)| *value)) else {
        return String::new();
    };
    let names: Vec<(usize, &str)> = lines.iter().map(|l| (l.colour, l.name.as_str())).collect();
    let mut svg = frame(labels, &names, &scale);
    let first = ticks.first().map_or(0.0, |(at, _)| *at);
    let span = (ticks.last().map_or(1.0, |(at, _)| *at) - first).max(f64::MIN_POSITIVE);
    let x_of = |at: f64| LEFT + 20.0 + (at - first) / span * (WIDTH - LEFT - RIGHT - 50.0);
    for (at, name) in ticks {
        let (x, low) = (x_of(*at), HEIGHT - BOTTOM);
        put(
            &mut svg,
            &format!("<line class=\"g\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{low}\"/>"),
        );
        put(&mut svg, &text(x, HEIGHT - BOTTOM + 18.0, "middle", name));
    }
    for line in lines {
        let places: Vec<(f64, f64, f64)> = line
            .points
            .iter()
            .filter(|(_, value)| *value > 0.0)
            .map(|(at, value)| (x_of(*at), scale.y(*value), *value))
            .collect();
        let path: Vec<String> = places
            .iter()
            .map(|(x, y, _)| format!("{x:.1},{y:.1}"))
            .collect();
        let (stroke, path) = (colour(line.colour), path.join(" "));
        put(
            &mut svg,
            &format!(
                "<polyline fill=\"none\" stroke=\"{stroke}\" stroke-width=\"2.5\" \
                 points=\"{path}\"/>"
            ),
        );
        for (x, y, value) in places {
            let told = escaped(&format!("{}: {}", line.name, short(value)));
            put(
                &mut svg,
                &format!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{stroke}\">\
                 <title>{told}</title></circle>"
                ),
            );
        }
    }
    svg + "</svg>\n"
}

/// The picture without its bars or lines.
fn frame(labels: &Labels, legend: &[(usize, &str)], scale: &Scale) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>{}</title>{STYLE}\n<rect class=\"b\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n",
        escaped(labels.title)
    );
    let title = escaped(labels.title);
    put(
        &mut svg,
        &format!("<text class=\"t h\" x=\"{LEFT}\" y=\"24\">{title}</text>"),
    );
    let mut x = LEFT;
    for (n, name) in legend {
        let fill = colour(*n);
        put(
            &mut svg,
            &format!("<rect x=\"{x:.1}\" y=\"37\" width=\"11\" height=\"11\" fill=\"{fill}\"/>"),
        );
        put(&mut svg, &text(x + 16.0, 47.0, "start", name));
        x += 36.0 + 7.0 * name.chars().count() as f64;
    }
    for power in scale.low..=scale.high {
        let value = 10f64.powi(power);
        let (y, right) = (scale.y(value), WIDTH - RIGHT);
        put(
            &mut svg,
            &format!(
                "<line class=\"g\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
            ),
        );
        put(&mut svg, &text(LEFT - 6.0, y + 4.0, "end", &short(value)));
    }
    let (low, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    put(
        &mut svg,
        &format!("<line class=\"a\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{low}\" y2=\"{low}\"/>"),
    );
    put(
        &mut svg,
        &text((LEFT + right) / 2.0, HEIGHT - 14.0, "middle", labels.bottom),
    );
    let middle = (TOP + low) / 2.0;
    put(
        &mut svg,
        &format!(
            "<text class=\"t\" text-anchor=\"middle\" \
             transform=\"translate(16 {middle}) rotate(-90)\">\
         {}</text>",
            escaped(labels.values)
        ),
    );
    svg
}

fn put(svg: &mut String, element: &str) {
    writeln!(svg, "{element}").expect("a string takes all");
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    let words = escaped(words);
    format!("<text class=\"t\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>")
}

fn colour(n: usize) -> &'static str {
    COLOURS[n % COLOURS.len()]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A value of an axis: 0.01, 5, 20k, 1M.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let digits = if value >= 100.0 {
        0
    } else if value >= 1.0 {
        1
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        let text = text.trim_end_matches('0').trim_end_matches('.');
        return format!("{text}{unit}");
    }
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels = Labels {
        title: "a < b",
        values: "ms",
        bottom: "rate",
    };

    #[test]
    fn values_are_short() {
        for (value, expected) in [
            (0.01, "0.01"),
            (0.001, "0.001"),
            (1.0, "1"),
            (2.54, "2.5"),
            (100.0, "100"),
            (20_000.0, "20k"),
            (1_000_000.0, "1M"),
        ] {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn a_scale_reaches_over_whole_powers_of_ten() {
        let scale = Scale::of([0.0, 3.0, 250.0, f64::NAN].into_iter()).expect("two values");
        assert_eq!((scale.low, scale.high), (0, 3));
        assert!((scale.share(1.0), scale.share(1000.0)) == (0.0, 1.0));
        assert!(Scale::of([0.0, -1.0].into_iter()).is_none());
        let one = Scale::of([10.0].into_iter()).expect("a value");
        assert_eq!((one.low, one.high), (1, 2), "never without a height");
    }

    #[test]
    fn bars_stand_on_the_axis_and_what_was_not_measured_has_none() {
        let names = ["ours".to_string(), "peer".to_string()];
        let groups = [
            ("T1".to_string(), vec![Some(1.0), Some(10.0)]),
            ("T2".to_string(), vec![Some(100.0), None]),
        ];
        let svg = bars(&LABELS, &names, &groups);
        assert_eq!(svg.matches("<title>").count(), 1 + 3, "{svg}");
        assert!(svg.contains("<title>peer, T1: 10</title>"), "{svg}");
        assert!(svg.contains("a &lt; b") && !svg.contains("a < b"));
        // the middle of the scale of 1 to 100: half as high as the whole
        let half = (HEIGHT - BOTTOM - TOP) / 2.0;
        assert!(svg.contains(&format!("height=\"{half:.1}\"")), "{svg}");
        assert_eq!(
            bars(&LABELS, &names, &[("T1".into(), vec![None, None])]),
            ""
        );
    }

    #[test]
    fn lines_have_a_point_for_each_value_above_0() {
        let ticks = [(0.0, "p50".to_string()), (2.0, "p99".to_string())];
        let line = Line {
            name: "ours".into(),
            colour: 1,
            points: vec![(0.0, 1.0), (1.0, 0.0), (2.0, 10.0)],
        };
        let svg = lines(&LABELS, &ticks, &[line]);
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        assert!(svg.contains(">p99</text>") && svg.contains("prefers-color-scheme:dark"));
        assert_eq!(lines(&LABELS, &ticks, &[]), "");
    }
}
