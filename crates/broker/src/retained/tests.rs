//! The index against a list, and filters against a matcher that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use ferry_core::queue::LeaseId;
use proptest::prelude::*;

use super::index::{Held, Index};
use super::walk::RetainedCursor;
use crate::Lease;

fn held(number: u64, expires_at: u64) -> Held {
    Held {
        lease: Lease(LeaseId::from_u64(number)),
        bytes: NonZeroU32::new(number as u32 % 100 + 32).unwrap(),
        expires_at,
    }
}

/// Whether a filter takes a topic, level by level.
fn takes(filter: &str, topic: &str) -> bool {
    fn rest(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            (["*", filter @ ..], [_, topic @ ..]) => rest(filter, topic),
            ([one, filter @ ..], [other, topic @ ..]) => one == other && rest(filter, topic),
            (filter, topic) => filter.is_empty() && topic.is_empty(),
        }
    }
    let wild =
        filter == "#" || filter.starts_with("#.") || filter == "*" || filter.starts_with("*.");
    let (filter, topic): (Vec<&str>, Vec<&str>) =
        (filter.split('.').collect(), topic.split('.').collect());
    !(wild && topic[0].starts_with('$')) && rest(&filter, &topic)
}

/// All that a filter takes, in pieces of `limit`.
fn find(index: &Index, filter: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut after: Option<RetainedCursor> = None;
    loop {
        let (page, _) = index.page(filter.as_bytes(), limit, after.as_ref(), 0);
        assert!(page.topics.len() <= limit);
        let texts = page.topics.into_iter().map(String::from_utf8);
        found.extend(texts.map(|text| text.unwrap()));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

fn filled(topics: &[&str]) -> Index {
    let mut index = Index::default();
    for (number, topic) in topics.iter().enumerate() {
        index.set(topic.as_bytes(), held(number as u64, 0));
    }
    index
}

#[test]
fn filters_take_what_they_say() {
    let topics = [
        "a", "b", "a.b", "a.c", "a.b.c", "a.x.c", "a.b.c.d", ".a", "a.", ".", "..", "a..c", "$SYS",
        "$SYS.a", "$SYS.a.c", "a.$x", "*", "a.*", "#",
    ];
    let index = filled(&topics);
    for (filter, expected) in [
        ("a", &["a"][..]),
        ("a.b", &["a.b"]),
        ("a.none", &[]),
        ("a.b.c.d.e", &[]),
        ("*", &["a", "b", "*", "#"]),
        ("a.*.c", &["a.b.c", "a.x.c", "a..c"]),
        ("a.b.#", &["a.b", "a.b.c", "a.b.c.d"]),
        ("*.a", &[".a"]),
        ("$SYS.#", &["$SYS", "$SYS.a", "$SYS.a.c"]),
        ("$SYS.*", &["$SYS.a"]),
        ("a.*", &["a.b", "a.c", "a.", "a.$x", "a.*"]),
        (".", &["."]),
        ("..", &[".."]),
        ("*.*.*", &["a.b.c", "a.x.c", "..", "a..c"]),
        ("", &[]),
    ] {
        let mut found = find(&index, filter, 2);
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{filter}");
    }
    let all = find(&index, "#", 3);
    assert_eq!(all.len(), topics.len() - 3, "all but those of $SYS");
}

#[test]
fn a_walk_without_a_find_ends_in_pieces() {
    let mut index = Index::default();
    for number in 0..10_000 {
        index.set(format!("d.{number}.state").as_bytes(), held(number, 0));
    }
    index.set(b"d.77.alarm", held(77, 0));
    let (page, _) = index.page(b"*.*.alarm", 10, None, 0);
    assert!(page.next.is_some(), "it is not walked at once");
    assert_eq!(find(&index, "*.*.alarm", 10), ["d.77.alarm"]);
    assert_eq!(find(&index, "d.*.state", 1000).len(), 10_000);
}

#[test]
fn a_filter_looks_at_nothing_beside_its_names() {
    let mut index = Index::default();
    for number in 0..5_000 {
        index.set(format!("a.x.c.{number}").as_bytes(), held(number, 0));
        index.set(format!("b.{number}.c").as_bytes(), held(number, 0));
    }
    for number in 0..10 {
        index.set(format!("a.{number}.c").as_bytes(), held(number, 0));
    }
    let (page, _) = index.page(b"a.*.c", 100, None, 0);
    assert_eq!((page.topics.len(), page.next), (10, None));
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let topics = ["a", "a.b", "a.b.c", "x.y.z", "", "."];
    let mut index = filled(&topics);
    assert_eq!(index.topics(), 6);
    assert_eq!(
        index.remove(b"a.b").map(|held| held.lease.0.to_u64()),
        Some(1)
    );
    assert_eq!((index.remove(b"a.b"), index.remove(b"x.y")), (None, None));
    assert!(index.get(b"a.b.c").is_some());
    for topic in topics {
        index.remove(topic.as_bytes());
    }
    assert_eq!((index.topics(), index.bytes()), (0, 0));
    assert_eq!(index.sizes(), (0, 0, 0));
}

#[test]
fn what_has_expired_is_met_and_not_given() {
    let mut index = filled(&["a.kept"]);
    index.set(b"a.old", held(1, 10));
    index.set(b"a.older", held(2, 5));
    index.set(b"a.later", held(3, 11));
    assert_eq!(index.next_expiry(), Some(5));
    let (page, expired) = index.page(b"a.#", 10, None, 10);
    assert_eq!((page.topics.len(), expired.len()), (2, 2));
    let taken = index.take_expired(10, 1);
    assert_eq!(taken, [Lease(LeaseId::from_u64(2))]);
    assert_eq!(index.take_expired(10, 9).len(), 1);
    index.set(b"a.later", held(4, 0));
    assert_eq!((index.next_expiry(), index.topics()), (None, 2));
}

#[derive(Debug, Clone)]
enum Act {
    Set(String, u64),
    Remove(String),
    Expire(u64),
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "", "$s"])
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("."))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("*")];
    let levels = prop::collection::vec(level, 0..5);
    (levels, any::<bool>()).prop_filter_map("a filter has a level", |(mut levels, rest)| {
        if rest {
            levels.push("#");
        }
        (!levels.is_empty()).then(|| levels.join("."))
    })
}

fn act() -> impl Strategy<Value = Act> {
    let expiry = prop_oneof![2 => Just(0), 1 => 1u64..50];
    prop_oneof![
        6 => (topic(), expiry).prop_map(|(topic, at)| Act::Set(topic, at)),
        3 => topic().prop_map(Act::Remove),
        1 => (1u64..50).prop_map(Act::Expire),
    ]
}

#[derive(Default)]
struct Model {
    index: Index,
    topics: BTreeMap<String, Held>,
    next: u64,
}

impl Model {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Set(topic, expires_at) => {
                self.next += 1;
                let held = held(self.next, *expires_at);
                let before = self.index.set(topic.as_bytes(), held);
                assert_eq!(before, self.topics.insert(topic.clone(), held));
            }
            Act::Remove(topic) => {
                let removed = self.index.remove(topic.as_bytes());
                assert_eq!(removed, self.topics.remove(topic));
            }
            Act::Expire(now) => {
                let taken = self.index.take_expired(*now, usize::MAX);
                let before = self.topics.len();
                self.topics.retain(|_, held| !held.expired(*now));
                assert_eq!(taken.len(), before - self.topics.len());
            }
        }
        self.check();
    }

    fn check(&self) {
        let bytes: u64 = self
            .topics
            .values()
            .map(|held| u64::from(held.bytes.get()))
            .sum();
        assert_eq!(self.index.topics(), self.topics.len() as u64);
        assert_eq!(self.index.bytes(), bytes);
        let prefixes: BTreeSet<&str> = self
            .topics
            .keys()
            .flat_map(|topic| {
                let ends = topic.match_indices('.').map(|(at, _)| at);
                ends.chain([topic.len()]).map(|end| &topic[..end])
            })
            .collect();
        let names: BTreeSet<&str> = self
            .topics
            .keys()
            .flat_map(|topic| topic.split('.'))
            .collect();
        let nodes = prefixes.len();
        assert_eq!(self.index.sizes(), (nodes, nodes, names.len()));
    }
}

proptest! {
    #[test]
    fn the_index_says_what_a_list_says(
        acts in prop::collection::vec(act(), 0..60),
        filters in prop::collection::vec((filter(), 1usize..5), 1..8),
    ) {
        let mut model = Model::default();
        acts.iter().for_each(|act| model.act(act));
        for (filter, limit) in filters {
            let mut found = find(&model.index, &filter, limit);
            found.sort_unstable();
            let topics = model.topics.keys();
            let expected: Vec<_> = topics.filter(|topic| takes(&filter, topic)).cloned().collect();
            prop_assert_eq!(found, expected, "{}", filter);
        }
    }

    #[test]
    fn what_is_there_during_all_pieces_comes_once(
        before in prop::collection::vec(act(), 0..60),
        during in prop::collection::vec(act(), 0..40),
        filter in filter(),
    ) {
        let mut model = Model::default();
        before.iter().for_each(|act| model.act(act));
        let mut always: BTreeSet<String> = model.topics.keys().cloned().collect();
        let mut found = Vec::new();
        let mut after = None;
        let mut acts = during.iter();
        loop {
            let (page, _) = model.index.page(filter.as_bytes(), 1, after.as_ref(), 0);
            found.extend(page.topics.into_iter().map(|key| String::from_utf8(key).unwrap()));
            after = page.next;
            if after.is_none() {
                break;
            }
            for act in acts.by_ref().take(2) {
                model.act(act);
                always.retain(|topic| model.topics.contains_key(topic));
            }
        }
        for topic in always.iter().filter(|topic| takes(&filter, topic)) {
            let times = found.iter().filter(|one| *one == topic).count();
            prop_assert_eq!(times, 1, "{} in {:?}", topic, found);
        }
    }
}
