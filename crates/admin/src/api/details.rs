//! Counts with their rates, and how they grew, in RabbitMQ's form.
//!
//! Invariants
//! - A group of counts is there once one of them is not zero, as in RabbitMQ.
//! - Samples lie on multiples of the increment that was asked for, the newest first, and reach back
//!   no further than what is known.

use ferry_broker::MessageStats;
use ferry_core::Millis;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::sampler::{Field, Key, Point, Track};
use crate::shared::Shared;

/// Samples of one answer's course.
const SAMPLES_MAX: u64 = 1000;

/// Which courses a query asks for. What is no number asks for none.
#[derive(Debug, Default, Clone, Deserialize)]
pub(super) struct CourseQuery {
    lengths_age: Option<String>,
    lengths_incr: Option<String>,
    msg_rates_age: Option<String>,
    msg_rates_incr: Option<String>,
    data_rates_age: Option<String>,
    data_rates_incr: Option<String>,
    node_stats_age: Option<String>,
    node_stats_incr: Option<String>,
    pub columns: Option<String>,
}

/// How far back a course goes, and in which steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    age_ms: u64,
    step_ms: u64,
}

impl Window {
    fn of(age: Option<&String>, step: Option<&String>) -> Option<Window> {
        let ms = |text: Option<&String>| -> Option<u64> {
            let seconds: u64 = text?.parse().ok()?;
            (seconds > 0).then_some(seconds.checked_mul(1000)?)
        };
        let (age_ms, step_ms) = (ms(age)?, ms(step)?);
        Some(Window {
            age_ms: age_ms.min(step_ms.saturating_mul(SAMPLES_MAX)),
            step_ms,
        })
    }
}

/// What kind of count something is: each has a window of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Length,
    Message,
    Data,
    Node,
}

/// The windows of a query.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Windows {
    lengths: Option<Window>,
    messages: Option<Window>,
    data: Option<Window>,
    node: Option<Window>,
}

impl CourseQuery {
    pub(super) fn windows(&self) -> Windows {
        let of = Window::of;
        Windows {
            lengths: of(self.lengths_age.as_ref(), self.lengths_incr.as_ref()),
            messages: of(self.msg_rates_age.as_ref(), self.msg_rates_incr.as_ref()),
            data: of(self.data_rates_age.as_ref(), self.data_rates_incr.as_ref()),
            node: of(self.node_stats_age.as_ref(), self.node_stats_incr.as_ref()),
        }
    }
}

/// What is known of an object besides its counts of this moment.
pub(super) struct Seen<'a> {
    track: Option<&'a Track>,
    windows: Windows,
    now: Millis,
}

/// Lets `look` see what is known of an object.
pub(super) fn seen<R>(
    shared: &Shared,
    key: &Key,
    windows: Windows,
    look: impl FnOnce(&Seen<'_>) -> R,
) -> R {
    let now = shared.broker.now();
    shared.sampler.with(key, |track| {
        look(&Seen {
            track,
            windows,
            now,
        })
    })
}

impl Seen<'_> {
    /// How much of the time nothing waited, as far as that is known: in the samples so far, or now.
    pub(super) fn free_share(&self, free_now: bool) -> f64 {
        match self.track {
            Some(track) => rounded(track.free_share()),
            None => f64::from(u8::from(free_now)),
        }
    }

    /// Puts the details of a count into an object.
    pub(super) fn put(&self, object: &mut Map<String, Value>, field: Field, kind: Kind) {
        self.put_sum(object, field.name, &[field.at], kind);
    }

    /// The same of a sum of counts.
    pub(super) fn put_sum(
        &self,
        object: &mut Map<String, Value>,
        name: &str,
        fields: &[usize],
        kind: Kind,
    ) {
        let details = self.details(fields, kind);
        object.insert(format!("{name}_details"), details);
    }

    fn details(&self, fields: &[usize], kind: Kind) -> Value {
        let rate = self.track.map_or(0.0, |track| track.rate_of(fields));
        let mut details = json!({ "rate": rounded(rate) });
        let window = match kind {
            Kind::Length => self.windows.lengths,
            Kind::Message => self.windows.messages,
            Kind::Data => self.windows.data,
            Kind::Node => self.windows.node,
        };
        let (Some(window), Some(track)) = (window, self.track) else {
            return details;
        };
        let points = on_steps(&track.course_of(fields), window, self.now);
        let Some((last, first)) = points.first().zip(points.last()) else {
            return details;
        };
        let sum: f64 = points.iter().map(|point| point.value as f64).sum();
        let seconds = (last.at - first.at) as f64 / 1000.0;
        let grown = last.value as f64 - first.value as f64;
        let avg_rate = if seconds > 0.0 { grown / seconds } else { 0.0 };
        details["avg"] = json!(rounded(sum / points.len() as f64));
        details["avg_rate"] = json!(rounded(avg_rate));
        let samples = points.iter();
        details["samples"] = samples
            .map(|point| json!({ "sample": point.value, "timestamp": point.at }))
            .collect();
        details
    }

    /// What has happened to messages; none if nothing has.
    pub(super) fn message_stats(&self, stats: &MessageStats, groups: &[&[Stat]]) -> Option<Value> {
        let values = stats.values();
        let mut object = Map::new();
        for group in groups {
            let counts = group.iter().map(|stat| (stat, stat.of(&values)));
            let counts: Vec<_> = counts.collect();
            if counts.iter().all(|(_, count)| *count == 0) {
                continue;
            }
            for (stat, count) in counts {
                object.insert(stat.name.to_owned(), json!(count));
                self.put_sum(&mut object, stat.name, stat.fields, Kind::Message);
            }
        }
        (!object.is_empty()).then_some(Value::Object(object))
    }
}

fn rounded(rate: f64) -> f64 {
    // Without a negative zero, which JSON would show.
    (rate * 1000.0).round() / 1000.0 + 0.0
}

/// The last sample at or before each step of the window, the newest first.
fn on_steps(course: &[Point], window: Window, now: Millis) -> Vec<Point> {
    let Window { age_ms, step_ms } = window;
    let Some(oldest) = course.first() else {
        return Vec::new();
    };
    let end = now - now % step_ms;
    let mut points = Vec::new();
    let mut rest = course;
    let mut at = end;
    while at >= end.saturating_sub(age_ms) && at >= oldest.at {
        let known = rest.partition_point(|point| point.at <= at);
        rest = &rest[..known];
        let Some(last) = rest.last() else {
            break;
        };
        points.push(Point {
            at,
            value: last.value,
        });
        match at.checked_sub(step_ms) {
            Some(before) => at = before,
            None => break,
        }
    }
    points
}

/// A count of messages under its name in the API.
#[derive(Debug)]
pub(super) struct Stat {
    pub name: &'static str,
    fields: &'static [usize],
}

impl Stat {
    fn of(&self, values: &[u64]) -> u64 {
        self.fields.iter().map(|field| values[*field]).sum()
    }

    /// One by its name, with the places of what it sums up.
    pub(super) fn named(name: &str) -> Option<&'static Stat> {
        let groups = [PUBLISHED, PASSED, DELIVERED, DISK];
        groups.into_iter().flatten().find(|stat| stat.name == name)
    }

    pub(super) fn fields(&self) -> &'static [usize] {
        self.fields
    }
}

const fn at(name: &str) -> usize {
    let mut index = 0;
    while index < MessageStats::NAMES.len() {
        let (a, b) = (MessageStats::NAMES[index].as_bytes(), name.as_bytes());
        let mut same = a.len() == b.len();
        let mut byte = 0;
        while same && byte < a.len() {
            same = a[byte] == b[byte];
            byte += 1;
        }
        if same {
            return index;
        }
        index += 1;
    }
    panic!("a name of `MessageStats`")
}

macro_rules! stats {
    ($($name:literal = $($field:literal)+),+) => {
        &[$(Stat { name: $name, fields: &[$(at($field)),+] }),+]
    };
}

/// What a queue got.
pub(super) const ENTERED: &[Stat] = stats!("publish" = "publish");

/// What publishers did.
pub(super) const PUBLISHED: &[Stat] = stats!(
    "publish" = "publish",
    "confirm" = "confirm",
    "return_unroutable" = "return_unroutable",
    "drop_unroutable" = "drop_unroutable"
);

/// What passed through an exchange.
pub(super) const PASSED: &[Stat] =
    stats!("publish_in" = "publish_in", "publish_out" = "publish_out");

/// What consumers did.
pub(super) const DELIVERED: &[Stat] = stats!(
    "deliver" = "deliver",
    "deliver_no_ack" = "deliver_no_ack",
    "get" = "get",
    "get_no_ack" = "get_no_ack",
    "get_empty" = "get_empty",
    "deliver_get" = "deliver" "deliver_no_ack" "get" "get_no_ack",
    "ack" = "ack",
    "redeliver" = "redeliver"
);

/// What the disk did.
pub(super) const DISK: &[Stat] = stats!("disk_reads" = "disk_reads", "disk_writes" = "disk_writes");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_on_steps_and_never_before_the_first() {
        let course = [(1_000, 5), (6_000, 7), (11_000, 9)].map(|(at, value)| Point { at, value });
        let window = |age_ms, step_ms| Window { age_ms, step_ms };
        for (window, now, expected) in [
            (
                window(60_000, 5_000),
                12_000,
                &[(10_000, 7), (5_000, 5)][..],
            ),
            (window(5_000, 5_000), 20_000, &[(20_000, 9), (15_000, 9)]),
            (window(60_000, 1_000), 2_500, &[(2_000, 5), (1_000, 5)]),
            (window(60_000, 5_000), 4_000, &[]),
        ] {
            let found = on_steps(&course, window, now);
            let found: Vec<_> = found.iter().map(|point| (point.at, point.value)).collect();
            assert_eq!(found, expected, "{window:?} at {now}");
        }
        assert_eq!(on_steps(&[], window(5_000, 5_000), 9_000), []);
    }

    #[test]
    fn a_window_has_an_age_and_a_step_and_few_samples() {
        let window = |age: &str, step: &str| Window::of(Some(&age.into()), Some(&step.into()));
        for (age, step, expected) in [
            ("60", "5", Some((60_000, 5_000))),
            ("x", "5", None),
            ("60", "0", None),
            ("60", "-1", None),
            ("99999999999999999999", "5", None),
            ("1000000", "1", Some((1_000_000, 1_000))),
        ] {
            let found = window(age, step).map(|window| (window.age_ms, window.step_ms));
            assert_eq!(found, expected, "{age} {step}");
        }
    }

    #[test]
    fn groups_are_shown_once_something_has_happened() {
        let seen = Seen {
            track: None,
            windows: Windows::default(),
            now: 0,
        };
        let stats = |stats: MessageStats| seen.message_stats(&stats, &[ENTERED, DELIVERED]);
        assert_eq!(stats(MessageStats::default()), None);
        let entered = stats(MessageStats {
            publish: 3,
            ..MessageStats::default()
        });
        let expected = json!({ "publish": 3, "publish_details": { "rate": 0.0 } });
        assert_eq!(entered, Some(expected));
        let got = stats(MessageStats {
            deliver: 1,
            get_no_ack: 2,
            ..MessageStats::default()
        });
        let got = got.unwrap();
        assert_eq!((&got["deliver_get"], &got["ack"]), (&json!(3), &json!(0)));
        assert_eq!(got.get("publish"), None);
    }
}
