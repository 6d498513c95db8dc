//! Topic patterns: a table of pairs, the trie against a plain matcher, and the worst cases.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Pattern, keys that it matches, keys that it does not.
const TABLE: &[(&str, &[&str], &[&str])] = &[
    ("", &[""], &["a", ".", "a."]),
    ("a", &["a"], &["", "b", "A", "aa", "a.", ".a", "a.a"]),
    (
        "a.b",
        &["a.b"],
        &["a", "a.b.c", "b.a", "a..b", "ab", "a.b.", ".a.b"],
    ),
    ("*", &["a", "order", "*", "#"], &["", "a.b", ".", "a."]),
    ("#", &["", "a", "a.b", "a.b.c", ".", "..", "#"], &[]),
    ("*.*", &["a.b", ".", "a.", ".b"], &["", "a", "a.b.c", ".."]),
    (
        "a.*",
        &["a.b", "a.*", "a.", "a.#"],
        &["a", "a.b.c", "b.a", ""],
    ),
    ("*.a", &["b.a", ".a", "a.a"], &["a", "a.b", "c.b.a", ""]),
    (
        "a.#",
        &["a", "a.b", "a.b.c", "a.", "a.."],
        &["", "b", "b.a", "ab", ".a"],
    ),
    (
        "#.a",
        &["a", "b.a", "c.b.a", ".a", "a.a"],
        &["", "a.b", "b", "a."],
    ),
    (
        "a.*.b",
        &["a.x.b", "a..b", "a.b.b"],
        &["a.b", "a.x.y.b", "a.x.c", "a.x"],
    ),
    (
        "a.#.b",
        &["a.b", "a.x.b", "a.x.y.b", "a..b", "a.b.b"],
        &["a", "b", "a.b.c", "ab"],
    ),
    ("#.#", &["", "a", "a.b", "a.b.c"], &[]),
    ("#.#.#", &["", "a", "a.b.c.d"], &[]),
    ("*.#", &["a", "a.b", "a.b.c", "."], &[""]),
    ("#.*", &["a", "a.b", "a.b.c", "."], &[""]),
    ("#.*.#", &["a", "a.b", "a.b.c"], &[""]),
    ("*.#.*", &["a.b", "a.b.c", "."], &["", "a"]),
    (
        "#.a.#",
        &["a", "a.b", "b.a", "b.a.c", "a.a"],
        &["", "b", "b.c", "ab"],
    ),
    (
        "#.a.#.b.#",
        &["a.b", "x.a.y.b.z", "a.a.b", "a.b.b"],
        &["b.a", "a", "b", "ab"],
    ),
    (
        "*.a.*",
        &["x.a.y", "a.a.a", ".a."],
        &["a", "x.a", "a.y", "x.a.y.z"],
    ),
    (
        "#.a.*",
        &["a.x", "y.a.x", "a.a", "z.y.a.x"],
        &["a", "x.a", "a.x.y"],
    ),
    ("*.*.*", &["a.b.c", ".."], &["a.b", "a.b.c.d", ""]),
    ("a.*.#", &["a.b", "a.b.c", "a."], &["a", "b.a"]),
    ("a.#.*", &["a.b", "a.b.c", "a.."], &["a", ""]),
    (
        "order.*",
        &["order.paid"],
        &["order.paid.eu", "order", "orders.paid"],
    ),
    (
        "order.#",
        &["order", "order.paid", "order.paid.eu"],
        &["orders", "x.order"],
    ),
    (
        "*.error.#",
        &["db.error", "db.error.disk"],
        &["error", "a.b.error"],
    ),
    ("lazy.#", &["lazy", "lazy.pink.rabbit"], &["quick.lazy"]),
    (
        "*.orange.*",
        &["quick.orange.rabbit"],
        &["quick.orange.male.rabbit", "orange"],
    ),
    ("a*", &["a*"], &["ab", "a", "a.b"]),
    ("a.b*", &["a.b*"], &["a.bc", "a.b"]),
    ("#a", &["#a"], &["a", "b.a", "#.a"]),
    ("**", &["**"], &["a", "a.b", "*"]),
    ("##", &["##"], &["", "a", "#"]),
    (".", &["."], &["", "a", "a.b", ".."]),
    ("a.", &["a."], &["a", "a.b", "a.."]),
    (".a", &[".a"], &["a", "b.a"]),
    ("..", &[".."], &[".", "", "a.b.c"]),
    ("*.", &["a.", "."], &["a", "a.b"]),
    (".#", &[".", ".a", ".a.b"], &["", "a", "a.b"]),
];

/// The definition, without any thought for cost.
fn naive(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], key) => key.is_empty(),
        (["#", rest @ ..], key) => (0..=key.len()).any(|skip| naive(rest, &key[skip..])),
        ([word, rest @ ..], [first, key @ ..]) => {
            (*word == "*" || word == first) && naive(rest, key)
        }
        _ => false,
    }
}

fn words(text: &str) -> Vec<&str> {
    if text.is_empty() {
        Vec::new()
    } else {
        text.split('.').collect()
    }
}

fn pairs() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    TABLE.iter().flat_map(|(pattern, hits, misses)| {
        let hits = hits.iter().map(|key| (*pattern, *key, true));
        hits.chain(misses.iter().map(|key| (*pattern, *key, false)))
    })
}

#[test]
fn every_pair_of_the_table_matches_as_written() {
    assert!(pairs().count() >= 200, "{}", pairs().count());
    for (pattern, key, expected) in pairs() {
        assert_eq!(
            naive(&words(pattern), &words(key)),
            expected,
            "naive {pattern:?} {key:?}"
        );
        let alone = topic_matches(pattern.as_bytes(), key.as_bytes());
        assert_eq!(alone, expected, "alone {pattern:?} {key:?}");
        let mut topology = with_exchange(ExchangeKind::Topic);
        bind(&mut topology, "x", &to_queue(1), pattern);
        assert_eq!(
            routed(&topology, "x", key) == [1],
            expected,
            "trie {pattern:?} {key:?}"
        );
    }
}

#[test]
fn all_patterns_of_the_table_in_one_trie_match_as_written() {
    let mut topology = with_exchange(ExchangeKind::Topic);
    for (id, (pattern, ..)) in TABLE.iter().enumerate() {
        bind(&mut topology, "x", &to_queue(id as u64), pattern);
    }
    for (_, key, _) in pairs() {
        let expected: Vec<u64> = (0..TABLE.len() as u64)
            .filter(|id| naive(&words(TABLE[*id as usize].0), &words(key)))
            .collect();
        assert_eq!(routed(&topology, "x", key), expected, "{key:?}");
    }
}

fn word_strategy() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("a"), 2 => Just("b"), 1 => Just(""), 3 => Just("*"), 3 => Just("#")]
}

fn key_strategy() -> impl Strategy<Value = String> {
    prop::collection::vec(word_strategy(), 0..7).prop_map(|words| words.join("."))
}

proptest! {
    #[test]
    fn the_trie_agrees_with_a_plain_matcher(
        patterns in prop::collection::vec(key_strategy(), 0..40),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        keys in prop::collection::vec(key_strategy(), 1..10),
    ) {
        let mut topology = with_exchange(ExchangeKind::Topic);
        let none = Arguments::new();
        for (id, pattern) in patterns.iter().enumerate() {
            bind(&mut topology, "x", &to_queue(id as u64), pattern);
        }
        let mut bound = vec![true; patterns.len()];
        for index in gone.iter().filter(|_| !patterns.is_empty()) {
            let index = index.index(patterns.len());
            let removed =
                topology.unbind("x", &to_queue(index as u64), patterns[index].as_bytes(), &none);
            prop_assert_eq!(removed.is_empty(), !std::mem::take(&mut bound[index]));
        }
        for key in &keys {
            let expected: Vec<u64> = (0..patterns.len())
                .filter(|id| bound[*id] && naive(&words(&patterns[*id]), &words(key)))
                .map(|id| id as u64)
                .collect();
            prop_assert_eq!(routed(&topology, "x", key), expected, "{:?}", key);
        }
        for pattern in &patterns {
            for key in &keys {
                prop_assert_eq!(
                    topic_matches(pattern.as_bytes(), key.as_bytes()),
                    naive(&words(pattern), &words(key)),
                    "{:?} {:?}", pattern, key
                );
            }
        }
    }
}

#[test]
fn a_trie_without_bindings_is_its_root() {
    use super::super::matcher::{Matcher, Plain};
    let mut topology = with_exchange(ExchangeKind::Topic);
    for (id, (pattern, ..)) in TABLE.iter().enumerate() {
        bind(&mut topology, "x", &to_queue(id as u64), pattern);
    }
    for id in 0..TABLE.len() as u64 {
        assert_eq!(topology.remove_queue(QueueId(id)).bindings.len(), 1);
    }
    let ix = topology.find_exchange("x").expect("declared");
    match &topology.node(ix).matcher {
        Matcher::Plain(Plain::Topic(topic), None) => assert_eq!(topic.node_count(), 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn consecutive_wildcards_do_not_multiply_the_work() {
    let mut topology = with_exchange(ExchangeKind::Topic);
    for id in 1..=60 {
        let pattern = format!("{}#", "#.a.".repeat(id as usize));
        bind(&mut topology, "x", &to_queue(id), &pattern);
        bind(
            &mut topology,
            "x",
            &to_queue(id + 100),
            &format!("#.#.*.#{}.b", pattern),
        );
        bind(
            &mut topology,
            "x",
            &to_queue(id + 200),
            &format!("q{id}.{pattern}"),
        );
        bind(
            &mut topology,
            "x",
            &to_queue(id + 300),
            &format!("#.a.#.z{id}.#.a.#.#"),
        );
    }
    let key = vec!["a"; 127].join(".");
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(routed(&topology, "x", &key), (1..=60).collect::<Vec<u64>>());
    }
    let spent = start.elapsed();
    assert!(spent < Duration::from_secs(2), "20 matches took {spent:?}");
}
