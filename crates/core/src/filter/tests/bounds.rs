//! Filters that would cost too much are refused, and those that just fit are taken.

use super::*;

fn refused(text: &str, at: usize, why: &str) {
    let error = Filter::compile(text).expect_err(why);
    assert_eq!((error.at, &*error.why), (at, why), "{:.99}", text);
}

fn joined(count: usize, separator: &str, each: impl Fn(usize) -> String) -> String {
    let all: Vec<_> = (0..count).map(each).collect();
    all.join(separator)
}

#[test]
fn text_is_bounded() {
    let why = "a filter may not be longer than 8192 bytes";
    let filled = |bytes: usize| format!("a = '{}'", "x".repeat(bytes - 6));
    compiled(&filled(TEXT_BYTES_MAX));
    refused(&filled(TEXT_BYTES_MAX + 1), TEXT_BYTES_MAX + 1, why);
    refused(&filled(1 << 20), TEXT_BYTES_MAX + 1, why);
    refused(&"é".repeat(TEXT_BYTES_MAX), TEXT_BYTES_MAX / 2 + 1, why);
    assert_eq!(Filter::compile(&" ".repeat(1 << 20)), Ok(None));
}

#[test]
fn depth_is_bounded_for_every_sort_of_nesting() {
    let why = "parentheses, NOT and signs may not nest deeper than 32";
    let cases: [(&str, &str, &str, usize); 5] = [
        ("(", "a", ")", 1),
        ("NOT ", "a", "", 4),
        ("NOT(", "a", ")", 2),
        ("-", "a", "", 1),
        ("(a = 1 AND ", "a", ")", 11),
    ];
    for (open, inner, close, width) in cases {
        let tail = if open == "-" { " = 1" } else { "" };
        let levels = open.matches(['(', '-']).count() + open.matches("NOT").count();
        let nested = |times: usize| {
            let (open, close) = (open.repeat(times), close.repeat(times));
            format!("{open}{inner}{close}{tail}")
        };
        let fits = DEPTH_MAX / levels;
        compiled(&nested(fits)).matches(&Sample::default());
        let at = fits * if levels == 2 { 4 } else { width } + 1;
        refused(&nested(fits + 1), at, why);
        refused(
            &nested(TEXT_BYTES_MAX / (open.len() + close.len() + 1)),
            at,
            why,
        );
    }
}

#[test]
fn rows_are_no_nesting_but_nodes_are_bounded() {
    let why = "a filter may not have more than 512 operators, names and constants";
    for (separator, each, tail) in [
        (" OR ", "a", ""),
        (" AND ", "a", ""),
        ("+", "1", "=1"),
        ("*", "a", "=1"),
    ] {
        let row = |count| joined(count, separator, |_| each.to_owned()) + tail;
        let most = if tail.is_empty() { 256 } else { 255 };
        compiled(&row(most)).matches(&Sample::default());
        let error = Filter::compile(&row(most + 2)).unwrap_err();
        assert_eq!(error.why, why);
    }
}

#[test]
fn names_are_bounded() {
    let row = |count| joined(count, " OR ", |index| format!("n{index}"));
    compiled(&row(NAMES_MAX)).matches(&Sample::default());
    let why = "a filter may not have more than 32 different names";
    refused(&row(NAMES_MAX + 1), row(NAMES_MAX).len() + 5, why);
    let again = row(NAMES_MAX) + " OR n0 = 1 OR n31 IS NULL";
    compiled(&again);
    compiled(&"n".repeat(NAME_BYTES_MAX));
    let why = "a name may not be longer than 255 bytes";
    refused(&"n".repeat(NAME_BYTES_MAX + 1), 1, why);
}

#[test]
fn lists_are_bounded() {
    let list = |count| format!("a IN ({})", joined(count, ",", |index| index.to_string()));
    let filter = compiled(&list(LIST_MAX));
    for (value, expected) in [(0, true), (511, true), (512, false), (-1, false)] {
        let message = headers([("a", Value::I64(value))]);
        assert_eq!(filter.matches(&message), expected, "{value}");
    }
    let why = "a list may not have more than 512 constants";
    refused(&list(LIST_MAX + 1), list(LIST_MAX).len() + 1, why);
}

#[test]
fn patterns_are_bounded() {
    let like = |pattern: &str| format!("a LIKE '{pattern}'");
    compiled(&like(&"x".repeat(PATTERN_BYTES_MAX)));
    let why = "a pattern may not be longer than 1024 bytes";
    refused(&like(&"x".repeat(PATTERN_BYTES_MAX + 1)), 8, why);
    compiled(&like(&format!("%{}_%", "x".repeat(63))));
    compiled(&like(&format!("{0}%{0}", "x_".repeat(99))));
    compiled(&like(&format!("%{}%", "x".repeat(999))));
    let why = "between two % of a pattern may not stand more than 64 characters if one is _";
    refused(&like(&format!("%{}_%", "x".repeat(64))), 8, why);
}

/// Patterns that take for ever if each `%` is tried at each place.
#[test]
fn a_pattern_of_many_wildcards_is_one_pass() {
    let long = "a".repeat(1 << 17);
    let message = headers([("a", text(&long))]);
    for (pattern, expected) in [
        ("%a".repeat(512), true),
        ("%a".repeat(510) + "%b", false),
        ("%a".repeat(510) + "%b%", false),
        ("%a_".repeat(300) + "%_b%", false),
        (format!("%{}b%", "a".repeat(1000)), false),
        (format!("%{}_b%", "a".repeat(62)), false),
        (format!("%{}b%", "_".repeat(63)), false),
        ("_".repeat(1024), false),
        ("%_".repeat(512), true),
    ] {
        let filter = compiled(&format!("a LIKE '{pattern}'"));
        assert_eq!(filter.matches(&message), expected, "{pattern}");
    }
}
