//! What queues are declared to do: drawn as rules for the model, written as arguments for the
//! broker.
//!
//! Invariants
//! - A queue whose dead letters are dropped when they can not arrive has no target that refuses
//!   any: which of them arrived is then not to be seen.

use ferry_broker::SyncPolicy;
use ferry_core::arguments::{Arguments, Value};

use crate::model::policy::is_for;
use crate::model::rules::{Identity, PLAIN, PolicyRules, Rules, Strategy, Waits, WhenFull};
use crate::world::World;

pub(super) fn number(arguments: &mut Arguments, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        arguments.insert(name, Value::I64(value as i64));
    }
}

pub(super) fn text(arguments: &mut Arguments, name: &str, value: &str) {
    arguments.insert(name, Value::Str(value.as_bytes().to_vec()));
}

/// The arguments of a queue with these rules.
pub(super) fn arguments(rules: &Rules) -> Arguments {
    let mut arguments = Arguments::new();
    let into = &mut arguments;
    number(into, "x-message-ttl", rules.ttl_ms);
    number(into, "x-max-length", rules.length_max);
    number(into, "x-max-length-bytes", rules.bytes_max);
    let levels = Some(u64::from(rules.priority_max)).filter(|max| *max > 0);
    number(into, "x-max-priority", levels);
    number(into, "x-delivery-limit", rules.returns_max.map(u64::from));
    number(into, "x-retry-limit", rules.tries_max.map(u64::from));
    number(into, "x-lease-timeout", rules.lease_ms);
    number(into, "x-shards", rules.shards);
    number(into, "x-deliver-rate", rules.rate);
    if let Some(waits) = rules.waits {
        number(into, "x-retry-delay", Some(waits.delay_ms));
        number(into, "x-retry-factor", Some(waits.factor));
        number(into, "x-retry-max-delay", waits.max_ms);
        number(into, "x-retry-jitter", Some(waits.jitter));
    }
    if let Some(identity) = rules.identity {
        into.insert("x-message-deduplication", Value::Bool(true));
        number(into, "x-cache-size", Some(identity.ids_max));
        number(into, "x-cache-ttl", Some(identity.ttl_ms));
    }
    match rules.when_full {
        WhenFull::DropHead => {}
        WhenFull::Reject => text(into, "x-overflow", "reject-publish"),
        WhenFull::RejectDeadLetter => text(into, "x-overflow", "reject-publish-dlx"),
    }
    if let Some((exchange, key)) = &rules.dead_letter {
        text(into, "x-dead-letter-exchange", exchange);
        if let Some(key) = key {
            text(into, "x-dead-letter-routing-key", key);
        }
    }
    match rules.strategy {
        Some(Strategy::AtMostOnce) => text(into, "x-dead-letter-strategy", "at-most-once"),
        Some(Strategy::AtLeastOnce) => text(into, "x-dead-letter-strategy", "at-least-once"),
        Some(Strategy::UntilTaken) | None => {}
    }
    if rules.returns_max.is_some() {
        text(into, "x-queue-type", "quorum");
    }
    if rules.sync != SyncPolicy::Sync {
        text(into, "x-sync", rules.sync.name());
    }
    if rules.single_active {
        into.insert("x-single-active-consumer", Value::Bool(true));
    }
    arguments
}

/// The settings of a policy with these rules.
pub(super) fn settings(rules: &PolicyRules) -> Arguments {
    let mut settings = Arguments::new();
    let into = &mut settings;
    number(into, "message-ttl", rules.ttl_ms);
    number(into, "max-length", rules.length_max);
    number(into, "retry-limit", rules.tries_max.map(u64::from));
    number(into, "lease-timeout", rules.lease_ms);
    number(into, "shards", rules.shards);
    if let Some(waits) = rules.waits {
        number(into, "retry-delay", Some(waits.delay_ms));
        number(into, "retry-factor", Some(waits.factor));
        number(into, "retry-jitter", Some(waits.jitter));
    }
    settings
}

/// The rules that settings stand for.
pub(super) fn rules_of(settings: &Arguments) -> PolicyRules {
    let number = |name: &str| {
        let value = settings.get(name)?.as_integer()?;
        u64::try_from(value).ok()
    };
    let waits = |delay_ms| Waits {
        delay_ms,
        factor: number("retry-factor").unwrap_or(0),
        max_ms: None,
        jitter: number("retry-jitter").unwrap_or(0),
    };
    PolicyRules {
        ttl_ms: number("message-ttl"),
        length_max: number("max-length"),
        tries_max: number("retry-limit").map(|limit| limit as u32),
        waits: number("retry-delay").map(waits),
        lease_ms: number("lease-timeout"),
        shards: number("shards"),
    }
}

impl World {
    /// What the policy says, or nothing.
    pub(super) fn draw_policy(&mut self) -> PolicyRules {
        let waits = self.random.chance(50).then(|| self.draw_waits());
        let shards = if self.workload.order > 0 { 35 } else { 0 };
        let random = &mut self.random;
        PolicyRules {
            ttl_ms: random.chance(30).then(|| 50 + random.below(4000)),
            length_max: random.chance(40).then(|| random.below(10)),
            tries_max: random.chance(40).then(|| 1 + random.below(4) as u32),
            waits: waits.map(|waits| Waits {
                max_ms: None,
                ..waits
            }),
            lease_ms: random.chance(40).then(|| 20 + random.below(4000)),
            shards: random.chance(shards).then(|| 2 + random.below(4)),
        }
    }

    fn draw_waits(&mut self) -> Waits {
        let random = &mut self.random;
        let delay_ms = 10 + random.below(2000);
        Waits {
            delay_ms,
            factor: 1 + random.below(3),
            max_ms: random.chance(50).then(|| delay_ms + random.below(5000)),
            jitter: [0, 10, 50][random.below(3) as usize],
        }
    }

    pub(super) fn draw_rules(&mut self, name: &str) -> Rules {
        let key = |key: &str| Some((String::new(), Some(key.to_owned())));
        let random = &mut self.random;
        match name {
            "d0" => Rules {
                ttl_ms: Some(200 + random.below(4000)),
                dead_letter: key(["w0", "d1"][random.below(2) as usize]),
                ..PLAIN
            },
            "d1" => PLAIN,
            "d2" => Rules {
                length_max: random.chance(70).then(|| 1 + random.below(4)),
                bytes_max: random.chance(30).then(|| 200 + random.below(1000)),
                when_full: WhenFull::Reject,
                ttl_ms: random.chance(30).then(|| 100 + random.below(4000)),
                dead_letter: key("d1").filter(|_| random.chance(50)),
                ..PLAIN
            },
            "w0" => Rules {
                dead_letter: key("d0"),
                returns_max: random.chance(50).then(|| 1 + random.below(3) as u32),
                ..PLAIN
            },
            _ if name.starts_with('o') => self.draw_order_rules(),
            _ => self.draw_work_rules(name),
        }
    }

    /// Queues with shards, and such that have consumers with filters only.
    fn draw_order_rules(&mut self) -> Rules {
        let waits = self.random.chance(40).then(|| self.draw_waits());
        let random = &mut self.random;
        let dead = Some((String::new(), Some("d1".to_owned())));
        Rules {
            ttl_ms: random.chance(15).then(|| 100 + random.below(5000)),
            shards: random.chance(70).then(|| 2 + random.below(4)),
            length_max: random.chance(25).then(|| 4 + random.below(20)),
            when_full: [WhenFull::DropHead, WhenFull::Reject][random.below(2) as usize],
            priority_max: [0, 0, 0, 3][random.below(4) as usize],
            dead_letter: dead.filter(|_| random.chance(30)),
            tries_max: random.chance(30).then(|| 1 + random.below(5) as u32),
            waits,
            lease_ms: random.chance(30).then(|| 20 + random.below(4000)),
            single_active: random.chance(15),
            rate: random.chance(8).then(|| 1 + random.below(60)),
            ..PLAIN
        }
    }

    fn draw_work_rules(&mut self, name: &str) -> Rules {
        let features = self.workload.features;
        let waits = self.random.chance(features).then(|| self.draw_waits());
        let random = &mut self.random;
        let key = |key: &str| Some((String::new(), Some(key.to_owned())));
        let durable = name.starts_with('w') || name.starts_with('a');
        let strategies = [
            None,
            Some(Strategy::AtMostOnce),
            Some(Strategy::AtLeastOnce),
        ];
        let strategy = strategies[random.below(5).saturating_sub(2) as usize];
        let strategy = strategy.filter(|_| durable);
        let when_full = [
            WhenFull::DropHead,
            WhenFull::Reject,
            WhenFull::RejectDeadLetter,
        ];
        let when_full = when_full[random.below(3) as usize];
        let keeps = durable
            && strategy != Some(Strategy::AtMostOnce)
            && when_full != WhenFull::RejectDeadLetter;
        let dead_letter = match random.below(6) {
            0 => key("d0"),
            1 => key("d1"),
            2 => Some(("dead".to_owned(), None)),
            3 => Some(("nowhere".to_owned(), None)),
            4 if keeps => key("d2"),
            _ => None,
        };
        // Of leases that end together it is not known which message is back first, and so not
        // which one is too long for what is left.
        let lease_ms = random.chance(features).then(|| 20 + random.below(4000));
        let timed = lease_ms.is_some() || is_for(name);
        let sync = [SyncPolicy::Sync, SyncPolicy::Written, SyncPolicy::Memory];
        Rules {
            ttl_ms: random.chance(20).then(|| 100 + random.below(5000)),
            length_max: random.chance(30).then(|| random.below(12)),
            bytes_max: (random.chance(15) && !timed).then(|| random.below(6000)),
            when_full,
            priority_max: match random.below(16) {
                0..=2 => 1 + random.below(9) as u8,
                3 => 255,
                _ => 0,
            },
            strategy: strategy.filter(|_| dead_letter.is_some()),
            dead_letter,
            returns_max: None,
            tries_max: random
                .chance(features / 2)
                .then(|| 1 + random.below(5) as u32),
            waits,
            lease_ms,
            identity: random.chance(features).then(|| Identity {
                ids_max: 2 + random.below(40),
                ttl_ms: 500 + random.below(1_200_000),
            }),
            sync: sync[random.below(10).saturating_sub(7) as usize],
            single_active: random.chance(15),
            shards: None,
            rate: random.chance(features / 3).then(|| 1 + random.below(60)),
        }
    }
}
