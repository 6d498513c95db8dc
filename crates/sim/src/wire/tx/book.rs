//! What transactions have done, as far as that can be told from outside.
//!
//! ```text
//! open --commit said--> said --commit-ok--> done
//!   '--rolled back, or its connection lost--> void
//! said, and then no answer: whole or not at all, as whatever comes of it shows
//! ```
//!
//! Invariants
//! - A verdict on a transaction comes from what was delivered, or found on a disk: the first piece
//!   of it decides, and every other one must agree.
//! - A verdict that a crash might undo ends with the node; one found on the disk after it stays.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Checked, violated};

/// A transaction, counted from 0.
pub(super) type Number = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The commit is said, and its answer has not been heard, and perhaps never will.
    Said,
    Done,
    Void,
}

#[derive(Debug)]
struct Transaction {
    stage: Stage,
    /// Whether it took place; none if nothing has shown that yet.
    verdict: Option<bool>,
    /// The verdict outlives a crash.
    firm: bool,
}

#[derive(Debug)]
struct Message {
    queue: usize,
    publisher: Number,
    /// Transactions that have taken it, and are not void.
    takers: Vec<Number>,
    /// The connection that has it.
    held: Option<u64>,
    /// It was delivered in this life of the node.
    seen: bool,
}

/// All transactions.
#[derive(Debug, Default)]
pub(in crate::wire) struct Transactions {
    all: Vec<Transaction>,
    messages: BTreeMap<u64, Message>,
}

impl Transactions {
    /// A new transaction.
    pub(super) fn begin(&mut self) -> Number {
        self.all.push(Transaction {
            stage: Stage::Open,
            verdict: None,
            firm: false,
        });
        self.all.len() - 1
    }

    /// It publishes a message; gives its number.
    pub(super) fn publish(&mut self, publisher: Number, queue: usize) -> u64 {
        let id = self.messages.len() as u64 + 1;
        let message = Message {
            queue,
            publisher,
            takers: Vec::new(),
            held: None,
            seen: false,
        };
        self.messages.insert(id, message);
        id
    }

    /// It acknowledges a message.
    pub(super) fn take(&mut self, taker: Number, id: u64) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.takers.push(taker);
        }
    }

    pub(super) fn say_commit(&mut self, number: Number) {
        self.all[number].stage = Stage::Said;
    }

    /// It is rolled back, or its connection went before its commit was said.
    pub(super) fn void(&mut self, number: Number) {
        self.all[number].stage = Stage::Void;
        for message in self.messages.values_mut() {
            message.takers.retain(|taker| *taker != number);
        }
    }

    /// `commit-ok` was heard.
    pub(super) fn done(&mut self, number: Number) -> Checked {
        self.judge(number, true, "its commit was answered")?;
        let transaction = &mut self.all[number];
        (transaction.stage, transaction.firm) = (Stage::Done, true);
        for message in self.messages.values_mut() {
            if message.takers.contains(&number) {
                message.held = None;
            }
        }
        Ok(())
    }

    fn judge(&mut self, number: Number, verdict: bool, why: &str) -> Checked<bool> {
        let transaction = &mut self.all[number];
        match transaction.verdict {
            None => {
                transaction.verdict = Some(verdict);
                Ok(true)
            }
            Some(known) if known == verdict => Ok(false),
            Some(known) => violated!(
                "transaction {number} was committed: {known}, and not: {why} ({transaction:?})"
            ),
        }
    }

    /// A message is delivered.
    pub(super) fn deliver(&mut self, id: u64, queue: usize, life: u64, again: bool) -> Checked {
        let Some(message) = self.messages.get_mut(&id) else {
            return violated!("{id} is in a queue of transactions, and nobody has published it");
        };
        if message.queue != queue {
            return violated!(
                "{id} comes from queue {queue}, and is for {}",
                message.queue
            );
        }
        if let Some(holder) = message.held.replace(life) {
            return violated!("{id} comes to {life}, and {holder} has it");
        }
        if std::mem::replace(&mut message.seen, true) && !again {
            return violated!("{id} comes again as if for the first time");
        }
        let (publisher, takers) = (message.publisher, message.takers.clone());
        if matches!(self.all[publisher].stage, Stage::Open | Stage::Void) {
            let stage = self.all[publisher].stage;
            return violated!("{id} of transaction {publisher} is delivered, which is {stage:?}");
        }
        self.judge(publisher, true, &format!("{id} is delivered"))?;
        for taker in takers {
            self.judge(taker, false, &format!("{id}, which it took, is delivered"))?;
        }
        Ok(())
    }

    /// What a connection had goes back, and it is told so.
    pub(super) fn give_back<'a>(&mut self, ids: impl Iterator<Item = &'a u64>) {
        for id in ids {
            if let Some(message) = self.messages.get_mut(id) {
                message.held = None;
            }
        }
    }

    /// A connection is lost; `open` is what it had not committed.
    pub(super) fn lose(&mut self, life: u64, open: Option<Number>) {
        for message in self.messages.values_mut() {
            message.held.take_if(|holder| *holder == life);
        }
        if let Some(number) = open {
            self.void(number);
        }
    }

    /// The node was down; the queues of a copy of its disk have `found`.
    pub(in crate::wire) fn go_down(&mut self, found: &BTreeSet<u64>) -> Checked {
        for transaction in &mut self.all {
            if !transaction.firm {
                transaction.verdict = None;
            }
        }
        for message in self.messages.values_mut() {
            (message.held, message.seen) = (None, false);
        }
        self.reckon(found)?;
        for transaction in &mut self.all {
            transaction.firm |= transaction.verdict.is_some();
        }
        Ok(())
    }

    /// What is there, and what is not, tells which transactions took place.
    pub(in crate::wire) fn reckon(&mut self, found: &BTreeSet<u64>) -> Checked {
        if let Some(id) = found.iter().find(|id| !self.messages.contains_key(id)) {
            return violated!("{id} is found, and nobody has published it");
        }
        let mut more = true;
        while std::mem::take(&mut more) {
            let messages: Vec<_> = self
                .messages
                .iter()
                .map(|(id, one)| (*id, one.publisher, one.takers.clone()))
                .collect();
            for (id, publisher, takers) in messages {
                more |= match found.contains(&id) {
                    true => self.reckon_present(id, publisher, &takers)?,
                    false => self.reckon_absent(id, publisher, &takers)?,
                };
            }
        }
        Ok(())
    }

    fn reckon_present(&mut self, id: u64, publisher: Number, takers: &[Number]) -> Checked<bool> {
        if matches!(self.all[publisher].stage, Stage::Open | Stage::Void) {
            return violated!("{id} is found, of transaction {publisher}, which was not committed");
        }
        let mut more = self.judge(publisher, true, &format!("{id} is there"))?;
        for taker in takers {
            more |= self.judge(*taker, false, &format!("{id}, which it took, is there"))?;
        }
        Ok(more)
    }

    fn reckon_absent(&mut self, id: u64, publisher: Number, takers: &[Number]) -> Checked<bool> {
        if matches!(self.all[publisher].stage, Stage::Open | Stage::Void) {
            return Ok(false);
        }
        let verdict = |number: &Number| self.all[*number].verdict;
        let may_have: Vec<Number> = (takers.iter().copied())
            .filter(|taker| verdict(taker) != Some(false))
            .collect();
        let taken = takers.iter().any(|taker| verdict(taker) == Some(true));
        match (verdict(&publisher), &may_have[..]) {
            (_, []) => self.judge(publisher, false, &format!("{id} is not there")),
            (Some(true), [taker]) => self.judge(*taker, true, &format!("{id} is not there")),
            (Some(true), _) => Ok(false),
            // Who took it came after it.
            (Some(false), all) => {
                let mut more = false;
                for taker in all {
                    more |= self.judge(*taker, false, &format!("{id} never was there"))?;
                }
                Ok(more)
            }
            (None, _) if taken => self.judge(publisher, true, &format!("{id} was taken")),
            (None, _) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two transactions: one publishes 1 and 2, the other takes 1 and publishes 3.
    fn two() -> Transactions {
        let mut all = Transactions::default();
        let (first, second) = (all.begin(), all.begin());
        all.publish(first, 0);
        all.publish(first, 1);
        all.say_commit(first);
        all.deliver(1, 0, 7, false).unwrap();
        all.take(second, 1);
        all.publish(second, 0);
        all.say_commit(second);
        all.lose(7, None);
        all
    }

    #[test]
    fn a_transaction_is_found_whole_or_not_at_all() {
        for (found, first, second) in [
            (&[][..], Some(false), Some(false)),
            (&[1, 2], Some(true), Some(false)),
            (&[2, 3], Some(true), Some(true)),
        ] {
            let mut all = two();
            assert_eq!(all.go_down(&found.iter().copied().collect()), Ok(()));
            let verdicts = [all.all[0].verdict, all.all[1].verdict];
            assert_eq!(verdicts, [first, second], "{found:?}");
        }
        for found in [&[1][..], &[2], &[3], &[1, 3], &[1, 2, 3], &[4]] {
            let found = found.iter().copied().collect();
            assert!(two().go_down(&found).is_err(), "{found:?}");
        }
    }

    #[test]
    fn what_was_answered_took_place_and_what_was_rolled_back_did_not() {
        let mut all = two();
        all.done(0).unwrap();
        assert!(all.go_down(&BTreeSet::new()).is_err());
        let mut all = two();
        all.void(1);
        assert!(all.deliver(3, 0, 8, false).is_err());
        assert!(all.deliver(1, 0, 8, true).is_ok());
        assert!(all.deliver(1, 0, 9, true).is_err(), "held by two");
    }
}
