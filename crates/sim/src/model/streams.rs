//! What happens to streams in one call of the broker.
//!
//! Invariants
//! - A reader gets what the stream has when all that was asked for has been done.

use super::call::Call;
use super::found::{Ending, Found};
use super::stream::{Item, StreamModel};
use super::{Change, Granted, Life, Model, Sent};
use crate::{Checked, violated};

impl Model {
    /// A message goes to a stream. False if the queue is none.
    pub(super) fn publish_to_stream(
        &mut self,
        (queue, tag): (u64, u64),
        sent: &Sent,
        transaction: Option<u64>,
        call: &mut Call,
    ) -> bool {
        if !self.streams.contains_key(&queue) {
            return false;
        }
        let (number, moment) = (self.new_number(), self.moment());
        // What a transaction brings may be found before it is appended.
        let announced = transaction.map(|_| moment.now);
        let later = sent.deliver_at.filter(|at| *at > moment.now);
        let item = Item {
            number,
            message: sent.id,
            dress: sent.dress,
            size: sent.size,
            wait: later.or(announced),
            at: 0,
            entered: moment.step,
            step: moment.step,
            confirmed: false,
            transaction,
        };
        if let Some(stream) = self.streams.get_mut(&queue) {
            stream.arrive(item, moment);
        }
        call.result.placed.push((tag, queue, number));
        true
    }

    /// Does what is asked of a stream. False if it is asked of something else.
    pub(super) fn apply_to_stream(&mut self, change: &Change) -> bool {
        let clock_fell = self.clock_fell;
        match *change {
            Change::Read {
                stream,
                consumer,
                ref reader,
                from,
            } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    let mut reader = reader.clone();
                    (reader.least, reader.most) = stream.begin(from, clock_fell);
                    stream.readers.insert(consumer, reader);
                }
                true
            }
            Change::Settle { queue, lease, .. } => {
                let stream = self.streams.get_mut(&queue);
                stream.map(|stream| stream.settle(lease)).is_some()
            }
            Change::Unsubscribe { queue, consumer } => {
                let stream = self.streams.get_mut(&queue);
                stream
                    .map(|stream| stream.readers.remove(&consumer))
                    .is_some()
            }
            _ => false,
        }
    }

    /// What streams gave to readers, and what left them.
    pub(super) fn read_streams(&mut self, ends: &[(u64, u64)], call: &mut Call) -> Checked {
        let moment = self.moment();
        for (id, end) in ends {
            if let Some(stream) = self.streams.get_mut(id)
                && stream.next() > *end
            {
                stream.last_part = Some(*end);
            }
        }
        for (id, count) in call.seen.streams.clone() {
            let Some(stream) = self.streams.get_mut(&id) else {
                continue;
            };
            let Some(first) = stream.next().checked_sub(count) else {
                return violated!("stream {} has {count} messages", stream.name);
            };
            stream.left_to(first, moment)?;
            for (consumer, _, seen) in call.take_events(id) {
                let (message, deaths) = self.identify(&seen)?;
                let lease = self.new_number();
                let stream = self.streams.get_mut(&id).expect("it was just there");
                let name = &stream.name;
                let (Some(consumer), Some(offset), Some(_)) = (consumer, seen.offset, seen.lease)
                else {
                    return violated!("stream {name}: {message} was not read as it must be");
                };
                let is = stream.item(offset).map(|item| item.message);
                if is != Some(message) || !deaths.is_empty() || seen.redelivered {
                    return violated!("stream {name}: {message} at {offset}, which is {is:?}");
                }
                let client = stream.read(consumer, offset, lease)?;
                call.result.granted.push(Granted {
                    client,
                    lease,
                    seen,
                });
            }
        }
        Ok(())
    }

    /// The stream of that name.
    #[must_use]
    pub fn stream_named(&self, name: &str) -> Option<&StreamModel> {
        self.streams.values().find(|stream| stream.name == name)
    }

    /// A stream goes with all it has.
    pub fn remove_stream(&mut self, id: u64) {
        if let Some(stream) = self.streams.remove(&id) {
            self.routing.queue_gone(id, self.step);
            self.stream_graves.push((stream, Life::new(self.step)));
        }
    }

    /// Compares the streams that were found with what must be there.
    pub(super) fn recover_streams(
        &mut self,
        ending: Ending,
        found: &Found,
        transactions: &mut std::collections::BTreeMap<u64, (u64, u64)>,
    ) -> Checked {
        let safe = |life: &Life| life.confirmed || ending.keeps(life.step);
        let mut known = std::mem::take(&mut self.streams);
        let is_found = |id: u64| found.streams.iter().any(|stream| stream.id == id);
        if let Some(lost) = known.values().find(|s| safe(&s.life) && !is_found(s.id)) {
            return violated!("stream {} is lost", lost.name);
        }
        for (stream, end) in std::mem::take(&mut self.stream_graves) {
            if safe(&end) && is_found(stream.id) {
                return violated!("stream {} came back after it was deleted", stream.name);
            }
            known.entry(stream.id).or_insert(stream);
        }
        for stream in &found.streams {
            let Some(mut model) = known.remove(&stream.id) else {
                return violated!("stream {} was never declared", stream.name);
            };
            let mut items = Vec::new();
            for message in &stream.messages {
                let (id, _) = self.identify(&message.seen)?;
                items.push((id, message.state.clone(), message.seq));
            }
            model.recover(ending, &items, self.moment(), transactions)?;
            self.streams.insert(stream.id, model);
        }
        Ok(())
    }
}
