//! Exchanges and bindings as they must be, and where a message goes by them.
//!
//! Invariants
//! - A binding stands until it is removed or one of its ends goes.

use std::collections::{BTreeMap, BTreeSet};

use super::order::FILTERS;
use super::{Life, Step};
use crate::format::Dress;
use crate::{Checked, violated};

/// How an exchange matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By the whole key.
    Direct,
    /// Everything.
    Fanout,
    /// By patterns.
    Topic,
    /// One of all, by a hash.
    Hash,
}

/// An exchange.
#[derive(Debug, Clone)]
pub struct ExchangeModel {
    /// How it matches.
    pub kind: Kind,
    /// Whether it outlives the broker.
    pub durable: bool,
    /// Whether it is certainly there.
    pub life: Life,
}

/// A binding of a queue: exchange, queue, key, and its filter of [`FILTERS`].
pub type Binding = (String, u64, String, Option<usize>);

/// What a hash chooses: a queue with a weight, and its filters are asked afterwards.
type Member = (u64, String);

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    /// Exchanges by name.
    pub exchanges: BTreeMap<String, ExchangeModel>,
    /// Bindings.
    pub bindings: BTreeMap<Binding, Life>,
    /// Which members a hash may have chosen for a key, and the bindings at that time.
    hashed: BTreeMap<String, (BTreeSet<Binding>, BTreeSet<Member>)>,
    /// Exchanges that went, until that is safe.
    pub gone_exchanges: Vec<(String, ExchangeModel, Life)>,
    /// Bindings that went, until that is safe.
    pub gone_bindings: Vec<(Binding, Life, Life)>,
}

impl Routing {
    /// The queues that a message goes to; none if there is no such exchange.
    #[must_use]
    pub fn route(&self, exchange: &str, key: &str, dress: &Dress) -> Option<BTreeSet<u64>> {
        let kind = self.exchanges.get(exchange)?.kind;
        let from = self
            .bindings
            .keys()
            .filter(|(source, _, _, _)| source == exchange);
        let passes = |filter: &Option<usize>| filter.is_none_or(|filter| FILTERS[filter].1(dress));
        let from = from.filter(|(_, _, _, filter)| passes(filter));
        let matching = from.filter(|(_, _, bound, _)| match kind {
            Kind::Direct => bound == key,
            Kind::Fanout | Kind::Hash => true,
            Kind::Topic => {
                let words = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
                matches(&words(bound), &words(key))
            }
        });
        Some(matching.map(|(_, queue, _, _)| *queue).collect())
    }

    /// A hash chose for a message: one member of those that are bound, whose filters may
    /// refuse it then, and the same one as before if the bindings are the same.
    pub fn check_hash(
        &mut self,
        exchange: &str,
        (key, dress): (&str, &Dress),
        chosen: &BTreeSet<u64>,
    ) -> Checked {
        let bound: BTreeSet<Binding> = self
            .bindings
            .keys()
            .filter(|(source, _, _, _)| source == exchange)
            .cloned()
            .collect();
        let member = |(_, queue, weight, _): &Binding| (*queue, weight.clone());
        let passes = |of: &Binding| of.3.is_none_or(|filter| FILTERS[filter].1(dress));
        let takers: BTreeSet<Member> = bound.iter().filter(|of| passes(of)).map(member).collect();
        let (of, candidates) = self.hashed.entry(key.to_owned()).or_default();
        if *of != bound {
            *candidates = bound.iter().map(member).collect();
            *of = bound;
        }
        let before = candidates.clone();
        candidates.retain(|member| match takers.contains(member) {
            true => chosen.iter().eq([&member.0]),
            false => chosen.is_empty(),
        });
        if candidates.is_empty() && !(of.is_empty() && chosen.is_empty()) {
            return violated!("the hash of {key} chooses {chosen:?} of {before:?}, of {of:?}");
        }
        Ok(())
    }

    /// A binding goes.
    pub fn unbind(&mut self, binding: &Binding, step: Step) {
        if let Some(life) = self.bindings.remove(binding) {
            self.gone_bindings
                .push((binding.clone(), life, Life::new(step)));
        }
    }

    /// A queue goes, and its bindings.
    pub fn queue_gone(&mut self, queue: u64, step: Step) {
        let of_queue: Vec<Binding> = self
            .bindings
            .keys()
            .filter(|(_, to, _, _)| *to == queue)
            .cloned()
            .collect();
        of_queue
            .iter()
            .for_each(|binding| self.unbind(binding, step));
    }

    /// An exchange goes, and its bindings.
    pub fn exchange_gone(&mut self, name: &str, step: Step) {
        if let Some(exchange) = self.exchanges.remove(name) {
            self.gone_exchanges
                .push((name.to_owned(), exchange, Life::new(step)));
        }
        let from: Vec<Binding> = self
            .bindings
            .keys()
            .filter(|(source, _, _, _)| source == name)
            .cloned()
            .collect();
        from.iter().for_each(|binding| self.unbind(binding, step));
    }

    /// After a restart: what is safe must have been found.
    pub fn check_lost(
        &self,
        safe: &dyn Fn(&Life) -> bool,
        queues: &BTreeSet<u64>,
        exchanges: &BTreeMap<String, Kind>,
        bindings: &BTreeSet<Binding>,
    ) -> Checked {
        for (name, exchange) in &self.exchanges {
            if exchange.durable && safe(&exchange.life) && !exchanges.contains_key(name) {
                return violated!("exchange {name} is lost");
            }
        }
        for (binding, life) in &self.bindings {
            let durable = |exchange: &ExchangeModel| exchange.durable;
            let ends =
                queues.contains(&binding.1) && self.exchanges.get(&binding.0).is_some_and(durable);
            if ends && safe(life) && !bindings.contains(binding) {
                return violated!("binding {binding:?} is lost");
            }
        }
        Ok(())
    }

    /// After a restart: what was found must have been there, and not have gone for certain.
    pub fn check_invented(
        &self,
        safe: &dyn Fn(&Life) -> bool,
        bindings: &BTreeSet<Binding>,
    ) -> Checked {
        for binding in bindings {
            let mut gone = self
                .gone_bindings
                .iter()
                .filter(|(gone, _, _)| gone == binding);
            let might = gone.any(|(_, _, end)| !safe(end));
            let here = self.exchanges.get(&binding.0).into_iter();
            let gone = self
                .gone_exchanges
                .iter()
                .filter(|(name, _, _)| *name == binding.0);
            let mut sources = here.chain(gone.map(|(_, exchange, _)| exchange));
            let durable = sources.any(|exchange| exchange.durable);
            if !(might || durable && self.bindings.contains_key(binding)) {
                return violated!("binding {binding:?} came out of nothing");
            }
        }
        Ok(())
    }

    /// After a restart: goes on from what was found.
    pub fn adopt(
        &mut self,
        safe: &dyn Fn(&Life) -> bool,
        exchanges: &BTreeMap<String, Kind>,
        bindings: &BTreeSet<Binding>,
    ) -> Checked {
        for (name, exchange, end) in std::mem::take(&mut self.gone_exchanges) {
            let kind = exchanges.get(&name).copied();
            let here = self.exchanges.get(&name).map(|exchange| exchange.kind);
            if here != kind && kind == Some(exchange.kind) {
                if safe(&end) {
                    return violated!("exchange {name} came back after it was deleted");
                }
                self.exchanges.insert(name, exchange);
            }
        }
        self.exchanges
            .retain(|name, exchange| exchanges.get(name) == Some(&exchange.kind));
        if let Some(name) = exchanges
            .keys()
            .find(|name| !self.exchanges.contains_key(*name))
        {
            return violated!("exchange {name} came out of nothing");
        }
        let life = Life {
            step: 0,
            confirmed: true,
        };
        self.gone_bindings.clear();
        self.bindings = bindings
            .iter()
            .map(|binding| (binding.clone(), life))
            .collect();
        self.exchanges
            .values_mut()
            .for_each(|exchange| exchange.life = life);
        Ok(())
    }
}

/// The rule of topics, written down once more: `*` is a word, `#` is any number of words.
fn matches(pattern: &[String], key: &[String]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((first, rest)) if first == "#" => {
            (0..=key.len()).any(|skipped| matches(rest, &key[skipped..]))
        }
        Some((first, rest)) => match key.split_first() {
            Some((word, others)) => (first == "*" || first == word) && matches(rest, others),
            None => false,
        },
    }
}
