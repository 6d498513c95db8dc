//! What an operator does while clients play: policies, limits, rights, a disk without room, memory
//! that others take.

use ferry_broker::{Broker, LimitsOf, Permission, Policy};
use ferry_core::arguments::{Arguments, Value};

use super::Tape;
use crate::house::Node;

/// Others take this much memory, more than messages may.
const WEIGHT_BYTES: i64 = 100 << 20;

const POLICIES: [&str; 2] = ["p", "q"];
const PATTERNS: [&str; 4] = ["", "^a", "^amq", "b|e"];
const RIGHTS: [&str; 4] = [".*", "^(a|amq)", "", "^[^a]"];
const NAMES: [&str; 4] = ["a", "e", "amq.topic", "nobody"];

const COUNTS: [&str; 14] = [
    "max-length",
    "max-length-bytes",
    "message-ttl",
    "expires",
    "delivery-limit",
    "retry-limit",
    "retry-delay",
    "lease-timeout",
    "shards",
    "publish-rate",
    "publish-byte-rate",
    "deliver-rate",
    "deliver-byte-rate",
    "max-message-bytes",
];
const TRUTHS: [&str; 6] = [
    "message-deduplication",
    "passport",
    "stamp-time",
    "stamp-id",
    "stamp-origin",
    "kind-strict",
];
const LIMITS: [&str; 6] = [
    "publish-rate",
    "deliver-byte-rate",
    "connection-publish-rate",
    "max-queues",
    "max-channels",
    "max-connections",
];

/// What of that must be taken back.
#[derive(Default)]
pub struct Operator {
    weighs: bool,
}

impl Operator {
    /// Does one thing; what is refused is none of the clients' business.
    pub fn act(&mut self, node: &Node, tape: &mut Tape<'_>) {
        let broker = &node.broker;
        match tape.below(8) {
            0 | 1 => {
                if let Ok(policy) = policy(tape) {
                    let _refused = broker.set_policy(policy);
                }
            }
            2 => drop(broker.clear_policy("/", tape.one_of(&POLICIES))),
            3 => {
                let value = Value::I64(i64::from(tape.byte()) - 1);
                let _refused = broker.set_limit(whose(tape), tape.one_of(&LIMITS), &value);
            }
            4 => drop(broker.clear_limit(whose(tape), tape.one_of(&LIMITS))),
            5 => {
                let [configure, write, read] = [(); 3].map(|()| tape.one_of(&RIGHTS));
                permit(broker, configure, write, read);
            }
            6 => match tape.flag() {
                true => node.disk.enospc_after(u64::from(tape.word())),
                false => node.disk.set_capacity(None),
            },
            _ => self.weigh(broker, !self.weighs),
        }
    }

    fn weigh(&mut self, broker: &Broker, weighs: bool) {
        match (self.weighs, weighs) {
            (false, true) => broker.memory().account(WEIGHT_BYTES),
            (true, false) => broker.memory().account(-WEIGHT_BYTES),
            _ => return,
        }
        self.weighs = weighs;
        broker.memory_given_back();
    }

    /// There is room again, on the disk and in memory.
    pub fn make_room(&mut self, node: &Node) {
        node.disk.set_capacity(None);
        self.weigh(&node.broker, false);
    }

    /// Everybody may everything again.
    pub fn permit_all(&mut self, node: &Node) {
        for name in POLICIES {
            let _is_not_there = node.broker.clear_policy("/", name);
        }
        for of in [LimitsOf::Vhost("/".into()), LimitsOf::User("guest".into())] {
            for name in LIMITS {
                node.broker.clear_limit(of.clone(), name).unwrap();
            }
        }
        permit(&node.broker, ".*", ".*", ".*");
    }
}

fn whose(tape: &mut Tape<'_>) -> LimitsOf {
    match tape.flag() {
        true => LimitsOf::Vhost("/".into()),
        false => LimitsOf::User("guest".into()),
    }
}

fn permit(broker: &Broker, configure: &str, write: &str, read: &str) {
    let permission = Permission {
        user: "guest".into(),
        vhost: "/".into(),
        configure: configure.to_owned(),
        write: write.to_owned(),
        read: read.to_owned(),
    };
    let _full_disk = broker.set_permission(permission);
}

fn policy(tape: &mut Tape<'_>) -> Result<Policy, impl std::fmt::Debug> {
    let mut definition = Arguments::new();
    for _ in 0..1 + tape.below(3) {
        let (name, value) = setting(tape);
        definition.insert(name, value);
    }
    let said = Arguments::from_iter([
        ("pattern", Value::from(tape.one_of(&PATTERNS))),
        ("priority", Value::I64(i64::from(tape.byte() % 3))),
        ("definition", Value::Table(definition)),
    ]);
    Policy::read("/", tape.one_of(&POLICIES), &said)
}

fn setting(tape: &mut Tape<'_>) -> (&'static str, Value) {
    let names = |tape: &mut Tape<'_>| Value::Array(vec![Value::from(tape.one_of(&NAMES))]);
    match tape.below(9) {
        0 => (tape.one_of(&TRUTHS), Value::Bool(tape.flag())),
        1 => ("dead-letter-exchange", tape.one_of(&["", "e"]).into()),
        2 => ("dead-letter-routing-key", tape.one_of(&NAMES).into()),
        3 => {
            let overflow = ["drop-head", "reject-publish", "reject-publish-dlx"];
            ("overflow", tape.one_of(&overflow).into())
        }
        4 => ("alternate-exchange", tape.one_of(&NAMES).into()),
        5 => {
            let header = (tape.one_of(&NAMES), Value::I64(tape.byte().into()));
            ("set-headers", Value::Table(Arguments::from_iter([header])))
        }
        6 => ("remove-headers", names(tape)),
        7 => ("require", names(tape)),
        _ => (tape.one_of(&COUNTS), Value::I64(i64::from(tape.byte()) - 1)),
    }
}
