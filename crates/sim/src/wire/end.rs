//! The beginning and the end of a world: everything is declared before the first step; after the
//! last one everything that was promised comes, and nothing is left.

use super::Wires;
use super::client::Client;
use super::desk::{AMQP_CLIENTS, Desk, QUEUES};
use crate::{Checked, violated};

/// Rounds after which everything that can be said has been said.
const ROUNDS_MAX: usize = 3_000;

impl Wires {
    /// Everybody comes, and declares and subscribes.
    pub(super) fn begin(&mut self) -> Checked {
        for _ in 0..ROUNDS_MAX {
            if self.clients.iter().all(Client::is_ready) {
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

    /// Everything that was promised comes; then nothing is left.
    pub(super) fn end(&mut self) -> Checked {
        self.trace.line("the end".to_owned());
        self.heal()?;
        self.end_step()?;
        for round in 0..ROUNDS_MAX {
            self.round()?;
            for client in 0..self.clients.len() {
                self.act(client, Client::settle_all);
                self.act(client, Self::consume_all);
            }
            if round > 0 && self.is_drained() {
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

    /// The clients of AMQP share the queues.
    fn consume_all(client: &mut Client, _desk: &mut Desk<'_>) {
        if let Client::Amqp(client) = client {
            for place in 0..QUEUES {
                if !client.consumes(place) {
                    client.consume_from(place, 0);
                }
            }
        }
    }

    fn is_drained(&self) -> bool {
        let said = |client: &Client| client.open_ends().is_none();
        self.left().is_empty() && self.clients.iter().all(said)
    }

    /// Queues with messages, and how many.
    fn left(&self) -> Vec<(String, u64, u64)> {
        let Some(vhost) = self.broker.vhost("/") else {
            return Vec::new();
        };
        let queues = vhost.queues();
        let counts = queues
            .iter()
            .map(|queue| (queue.name().to_owned(), queue.ready(), queue.unsettled()));
        counts.filter(|(_, ready, held)| ready + held > 0).collect()
    }

    fn check_end(&mut self) -> Checked {
        let left = self.left();
        if !left.is_empty() {
            return violated!("after a stop there is again {left:?}");
        }
        let used = self.broker.memory().used_bytes();
        if used != 0 {
            return violated!("{used} bytes of memory are used by nothing");
        }
        self.ledger.check_end(QUEUES)?;
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
