//! The text format of Prometheus.
//!
//! Invariants
//! - Values of labels are escaped, so that a name can not make a line of its own.

use std::fmt::Write;

/// Name and help of a family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family(pub &'static str, pub &'static str);

#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family; its samples follow.
    pub fn open(&mut self, family: Family, kind: &str) {
        let Family(name, help) = family;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    pub fn sample(&mut self, family: Family, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(family.0);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(name);
            self.0.push_str("=\"");
            escape(value, &mut self.0);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    /// A family with one sample of what is now.
    pub fn gauge(&mut self, family: Family, value: f64) {
        self.open(family, "gauge");
        self.sample(family, &[], value);
    }

    /// A family with one sample that only grows.
    pub fn counter(&mut self, family: Family, value: f64) {
        self.open(family, "counter");
        self.sample(family, &[], value);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes everything");
    }

    pub fn finish(self) -> String {
        self.0
    }
}

fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let mut text = Text::default();
        text.gauge(Family("a", "What it is"), 1.0);
        text.counter(Family("b_total", "Another"), 12_345_678_901.0);
        let family = Family("c", "Names");
        text.open(family, "gauge");
        text.sample(family, &[("vhost", "/"), ("queue", "a\"\\\nc 9")], 0.5);
        let expected = "# HELP a What it is\n# TYPE a gauge\na 1\n\
                        # HELP b_total Another\n# TYPE b_total counter\nb_total 12345678901\n\
                        # HELP c Names\n# TYPE c gauge\n\
                        c{vhost=\"/\",queue=\"a\\\"\\\\\\nc 9\"} 0.5\n";
        assert_eq!(text.finish(), expected);
    }
}
