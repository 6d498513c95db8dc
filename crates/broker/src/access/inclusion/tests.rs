//! Binding keys held against patterns, by a table and against every short key there is.

use ferry_core::routing::topic_matches;

use super::globs::Globs;
use super::*;
use crate::access::glob::Glob;
use crate::access::pattern::Pattern;

#[test]
fn a_filter_is_within_a_pattern_only_if_all_that_it_lets_through_is() {
    for (key, pattern, expected) in [
        ("sensors.c1.temp", r"^sensors\.c1\.", true),
        ("sensors.c1.temp", r"^sensors\.c2\.", false),
        ("sensors.c1.*", r"^sensors\.c1\.", true),
        ("sensors.*.temp", r"^sensors\.c1\.", false),
        // The level above is let through, too.
        ("sensors.c1.#", r"^sensors\.c1\.", false),
        ("sensors.c1.*.#", r"^sensors\.c1\.", true),
        ("sensors.c1.#", r"^sensors\.c1(\.|$)", true),
        ("#", r"^sensors\.", false),
        ("#", r"sensors", false),
        ("#", r".", true),
        ("#", r"^.*$", true),
        ("#", r"^[^$]", true),
        ("#", r"^", true),
        ("*", r"^[^.]*$", true),
        ("*", r"^[^.]+$", true),
        ("*.*", r"^[^.]+\.[^.]+$", false),
        ("*.*", r"^[^.]*\.[^.]*$", true),
        ("*.*", r"\.", true),
        ("*.*", r"^[^$.][^.]*\.", false),
        ("*.*", r"^([^$.][^.]*)?\.", true),
        // `$` is another byte where no wildcard stands first.
        ("a.*", r"^a\.([^$]|$)", false),
        ("$SYS.#", r"^\$SYS", true),
        ("$SYS.#", r"^[^$]", false),
        ("a.#.z", r"^a.*z$", true),
        ("a.#.z", r"^a\.z$", false),
        ("a.#.#", r"^a", true),
        ("#.z", r"z$", true),
        ("#.z", r"\.z$", false),
        ("a.*", r"^a\.[a-z]*$", false),
        // A line's end is a byte like others, and so is what is no UTF-8.
        ("a.*", r"^a\..*$", true),
        ("a.*", r"(?-s)^a\..*$", false),
        ("a.*", r"^a\.[\x00-\x7f]*$", false),
        ("a.*.b", r"^a\b", true),
        ("*.b", r"\bb$", true),
        ("a.*", r"(?m)^a", true),
        ("a.b*", r"^a\.b\*$", true),
        ("a.b", r"^(a|b)\.(a|b)$", true),
        ("*.b", r"(?i)B$", true),
        ("..", r"^\.\.$", true),
        ("*", r"^$", false),
        ("a.*", "(", false),
        ("", "", false),
    ] {
        let found = filter_is_within(key.as_bytes(), pattern);
        assert_eq!(found, expected, "{key} within {pattern}");
    }
}

#[test]
fn what_takes_too_long_to_find_out_is_refused() {
    let many = ["*"; 2_000].join(".");
    for (key, pattern, expected) in [
        // It would have to remember which of the last bytes were an a.
        ("#", "^.*$|a[ab]{16}$", false),
        ("#", "^.*$|a[ab]{4}$", true),
        (&many, "^(.{1,200})*$", false),
        ("*.*", "^(.{1,200})*$", true),
        (&"a".repeat(60_000), "^a*$", true),
        (&"a".repeat(70_000), "^a*$", false),
    ] {
        let found = filter_is_within(key.as_bytes(), pattern);
        assert_eq!(found, expected, "{key:.20} within {pattern}");
    }
}

/// Keys over a few bytes, up to some length.
fn keys(bytes: &[u8], length_max: usize) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    let mut last = all.clone();
    for _ in 0..length_max {
        let longer = last.iter();
        last = longer
            .flat_map(|key| bytes.iter().map(move |byte| [&key[..], &[*byte]].concat()))
            .collect();
        all.extend_from_slice(&last);
    }
    all
}

/// What is allowed is allowed for every key; what is refused has a key that shows why, among short
/// ones, since these patterns tell no more bytes apart than the keys have.
#[test]
fn the_answer_is_that_of_all_short_keys() {
    let keys = keys(b"abc.$", 5);
    let patterns = [
        "a",
        "^a",
        "b$",
        r"^a\.",
        r"\.b$",
        "^[^$]",
        r"^[^.]*$",
        r"^[^.]*\.[^.]*$",
        "^(a|b)",
        r"^a(\.|$)",
        r"(^|\.)b",
        "^.{2}",
        r"^\$",
        "[^a]",
        r"\ba\b",
        r"a.*b|b.*a",
        r"^(..)*$",
    ];
    let filters = [
        "a", "#", "*", "a.*", "*.b", "a.#", "#.b", "*.*", "#.a.#", "a.#.b", "*.#", "a.*.#", "$.#",
        "a.*.b", ".#", "#.#", "*..a", "b.",
    ];
    let mut allowed = 0;
    for filter in filters {
        let wild = filter.starts_with(['*', '#']);
        let passed: Vec<_> = keys
            .iter()
            .filter(|key| !(key.is_empty() || wild && key.starts_with(b"$")))
            .filter(|key| topic_matches(filter.as_bytes(), key))
            .collect();
        for text in patterns {
            let pattern = Pattern::new(text).unwrap();
            let expected = passed.iter().all(|key| pattern.matches(key));
            let found = filter_is_within(filter.as_bytes(), text);
            assert_eq!(found, expected, "{filter} within {text}");
            allowed += usize::from(found);
        }
    }
    assert!(allowed > 30, "{allowed}");
}

/// As a regular expression, and as a glob.
fn both(text: &str) -> (String, Glob) {
    let pieces = text
        .split('*')
        .map(|piece| piece.replace('.', r"\.").replace('$', r"\$"));
    let regex = format!("^{}$", pieces.collect::<Vec<_>>().join(".*"));
    let glob = Glob::new(text.split('*').map(|piece| piece.as_bytes().to_vec()));
    (regex, glob)
}

#[test]
fn globs_let_the_same_filters_through_as_their_regular_expression() {
    let globs = [
        "", "*", "a", "a.*", "*.b", "a*", "*a", "*a*", "a*b", "*.a.*", "a.*.b", "$*", "*..*",
        "a*b*a", "*ab*", "b*", ".*", "*.*",
    ];
    let filters = [
        "a", "#", "*", "a.*", "*.b", "a.#", "#.b", "*.*", "#.a.#", "a.#.b", "*.#", "a.*.#", "$.#",
        "a.*.b", ".#", "#.#", "*..a", "b.", "a.b.a", "$SYS.*",
    ];
    let mut allowed = [0; 2];
    for filter in filters.map(str::as_bytes) {
        for (index, one) in globs.iter().enumerate() {
            for other in &globs[index..] {
                let ((one, first), (other, second)) = (both(one), both(other));
                let expected = filter_is_within(filter, &format!("{one}|{other}"));
                let found = filter_is_within_globs(filter, &[first, second]);
                assert_eq!(found, expected, "{} {one} {other}", filter.escape_ascii());
                allowed[usize::from(found)] += 1;
            }
        }
    }
    assert!(allowed.iter().all(|count| *count > 300), "{allowed:?}");
    assert!(!filter_is_within_globs(b"a", &[]));
}

#[test]
fn globs_with_many_wildcards_are_no_work() {
    let many = "a<<<<*".repeat(60);
    let (_, glob) = both(&many);
    let pattern = Globs::new(std::slice::from_ref(&glob));
    let mut walk = Walk::new(b"#.b", pattern).unwrap();
    walk.steps = STEPS_MAX - 20_000;
    assert_eq!(walk.finds_no_way_out(), None);
    let globs: Vec<_> = (0..500)
        .map(|one| both(&format!("house.{one}.*")).1)
        .collect();
    for (filter, expected) in [
        ("house.7.#", false),
        ("house.7.*.#", true),
        ("house.499.kitchen", true),
        ("house.500.kitchen", false),
        ("house.*.kitchen", false),
        ("#", false),
    ] {
        assert_eq!(
            filter_is_within_globs(filter.as_bytes(), &globs),
            expected,
            "{filter}"
        );
    }
}
