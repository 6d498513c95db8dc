//! Messages that are told apart by their numbers and have headers.

use super::*;
use crate::arguments::Value;
use crate::view::MessageView;

/// Shows the headers of messages, which are their numbers as far as the queue knows.
pub(super) struct Shelf<'a>(pub &'a [Arguments], pub &'a Cell<usize>);

impl Lens for Shelf<'_> {
    fn show(&self, staged: &[u8], body: &BodyRef, look: &mut dyn FnMut(&dyn MessageView)) {
        self.1.set(self.1.get() + 1);
        if let Some(headers) = self.0.get(number_of(staged, body) as usize) {
            look(headers);
        }
    }
}

/// The number of a message, from 1.
pub(super) fn number_of(staged: &[u8], body: &BodyRef) -> u64 {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    match body {
        BodyRef::Staged { offset, .. } => number(&staged[*offset as usize..]),
        BodyRef::Memory(bytes) => number(bytes),
        BodyRef::Log(position) => (position - (1 << 32)) / 100,
    }
}

impl Bench {
    /// Publishes a message that has its number in its body.
    pub(super) fn publish_number(
        &mut self,
        durable: bool,
        priority: u8,
        ttl_ms: Option<u64>,
    ) -> Enqueued {
        let number = self.published + 1;
        let offset = self.staged.len() as u32;
        self.staged.extend_from_slice(&number.to_le_bytes());
        self.staged.extend_from_slice(b"89");
        self.publish_at(offset, durable, priority, ttl_ms)
    }

    /// Publishes a message with a header each for `headers`. Its number.
    pub(super) fn publish_headers(&mut self, durable: bool, headers: &[(&str, Value)]) -> u64 {
        let number = self.published + 1;
        self.messages.resize(number as usize + 1, Arguments::new());
        for (name, value) in headers {
            self.messages[number as usize].insert(*name, value.clone());
        }
        assert_eq!(self.publish_number(durable, 0, None), Enqueued::Taken);
        number
    }

    /// Who was delivered which messages, by number, since the last time.
    pub(super) fn delivered(&mut self) -> Vec<(u64, u64)> {
        let deliveries = self.deliveries().into_iter();
        let numbered = deliveries.map(|(id, out)| (id, number_of(&self.staged, &out.body)));
        numbered.collect()
    }

    /// Deliveries as (consumer, number, lease).
    pub(super) fn taken(&mut self) -> Vec<(u64, u64, LeaseId)> {
        let deliveries = self.deliveries().into_iter();
        let taken = deliveries.map(|(id, out)| {
            let number = number_of(&self.staged, &out.body);
            (id, number, out.lease.expect("it must be settled"))
        });
        taken.collect()
    }

    pub(super) fn delivered_numbers(&mut self) -> Vec<u64> {
        let delivered = self.delivered().into_iter();
        delivered.map(|(_, number)| number).collect()
    }
}
