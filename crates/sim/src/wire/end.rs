//! The beginning and the end of a world: everything is declared before the first step; after the
//! last one everything that was promised comes, and nothing is left.

use std::collections::BTreeSet;

use ferry_broker::{Clock as _, RETAINED_QUEUE};
use ferry_core::queue::QueueKind;

use super::Wires;
use super::desk::{AMQP_CLIENTS, QUEUES};
use crate::life::Life;
use crate::{Checked, violated};

/// Longer than everything that waits for its time.
const LONG_MS: u64 = 10_000;

/// Rounds after which everything that can be said while others wait has been said.
const CALM_ROUNDS_MAX: usize = 30;

/// Rounds after which everything that can be said has been said.
const ROUNDS_MAX: usize = 3_000;

impl Wires {
    /// Everybody comes, and declares and subscribes.
    pub(super) fn get_ready(&mut self) -> Checked {
        for _ in 0..ROUNDS_MAX {
            if self.clients.iter().all(|client| client.is_ready()) {
                return Ok(());
            }
            self.round()?;
        }
        violated!("the beginning has no end")
    }

    /// Everybody says and hears everything.
    fn round(&mut self) -> Checked {
        for client in 0..self.clients.len() {
            self.connect(client);
            if let Some(pipe) = self.clients[client].pipe() {
                pipe.hurry();
                pipe.push_all();
            }
        }
        self.turns(false)?;
        self.commit()?;
        self.end_step()?;
        for client in 0..self.clients.len() {
            self.listen(client, true)?;
        }
        Ok(())
    }

    /// For a moment nothing happens, so that everybody says and hears everything: what was due by
    /// then has come.
    pub(super) fn calm(&mut self) -> Checked {
        self.heal()?;
        self.end_step()?;
        for _ in 0..CALM_ROUNDS_MAX {
            self.round()?;
            for client in 0..self.clients.len() {
                self.act(client, |client, desk| client.settle_all(desk));
            }
            if self.is_all_said() && self.have_sessions_all() {
                return self.check_calm();
            }
        }
        // Publishers may be held as long as nobody consumes.
        Ok(())
    }

    fn check_calm(&mut self) -> Checked {
        for client in 0..self.clients.len() {
            self.act(client, |client, desk| client.check_calm(desk))?;
        }
        self.books.wills.check_calm(self.clock.now())
    }

    /// Whether sessions have got all that is in their queues.
    fn have_sessions_all(&self) -> bool {
        let left = self.left();
        let mut names = left.iter().map(|(name, ..)| name);
        names.all(|name| !name.starts_with("mqtt") && !name.starts_with("json"))
    }

    /// Everything that was promised comes; then nothing is left.
    pub(super) fn finish(&mut self) -> Checked {
        self.trace.line("the end".to_owned());
        self.heal()?;
        self.end_step()?;
        for client in 0..self.clients.len() {
            self.act(client, |client, desk| client.retire(desk));
        }
        self.round()?;
        self.pass(LONG_MS);
        for round in 0..ROUNDS_MAX {
            self.round()?;
            for client in 0..self.clients.len() {
                self.act(client, |client, desk| client.settle_all(desk));
                self.act(client, |client, desk| client.consume_all(desk));
            }
            if round > 0 && self.is_drained() {
                self.check_calm()?;
                self.books.transactions.reckon(&BTreeSet::new())?;
                self.restart()?;
                return self.check_end();
            }
        }
        let ends = self.clients.iter_mut().map(|client| {
            let unread = client.pipe().map(|pipe| pipe.unread());
            (client.name(), client.open_ends(), unread)
        });
        let ends: Vec<_> = ends.filter(|(_, end, _)| end.is_some()).collect();
        violated!("there is no end of it: {:?}, {ends:?}", self.left())
    }

    fn is_drained(&mut self) -> bool {
        self.left().is_empty() && self.is_all_said()
    }

    /// Whether nobody owes anything to anybody.
    fn is_all_said(&mut self) -> bool {
        let mut clients = self.clients.iter_mut();
        clients.all(|client| {
            let is_answered = client.pipe().is_none_or(|pipe| pipe.is_answered());
            is_answered && client.open_ends().is_none()
        })
    }

    /// Queues with messages, and how many.
    fn left(&self) -> Vec<(String, u64, u64)> {
        let Some(vhost) = self.broker.vhost("/") else {
            return Vec::new();
        };
        let queues = vhost.queues();
        let counts = queues
            .iter()
            .filter(|queue| queue.kind() != QueueKind::Stream && queue.name() != RETAINED_QUEUE)
            .map(|queue| (queue.name().to_owned(), queue.ready(), queue.unsettled()));
        counts.filter(|(_, ready, held)| ready + held > 0).collect()
    }

    fn check_end(&mut self) -> Checked {
        let left = self.left();
        if !left.is_empty() {
            return violated!("after a stop there is again {left:?}");
        }
        let used = self.broker.memory().body_bytes();
        if used != 0 {
            return violated!("{used} bytes of memory are used by nothing");
        }
        self.ledger.check_end(QUEUES)?;
        self.books.leases.check_end()?;
        for client in 0..self.clients.len() {
            self.connect(client);
        }
        self.round()?;
        let (connected, clients) = (self.house.connections(), self.clients.len());
        if connected != clients || clients < AMQP_CLIENTS {
            return violated!("{connected} connections of {clients} clients");
        }
        let (confirmed, sent) = (self.ledger.confirmed(), self.ledger.count());
        self.trace.line(format!("{confirmed} confirmed of {sent}"));
        Ok(())
    }
}
