//! Random changes, compared with a model that keeps a list and searches it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 10] = [
    "d", "f", "t", "h", "auto", "later", "once", "hash", "modulus", "random",
];
const KEYS: [&str; 7] = ["a", "a.b", "#", "*.b", "", "1", "20"];
const CRITERIA: usize = 7;

#[derive(Clone, Debug)]
enum Change {
    Declare(usize),
    Delete { name: usize, if_unused: bool },
    Bind(usize, To, usize, usize),
    Unbind(usize, To, usize, usize),
    RemoveQueue(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Queue(u64),
    Exchange(usize),
}

impl To {
    fn destination(self) -> Destination {
        match self {
            To::Queue(queue) => to_queue(queue),
            To::Exchange(name) => to_exchange(NAMES[name]),
        }
    }
}

fn spec(name: usize) -> Exchange {
    let kind = match NAMES[name] {
        "d" => ExchangeKind::Direct,
        "f" => ExchangeKind::Fanout,
        "h" => ExchangeKind::Headers,
        "later" => ExchangeKind::DelayedMessage,
        "once" => ExchangeKind::MessageDeduplication,
        "hash" => ExchangeKind::ConsistentHash,
        "modulus" => ExchangeKind::ModulusHash,
        "random" => ExchangeKind::Random,
        _ => ExchangeKind::Topic,
    };
    Exchange {
        auto_delete: NAMES[name] == "auto",
        arguments: arguments([("x-delayed-type", "direct".into())]),
        ..Exchange::new(NAMES[name], kind)
    }
}

fn criteria(which: usize) -> Arguments {
    match which {
        0 => Arguments::new(),
        1 => arguments([("k", 1i32.into())]),
        2 => arguments([("k", 1i64.into()), ("l", "x".into())]),
        3 => arguments([("x-filter", "k = 1".into())]),
        4 => arguments([("x-filter", "k >= 1 OR l IS NULL".into())]),
        5 => arguments([("k", 1i32.into()), ("x-filter", "l = 'x'".into())]),
        _ => arguments([
            ("x-match", "any".into()),
            ("k", 2i32.into()),
            ("l", "x".into()),
        ]),
    }
}

#[derive(Default)]
struct Model {
    exchanges: BTreeSet<usize>,
    bindings: Vec<(usize, To, usize, usize)>,
}

impl Model {
    fn drop_bindings(&mut self, gone: impl Fn(&(usize, To, usize, usize)) -> bool) {
        let (gone, kept) = self.bindings.drain(..).partition(gone);
        self.bindings = kept;
        let gone: Vec<(usize, To, usize, usize)> = gone;
        for source in gone.into_iter().map(|binding| binding.0) {
            let used = self.bindings.iter().any(|binding| binding.0 == source);
            if NAMES[source] == "auto" && !used && self.exchanges.contains(&source) {
                self.delete(source);
            }
        }
    }

    fn delete(&mut self, name: usize) {
        self.exchanges.remove(&name);
        self.drop_bindings(|binding| binding.0 == name || binding.1 == To::Exchange(name));
    }

    fn has(&self, to: To) -> bool {
        match to {
            To::Queue(_) => true,
            To::Exchange(name) => self.exchanges.contains(&name),
        }
    }

    fn route(&self, exchange: usize, key: &str, headers: &Arguments) -> Vec<u64> {
        let (mut queues, mut seen) = (BTreeSet::new(), BTreeSet::from([exchange]));
        let mut ahead = vec![exchange];
        while let Some(source) = ahead.pop() {
            for to in self.matched(source, key, headers) {
                match to {
                    To::Queue(queue) => drop(queues.insert(queue)),
                    To::Exchange(name) if seen.insert(name) => ahead.push(name),
                    To::Exchange(_) => {}
                }
            }
        }
        queues.into_iter().collect()
    }

    fn matched(&self, source: usize, key: &str, headers: &Arguments) -> Vec<To> {
        let own = self.bindings.iter().filter(|binding| binding.0 == source);
        if hashes(source) {
            return self.picked(source, key, headers).into_iter().collect();
        }
        let matching = own.filter(|(_, _, pattern, which)| {
            binding_matches(source, KEYS[*pattern], *which, key, headers)
                && filter_matches(*which, headers)
        });
        matching.map(|(_, to, ..)| *to).collect()
    }

    /// Whom an exchange picks that was bound from the end of the list, and to nothing else before.
    fn picked(&self, source: usize, key: &str, headers: &Arguments) -> Option<To> {
        const EXCHANGES: u64 = 100;
        let mut fresh = Topology::new("/");
        let own = self.bindings.iter().filter(|binding| binding.0 == source);
        for (name, text) in NAMES.iter().enumerate().filter(|(name, _)| *name != source) {
            declare(&mut fresh, text, ExchangeKind::Fanout);
            bind(&mut fresh, text, &to_queue(EXCHANGES + name as u64), "");
        }
        assert!(fresh.declare_exchange(spec(source)).is_ok());
        for (_, to, pattern, which) in own.clone().rev() {
            let (destination, key) = (to.destination(), KEYS[*pattern].as_bytes());
            let bound = fresh.bind(NAMES[source], &destination, key, &criteria(*which));
            assert_eq!(bound, Ok(true));
        }
        let queues = routed_with(&fresh, NAMES[source], key, headers);
        let unfiltered = !own.clone().any(|(.., which)| (3..=5).contains(which));
        let loops = own.clone().any(|(_, to, ..)| *to == To::Exchange(source));
        assert!(queues.len() <= 1, "one is picked");
        assert!(queues.len() == 1 || own.count() == 0 || !unfiltered || loops);
        queues
            .first()
            .map(|queue| match queue.checked_sub(EXCHANGES) {
                Some(name) => To::Exchange(name as usize),
                None => To::Queue(*queue),
            })
    }
}

fn hashes(name: usize) -> bool {
    matches!(NAMES[name], "hash" | "modulus" | "random")
}

fn filter_matches(which: usize, headers: &Arguments) -> bool {
    let k = headers.get("k").and_then(Value::as_integer);
    match which {
        3 => k == Some(1),
        4 => k >= Some(1) || !headers.contains("l"),
        5 => headers.contains("l"),
        _ => true,
    }
}

fn binding_matches(
    source: usize,
    pattern: &str,
    which: usize,
    key: &str,
    headers: &Arguments,
) -> bool {
    let headers: BTreeMap<&str, i128> = headers
        .iter()
        .map(|(name, value)| (name, value.as_integer().unwrap_or(-1)))
        .collect();
    let (k, l) = (headers.get("k").copied(), headers.contains_key("l"));
    match spec(source).kind {
        ExchangeKind::Direct | ExchangeKind::DelayedMessage => pattern == key,
        ExchangeKind::Fanout | ExchangeKind::MessageDeduplication => true,
        ExchangeKind::Topic => topic_matches(pattern.as_bytes(), key.as_bytes()),
        ExchangeKind::Headers => match which {
            0 | 3 | 4 => true,
            1 | 5 => k == Some(1),
            2 => k == Some(1) && l,
            _ => k == Some(2) || l,
        },
        _ => unreachable!("nothing matches by itself there"),
    }
}

fn apply(topology: &mut Topology, model: &mut Model, change: &Change) {
    match *change {
        Change::Declare(name) => {
            let declared = topology
                .declare_exchange(spec(name))
                .expect("always equivalent");
            assert_eq!(declared.created, model.exchanges.insert(name));
        }
        Change::Delete { name, if_unused } => {
            let used = model.bindings.iter().any(|binding| binding.0 == name);
            let possible = model.exchanges.contains(&name) && !(if_unused && used);
            let deleted = topology.delete_exchange(NAMES[name], if_unused);
            assert_eq!(deleted.is_ok(), possible, "{change:?}");
            if possible {
                model.delete(name);
            }
        }
        Change::Bind(source, to, key, which) => {
            let bound = topology.bind(
                NAMES[source],
                &to.destination(),
                KEYS[key].as_bytes(),
                &criteria(which),
            );
            let weight = NAMES[source] != "hash" || KEYS[key].parse::<u32>().is_ok();
            let possible = model.exchanges.contains(&source) && model.has(to) && weight;
            let binding = (source, to, key, which);
            let new = possible && !model.bindings.contains(&binding);
            assert_eq!(bound.ok(), possible.then_some(new), "{change:?}");
            if new {
                model.bindings.push(binding);
            }
        }
        Change::Unbind(source, to, key, which) => {
            let (key_bytes, criteria) = (KEYS[key].as_bytes(), criteria(which));
            topology.unbind(NAMES[source], &to.destination(), key_bytes, &criteria);
            model.drop_bindings(|binding| *binding == (source, to, key, which));
        }
        Change::RemoveQueue(queue) => {
            topology.remove_queue(QueueId(queue));
            model.drop_bindings(|binding| binding.1 == To::Queue(queue));
        }
    }
}

fn check(topology: &Topology, model: &Model) {
    let listed: Vec<Binding> = topology.bindings().map(|view| view.to_binding()).collect();
    assert_eq!(
        (listed.len(), topology.binding_count()),
        (model.bindings.len(), listed.len())
    );
    for (name, text) in NAMES.iter().enumerate() {
        let exists = model.exchanges.contains(&name);
        assert_eq!(topology.exchange(text).is_some(), exists);
        let incoming = model
            .bindings
            .iter()
            .filter(|b| b.1 == To::Exchange(name))
            .count();
        assert_eq!(topology.bindings_to(text).count(), incoming);
        let outgoing = model.bindings.iter().filter(|b| b.0 == name).count();
        assert_eq!(topology.bindings_from(text).count(), outgoing);
        if !exists {
            continue;
        }
        for key in ["a", "a.b", "b.b", "", "#"] {
            for headers in [
                Arguments::new(),
                arguments([("k", 1i32.into())]),
                arguments([("k", 1i32.into()), ("l", "x".into())]),
                arguments([("k", 2i32.into())]),
            ] {
                let expected = model.route(name, key, &headers);
                let routed = routed_with(topology, text, key, &headers);
                assert_eq!(routed, expected, "{text} {key:?} {headers:?}");
            }
        }
    }
    for queue in 0..4 {
        let bound = model
            .bindings
            .iter()
            .filter(|b| b.1 == To::Queue(queue))
            .count();
        assert_eq!(topology.bindings_of_queue(QueueId(queue)).count(), bound);
    }
}

fn change_strategy() -> impl Strategy<Value = Change> {
    let name = || 0..NAMES.len();
    let to = || prop_oneof![3 => (0..4u64).prop_map(To::Queue), 1 => name().prop_map(To::Exchange)];
    prop_oneof![
        3 => name().prop_map(Change::Declare),
        1 => (name(), any::<bool>())
            .prop_map(|(name, if_unused)| Change::Delete { name, if_unused }),
        8 => (name(), to(), 0..KEYS.len(), 0..CRITERIA)
            .prop_map(|(source, to, key, which)| Change::Bind(source, to, key, which)),
        3 => (name(), to(), 0..KEYS.len(), 0..CRITERIA)
            .prop_map(|(source, to, key, which)| Change::Unbind(source, to, key, which)),
        1 => (0..4u64).prop_map(Change::RemoveQueue),
    ]
}

proptest! {
    #[test]
    fn any_changes_leave_what_the_model_has(
        changes in prop::collection::vec(change_strategy(), 0..80),
        seed in any::<u64>(),
    ) {
        let mut topology = Topology::with_seed("/", seed);
        let mut model = Model::default();
        for name in 0..NAMES.len() {
            apply(&mut topology, &mut model, &Change::Declare(name));
        }
        for change in &changes {
            apply(&mut topology, &mut model, change);
        }
        check(&topology, &model);
    }
}
