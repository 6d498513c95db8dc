//! A reader of what Prometheus reads, which takes nothing that `promtool check metrics` would not.

use std::collections::HashSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Prometheus,
    OpenMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    pub name: String,
    pub kind: String,
    pub help: String,
}

#[derive(Debug, Default)]
pub struct Page {
    pub families: Vec<Family>,
    /// Series with their labels as written, and values.
    pub samples: Vec<(String, f64)>,
}

impl Page {
    pub fn value(&self, series: &str) -> Option<f64> {
        let found = self.samples.iter().find(|(name, _)| name == series);
        found.map(|(_, value)| *value)
    }

    /// Series whose names, without labels, are that.
    pub fn all(&self, name: &str) -> Vec<&(String, f64)> {
        let mine = |series: &str| series.split('{').next() == Some(name);
        self.samples
            .iter()
            .filter(|(series, _)| mine(series))
            .collect()
    }
}

/// Reads a page and checks it: each family once and whole, no series twice, names and units as
/// they are usual, histograms that add up.
pub fn read(page: &str, dialect: Dialect) -> Page {
    let mut read = Page::default();
    let (mut seen, mut families) = (HashSet::new(), HashSet::new());
    let body = match dialect {
        Dialect::Prometheus => page,
        Dialect::OpenMetrics => page.strip_suffix("# EOF\n").expect("an end"),
    };
    assert!(body.is_empty() || body.ends_with('\n'));
    let mut help: Option<(&str, &str)> = None;
    for line in body.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text.split_once(' ');
        } else if let Some(text) = line.strip_prefix("# TYPE ") {
            let (name, kind) = text.split_once(' ').unwrap();
            let (named, help) = help.take().expect("a help before the type");
            assert_eq!(named, name);
            assert!(families.insert(name.to_owned()), "twice: {line}");
            check_family(name, kind, help, dialect);
            read.families.push(Family {
                name: name.to_owned(),
                kind: kind.to_owned(),
                help: help.to_owned(),
            });
        } else {
            let family = read.families.last().expect("a family before its samples");
            let (series, value) = line.rsplit_once(' ').unwrap();
            check_series(series, family, dialect);
            assert!(seen.insert(series.to_owned()), "twice: {line}");
            read.samples
                .push((series.to_owned(), value.parse().unwrap()));
        }
    }
    check_histograms(&read);
    read
}

fn check_family(name: &str, kind: &str, help: &str, dialect: Dialect) {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(name.chars().all(letters), "{name}");
    assert!(
        !help.is_empty() && !help.contains(['\\', '"']),
        "{name}: {help}"
    );
    let total = name.ends_with("_total");
    match (kind, dialect) {
        ("counter", Dialect::Prometheus) => assert!(total, "{name}"),
        ("counter" | "gauge" | "histogram" | "unknown", Dialect::OpenMetrics)
        | ("gauge" | "histogram" | "untyped", Dialect::Prometheus) => {
            assert!(!total, "{name}");
        }
        _ => panic!("{name} is a {kind}"),
    }
    for unit in [
        "_ms",
        "_us",
        "_milliseconds",
        "_kb",
        "_kilobytes",
        "_megabytes",
    ] {
        assert!(
            !name.contains(&format!("{unit}_")) && !name.ends_with(unit),
            "{name}"
        );
    }
    for suffix in [
        "_bucket",
        "_count",
        "_sum",
        "_gauge",
        "_counter",
        "_histogram",
    ] {
        assert!(!name.ends_with(suffix), "{name}");
    }
}

fn check_series(series: &str, family: &Family, dialect: Dialect) {
    let (name, labels) = match series.split_once('{') {
        None => (series, Vec::new()),
        Some((name, rest)) => (name, labels(rest.strip_suffix('}').unwrap())),
    };
    let suffixes: &[&str] = match (family.kind.as_str(), dialect) {
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        ("counter", Dialect::OpenMetrics) => &["_total"],
        _ => &[""],
    };
    let rest = name.strip_prefix(family.name.as_str());
    assert!(
        rest.is_some_and(|rest| suffixes.contains(&rest)),
        "{series} in {}",
        family.name
    );
    let names: HashSet<_> = labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), labels.len(), "{series}");
    assert_eq!(
        rest == Some("_bucket"),
        labels.iter().any(|(name, _)| name == "le"),
        "{series}"
    );
}

/// Names and values, the latter as they were before they were escaped.
pub fn labels(text: &str) -> Vec<(String, String)> {
    let (mut all, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, letter @ ('\\' | '"'))) => letter,
                    other => panic!("{other:?} is escaped in {text}"),
                }),
                (_, letter) => value.push(letter),
            }
        };
        all.push((name.to_owned(), value));
        rest = quoted[end + 1..]
            .strip_prefix(',')
            .unwrap_or(&quoted[end + 1..]);
    }
    all
}

/// A body as it was before it was sent in chunks, if it was.
pub fn whole(head: &str, body: &str) -> String {
    if !head.contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut whole, mut rest) = (String::new(), body);
    loop {
        let (size, chunk) = rest.split_once("\r\n").expect("a size");
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return whole;
        }
        whole.push_str(&chunk[..size]);
        rest = chunk[size..].strip_prefix("\r\n").unwrap();
    }
}

fn check_histograms(page: &Page) {
    for family in page
        .families
        .iter()
        .filter(|family| family.kind == "histogram")
    {
        let (mut before, mut bound_before) = (0.0, f64::NEG_INFINITY);
        for (series, value) in &page.samples {
            let Some(rest) = series.strip_prefix(family.name.as_str()) else {
                continue;
            };
            if let Some((_, rest)) = rest.split_once("le=\"") {
                let bound = rest.trim_end_matches(['"', '}']).replace('+', "");
                let bound: f64 = bound.parse().unwrap();
                assert!(bound > bound_before && *value >= before, "{series}");
                (before, bound_before) = (*value, bound);
            } else if rest.starts_with("_count") {
                assert_eq!((bound_before, before), (f64::INFINITY, *value), "{series}");
                (before, bound_before) = (0.0, f64::NEG_INFINITY);
            }
        }
    }
}
