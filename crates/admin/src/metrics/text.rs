//! The two text formats that Prometheus reads: its own, and OpenMetrics.
//!
//! Invariants
//! - Values of labels are escaped, so that a name can not make a line of its own.
//! - A family is opened once, and all its samples follow.
//! - Who does not read is not written for: after a send failed nothing is formatted any more.

use std::fmt::Write;

use ferry_broker::{BOUNDS, Distribution};

use super::stream::Sender;

/// How much is gathered before it is sent on, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
    /// What has facts in its labels, and 1 as its value.
    Facts,
}

/// Name and help of a family. The name of a counter ends in `_total`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
}

pub(super) const fn gauge(name: &'static str, help: &'static str) -> Family {
    let kind = Kind::Gauge;
    Family { name, help, kind }
}

pub(super) const fn counter(name: &'static str, help: &'static str) -> Family {
    let kind = Kind::Counter;
    Family { name, help, kind }
}

pub(super) const fn histogram(name: &'static str, help: &'static str) -> Family {
    let kind = Kind::Histogram;
    Family { name, help, kind }
}

pub(super) const fn facts(name: &'static str, help: &'static str) -> Family {
    let kind = Kind::Facts;
    Family { name, help, kind }
}

pub(super) type Labels<'a> = [(&'a str, &'a str)];

/// What a histogram counts in, and which of its bounds are worth a line.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// How many of the units in which it was counted make one in which it is shown.
    pub per_unit: f64,
    pub bounds: std::ops::Range<usize>,
}

/// From 1 ms to 18 hours.
pub(super) const MILLIS: Scale = Scale {
    per_unit: 1e3,
    bounds: 0..BOUNDS,
};
/// From 32 µs to 16 s.
pub(super) const MICROS: Scale = Scale {
    per_unit: 1e6,
    bounds: 5..25,
};
/// From 1 to 16384.
pub(super) const PIECES: Scale = Scale {
    per_unit: 1.0,
    bounds: 0..15,
};

pub(super) struct Text {
    format: Format,
    /// What stands for `rabbitmq_` at the front of a name.
    prefix: &'static str,
    out: String,
    sender: Option<Sender>,
}

impl Text {
    /// A text that is kept as a whole.
    pub fn whole(format: Format) -> Text {
        Text {
            format,
            prefix: RABBITMQ,
            out: String::new(),
            sender: None,
        }
    }

    /// A text that is sent on as it grows.
    pub fn streamed(format: Format, sender: Sender) -> Text {
        Text {
            sender: Some(sender),
            ..Text::whole(format)
        }
    }

    /// From now on `rabbitmq_` at the front of a name is that.
    pub fn set_prefix(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.sender.as_ref().is_some_and(Sender::is_closed)
    }

    /// Begins a family; its samples follow.
    pub fn open(&mut self, family: Family) {
        let Family { name, help, kind } = family;
        let kind = match (kind, self.format) {
            (Kind::Gauge, _) => "gauge",
            (Kind::Counter, _) => "counter",
            (Kind::Histogram, _) => "histogram",
            (Kind::Facts, Format::Prometheus) => "untyped",
            (Kind::Facts, Format::OpenMetrics) => "unknown",
        };
        let name = match (self.format, name.strip_suffix("_total")) {
            (Format::OpenMetrics, Some(stem)) if kind == "counter" => stem,
            _ => name,
        };
        for (word, text) in [("HELP", help), ("TYPE", kind)] {
            self.out.push_str("# ");
            self.out.push_str(word);
            self.out.push(' ');
            self.name(name);
            self.out.push(' ');
            self.out.push_str(text);
            self.out.push('\n');
        }
    }

    pub fn sample(&mut self, family: Family, labels: &Labels<'_>, value: f64) {
        self.series(family.name, "", labels, None, value);
    }

    /// A family with one sample.
    pub fn one(&mut self, family: Family, value: f64) {
        self.open(family);
        self.sample(family, &[], value);
    }

    /// The samples of a histogram.
    pub fn distribution(
        &mut self,
        family: Family,
        labels: &Labels<'_>,
        counted: &Distribution,
        scale: &Scale,
    ) {
        let (mut below, name) = (0, family.name);
        for (place, count) in counted.counts.iter().enumerate() {
            below += count;
            if scale.bounds.contains(&place) {
                let bound = (1u64 << place) as f64 / scale.per_unit;
                self.series(name, "_bucket", labels, Some(&bound), below as f64);
            }
        }
        let infinite: &dyn std::fmt::Display = &"+Inf";
        self.series(name, "_bucket", labels, Some(infinite), below as f64);
        let sum = counted.sum as f64 / scale.per_unit;
        self.series(name, "_sum", labels, None, sum);
        self.series(name, "_count", labels, None, below as f64);
    }

    fn series(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &Labels<'_>,
        bound: Option<&dyn std::fmt::Display>,
        value: f64,
    ) {
        self.name(name);
        self.out.push_str(suffix);
        let mut separator = '{';
        for (name, value) in labels {
            self.out.push(separator);
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
            separator = ',';
        }
        if let Some(bound) = bound {
            self.out.push(separator);
            self.write(format_args!("le=\"{bound}\""));
            separator = ',';
        }
        if separator == ',' {
            self.out.push('}');
        }
        self.write(format_args!(" {value}\n"));
        if self.out.len() >= CHUNK_BYTES {
            self.send();
        }
    }

    fn name(&mut self, name: &str) {
        match name.strip_prefix(RABBITMQ) {
            Some(rest) => {
                self.out.push_str(self.prefix);
                self.out.push_str(rest);
            }
            None => self.out.push_str(name),
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a string takes everything");
    }

    fn send(&mut self) {
        if let Some(sender) = &mut self.sender {
            sender.send(std::mem::take(&mut self.out));
        }
    }

    /// Ends the text; gives what was not sent on.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.send();
        if let Some(sender) = &mut self.sender {
            sender.end();
        }
        self.out
    }
}

const RABBITMQ: &str = "rabbitmq_";

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
    use ferry_broker::Histogram;

    fn sampler(format: Format) -> String {
        let mut text = Text::whole(format);
        text.one(gauge("a", "What it is"), 1.0);
        text.one(counter("b_total", "Another"), 12_345_678_901.0);
        let family = facts("rabbitmq_c", "Names");
        text.open(family);
        text.sample(family, &[("vhost", "/"), ("queue", "a\"\\\nc 9")], 0.5);
        text.set_prefix("rabbitmq_detailed_");
        text.one(gauge("rabbitmq_d", "More"), 2.0);
        text.finish()
    }

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let expected = "# HELP a What it is\n# TYPE a gauge\na 1\n\
                        # HELP b_total Another\n# TYPE b_total counter\nb_total 12345678901\n\
                        # HELP rabbitmq_c Names\n# TYPE rabbitmq_c untyped\n\
                        rabbitmq_c{vhost=\"/\",queue=\"a\\\"\\\\\\nc 9\"} 0.5\n\
                        # HELP rabbitmq_detailed_d More\n# TYPE rabbitmq_detailed_d gauge\n\
                        rabbitmq_detailed_d 2\n";
        assert_eq!(sampler(Format::Prometheus), expected);
    }

    #[test]
    fn openmetrics_differs_in_counters_and_in_its_end() {
        let text = sampler(Format::OpenMetrics);
        assert!(text.contains("# HELP b Another\n# TYPE b counter\nb_total 12345678901\n"));
        assert!(text.contains("# TYPE rabbitmq_c unknown\n"));
        assert!(text.ends_with("rabbitmq_detailed_d 2\n# EOF\n"), "{text}");
    }

    #[test]
    fn a_histogram_counts_upwards_and_ends_with_all() {
        let histogram_of = Histogram::default();
        for value in [1, 2, 3, 5, 900] {
            histogram_of.note(value, 1);
        }
        let mut text = Text::whole(Format::Prometheus);
        let family = histogram("h_seconds", "Times");
        let scale = Scale {
            per_unit: 1e3,
            bounds: 1..4,
        };
        text.distribution(family, &[("queue", "q")], &histogram_of.read(), &scale);
        let expected = "h_seconds_bucket{queue=\"q\",le=\"0.002\"} 2\n\
                        h_seconds_bucket{queue=\"q\",le=\"0.004\"} 3\n\
                        h_seconds_bucket{queue=\"q\",le=\"0.008\"} 4\n\
                        h_seconds_bucket{queue=\"q\",le=\"+Inf\"} 5\n\
                        h_seconds_sum{queue=\"q\"} 0.911\n\
                        h_seconds_count{queue=\"q\"} 5\n";
        assert_eq!(text.finish(), expected);
    }
}
