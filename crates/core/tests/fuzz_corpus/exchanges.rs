//! Changes of bindings on exchanges of the four classic kinds: routes are those of a list that is
//! searched from end to end, and the way that is told of a message leads where it went.

use std::collections::BTreeSet;

use ferry_core::arguments::{Arguments, Value};
use ferry_core::routing::{
    Destination, Exchange, ExchangeKind, Leg, QueueId, Topology, topic_matches,
};

/// Each leads what it routes nowhere to the next; the last keeps it.
const EXCHANGES: [(&str, ExchangeKind); 4] = [
    ("d", ExchangeKind::Direct),
    ("t", ExchangeKind::Topic),
    ("h", ExchangeKind::Headers),
    ("f", ExchangeKind::Fanout),
];
const KEYS: [&str; 8] = ["", "a", "b", "a.b", "#", "*", "a.#", "*.b"];
const QUEUES: usize = 8;
/// Fewer than the legs that are told of a message.
const CHANGES_MAX: usize = 48;

/// A binding: from an exchange, to a queue or, behind all of them, an exchange, a key, criteria.
type Bound = (usize, usize, usize, u8);

fn destination(to: usize) -> Destination {
    match to.checked_sub(QUEUES) {
        None => Destination::Queue(QueueId(to as u64)),
        Some(exchange) => Destination::Exchange(EXCHANGES[exchange].0.into()),
    }
}

/// Two criteria and how many of them are needed; other bytes below 64 are others.
fn criteria(which: u8) -> Arguments {
    const MODES: [Option<&str>; 4] = [None, Some("any"), Some("all-with-x"), Some("any-with-x")];
    let value = |which: u8| match which & 3 {
        0 => None,
        1 => Some(Value::I32(1)),
        2 => Some(Value::from("x")),
        _ => Some(Value::Void),
    };
    let mode = MODES[usize::from(which >> 4 & 3)].map(Value::from);
    let all = [
        ("x-match", mode),
        ("a", value(which)),
        ("x-b", value(which >> 2)),
    ];
    let given = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    given.collect()
}

fn headers(number: u8) -> Arguments {
    let value = |which: u8| match which & 3 {
        0 => None,
        // The same to the criterion, which is narrower.
        1 => Some(Value::I64(1)),
        2 => Some(Value::from("x")),
        _ => Some(Value::I64(2)),
    };
    let all = [("a", value(number)), ("x-b", value(number >> 2))];
    let given = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    given.collect()
}

fn criteria_hold(which: u8, number: u8) -> bool {
    let holds = |criterion: u8, header: u8| match (criterion & 3, header & 3) {
        (3, header) => header != 0,
        (criterion, header) => criterion == header,
    };
    let (any, with_x) = (which >> 4 & 1 == 1, which >> 5 & 1 == 1);
    let (a, b) = (which & 3, if with_x { which >> 2 & 3 } else { 0 });
    let both = [(a, number), (b, number >> 2)];
    let mut asked = both.into_iter().filter(|(criterion, _)| *criterion != 0);
    match any {
        true => asked.any(|(criterion, header)| holds(criterion, header)),
        false => asked.all(|(criterion, header)| holds(criterion, header)),
    }
}

/// The queues that a list of bindings leads to.
fn searched(bindings: &[Bound], first: usize, key: &str, number: u8) -> BTreeSet<u64> {
    let (mut queues, mut seen) = (BTreeSet::new(), BTreeSet::from([first]));
    let mut ahead = vec![first];
    while let Some(exchange) = ahead.pop() {
        let own = bindings.iter().filter(|bound| bound.0 == exchange);
        let mut next: Vec<usize> = own
            .filter(|(_, _, pattern, which)| match EXCHANGES[exchange].1 {
                ExchangeKind::Direct => KEYS[*pattern] == key,
                ExchangeKind::Topic => topic_matches(KEYS[*pattern].as_bytes(), key.as_bytes()),
                ExchangeKind::Headers => criteria_hold(*which, number),
                _ => true,
            })
            .map(|bound| bound.1)
            .collect();
        if next.is_empty() && exchange + 1 < EXCHANGES.len() {
            next.push(QUEUES + exchange + 1);
        }
        for to in next {
            match to.checked_sub(QUEUES) {
                None => drop(queues.insert(to as u64)),
                Some(exchange) if seen.insert(exchange) => ahead.push(exchange),
                Some(_) => {}
            }
        }
    }
    queues
}

/// Each leg begins where one before has led; gives the queues that they lead to.
fn reached(first: &str, legs: &[Leg<'_>]) -> BTreeSet<u64> {
    let (mut queues, mut exchanges) = (BTreeSet::new(), BTreeSet::from([first.to_owned()]));
    for leg in legs {
        let (from, to) = match leg {
            Leg::Binding(binding) => (&**binding.source, binding.destination.clone()),
            Leg::Alternate { source, alternate } => {
                (*source, Destination::Exchange((*alternate).into()))
            }
        };
        assert!(exchanges.contains(from), "{first} {legs:?}");
        match to {
            Destination::Queue(queue) => drop(queues.insert(queue.0)),
            Destination::Exchange(name) => drop(exchanges.insert(name.to_string())),
        }
    }
    queues
}

/// Changes of four bytes each: a binding, one that goes, or a queue that goes with all of its own.
pub fn check_exchanges(bytes: &[u8]) {
    let mut topology = Topology::new("/");
    for (number, (name, kind)) in EXCHANGES.into_iter().enumerate() {
        let alternate = EXCHANGES.get(number + 1).map(|(next, _)| *next);
        let arguments = alternate.map(|next| ("alternate-exchange", next));
        let exchange = Exchange {
            arguments: arguments.into_iter().collect(),
            ..Exchange::new(name, kind)
        };
        topology.declare_exchange(exchange).expect("it is new");
    }
    let mut bindings: Vec<Bound> = Vec::new();
    for [what, to, key, which] in bytes.as_chunks::<4>().0.iter().take(CHANGES_MAX) {
        let (exchange, to) = (usize::from(what % 4), usize::from(to % 12));
        let (key, which) = (usize::from(key % 8), which % 64);
        let bound = (exchange, to, key, which);
        let (source, there) = (EXCHANGES[exchange].0, bindings.contains(&bound));
        let (key, arguments) = (KEYS[key].as_bytes(), criteria(which));
        match what >> 2 & 3 {
            0 | 1 => {
                let is_new = topology.bind(source, &destination(to), key, &arguments);
                assert_eq!(is_new, Ok(!there), "{bound:?}");
                bindings.extend((!there).then_some(bound));
            }
            2 => {
                let removed = topology.unbind(source, &destination(to), key, &arguments);
                assert_eq!(removed.is_empty(), !there, "{bound:?}");
                bindings.retain(|other| *other != bound);
            }
            _ => {
                topology.remove_queue(QueueId((to % QUEUES) as u64));
                bindings.retain(|other| other.1 != to % QUEUES);
            }
        }
    }
    assert_eq!(topology.binding_count(), bindings.len());
    for number in 0..16u8 {
        let (key, headers) = (KEYS[usize::from(number % 8)], headers(number));
        for (place, (exchange, _)) in EXCHANGES.into_iter().enumerate() {
            let mut found = Vec::new();
            let (keys, chance) = ([key.as_bytes()], || 0);
            topology
                .route(exchange, keys[0], &headers, &chance, &mut found)
                .expect("the exchange is there");
            let expected = searched(&bindings, place, key, number);
            let queues: BTreeSet<u64> = found.iter().map(|queue| queue.0).collect();
            assert_eq!(
                queues, expected,
                "{exchange} {key} {headers:?} {bindings:?}"
            );
            let legs = topology.trace(exchange, &keys, &headers, &found);
            assert_eq!(reached(exchange, &legs), queues, "{legs:?}");
        }
    }
}
