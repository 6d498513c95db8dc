//! Named figures of a run, and what is made of the figures of several runs.
//!
//! Invariants
//! - A figure that was not measured is absent, never 0.
//! - A ratio is formed within one round first, and the median is taken of the ratios: what the
//!   machine does to both sides of a round alike drops out.

/// The figures of one run, in the order in which they are printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(pub Vec<(&'static str, f64)>);

impl Figures {
    /// Adds a figure; one that is no number counts as not measured.
    pub fn put(&mut self, name: &'static str, value: f64) {
        if value.is_finite() {
            self.0.push((name, value));
        }
    }

    /// The figure of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    /// The median of every figure over `runs`; the names and their order are those of the first.
    pub fn medians(runs: &[Figures]) -> Figures {
        let mut out = Figures::default();
        let Some(first) = runs.first() else {
            return out;
        };
        for (name, _) in &first.0 {
            let values: Vec<f64> = runs.iter().filter_map(|run| run.get(name)).collect();
            if let Some(value) = median(&values) {
                out.put(name, value);
            }
        }
        out
    }
}

/// The median; none of an empty slice.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[half]),
        _ => Some((sorted[half - 1] + sorted[half]) / 2.0),
    }
}

/// Per-round ratios of one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median of the ratios.
    pub median: f64,
    /// The smallest ratio of a round.
    pub min: f64,
    /// The largest ratio of a round.
    pub max: f64,
}

/// `over / under` of the figure `name`, round by round; rounds that lack it on a side are left out.
pub fn ratio(over: &[Figures], under: &[Figures], name: &str) -> Option<Ratio> {
    ratio_of((over, name), (under, name))
}

/// The same of a figure that has another name on either side.
pub fn ratio_of(over: (&[Figures], &str), under: (&[Figures], &str)) -> Option<Ratio> {
    let ratios: Vec<f64> = over
        .0
        .iter()
        .zip(under.0)
        .filter_map(|(a, b)| Some(a.get(over.1)? / b.get(under.1)?))
        .filter(|ratio| ratio.is_finite())
        .collect();
    Some(Ratio {
        median: median(&ratios)?,
        min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        max: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(values: &[f64]) -> Vec<Figures> {
        values.iter().map(|v| Figures(vec![("cpu", *v)])).collect()
    }

    #[test]
    fn the_median_is_the_middle_value() {
        for (values, expected) in [
            (&[][..], None),
            (&[3.0][..], Some(3.0)),
            (&[9.0, 1.0, 2.0][..], Some(2.0)),
            (&[4.0, 1.0, 2.0, 100.0][..], Some(3.0)),
        ] {
            assert_eq!(median(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_ratio_is_taken_per_round_before_the_median() {
        // the second round was disturbed on both sides alike
        let got = ratio(&runs(&[2.0, 20.0, 3.0]), &runs(&[1.0, 10.0, 1.0]), "cpu");
        assert_eq!(
            got,
            Some(Ratio {
                median: 2.0,
                min: 2.0,
                max: 3.0
            })
        );
    }

    #[test]
    fn a_ratio_needs_the_figure_on_both_sides() {
        assert_eq!(ratio(&runs(&[1.0]), &[Figures::default()], "cpu"), None);
        assert_eq!(
            ratio(&runs(&[1.0]), &runs(&[0.0]), "cpu"),
            None,
            "a division by zero"
        );
        assert_eq!(ratio(&[], &[], "cpu"), None);
    }

    #[test]
    fn medians_keep_order_and_leave_out_what_was_not_measured() {
        let mut a = Figures::default();
        a.put("rate", 10.0);
        a.put("p99", f64::NAN);
        a.put("cpu", 1.0);
        let b = Figures(vec![("cpu", 3.0), ("rate", 30.0)]);
        let got = Figures::medians(&[a, b]);
        assert_eq!(got, Figures(vec![("rate", 20.0), ("cpu", 2.0)]));
    }
}
