//! Streams: declared, read from everywhere, deleted.
//!
//! Invariants
//! - What a stream can not do is asked for now and then, and must be refused.

use std::sync::Arc;

use ferry_broker::{Choice, Clock, ConsumerSpec, QueueSpec};
use ferry_core::arguments::Arguments;
use ferry_core::filter::Filter;
use ferry_core::queue::StreamOffset;

use super::arguments::{number, text};
use crate::model::Change;
use crate::model::order::FILTERS;
use crate::model::stream::{Reader, StreamModel, StreamRules};
use crate::outlet::{Event, SimOutlet};
use crate::world::{Defined, Pending, SimConsumer, World};
use crate::{Checked, violated};

/// Names of streams.
const STREAMS: [&str; 3] = ["s0", "s1", "s2"];

/// Consumers of one client.
const CONSUMERS_MAX: usize = 8;

fn stream_arguments(rules: StreamRules) -> Arguments {
    let mut arguments = Arguments::new();
    let into = &mut arguments;
    text(into, "x-queue-type", "stream");
    number(into, "x-max-length-bytes", rules.bytes_max);
    number(into, "x-stream-max-segment-size-bytes", rules.segment_bytes);
    if let Some(age_s) = rules.age_s {
        text(into, "x-max-age", &format!("{age_s}s"));
    }
    arguments
}

impl World {
    /// Something is done with a stream.
    pub(crate) fn stream(&mut self) -> Checked {
        let client = self.any_client();
        let name = STREAMS[self.random.below(STREAMS.len() as u64) as usize];
        let known = self.model.stream_named(name).map(|stream| stream.id);
        match (known, self.random.below(30)) {
            (None, _) => self.declare_stream(client, name),
            (Some(id), 0) => self.delete_stream(client, id, name),
            (Some(_), 1) => self.declare_stream(client, name),
            (Some(_), 2) => self.misuse_stream(client, name),
            (Some(id), _) => self.draw_reader(client, id),
        }
    }

    fn draw_stream_rules(&mut self) -> StreamRules {
        let random = &mut self.random;
        StreamRules {
            bytes_max: random.chance(50).then(|| random.below(6000)),
            age_s: random.chance(40).then(|| 1 + random.below(6)),
            segment_bytes: random.chance(40).then(|| 1 + random.below(2000)),
        }
    }

    fn declare_stream(&mut self, client: usize, name: &str) -> Checked {
        let known = self.model.stream_named(name).cloned();
        let rules = match &known {
            Some(known) => known.rules,
            None => self.draw_stream_rules(),
        };
        self.trace.line(format!("  declare {name}: {rules:?}"));
        let spec = QueueSpec {
            name: name.to_owned(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: stream_arguments(rules),
        };
        let connection = self.clients[client].connection;
        let declared = match self.vhost.declare_queue(spec, connection) {
            Ok(declared) => declared,
            Err(error) => return violated!("declaring {name}: {error}"),
        };
        let id = declared.queue.id().0;
        match known {
            Some(known) if known.id != id => return violated!("{name} is another stream"),
            Some(_) => {}
            None => {
                let model = StreamModel::new(id, name, rules, self.model.step);
                self.model.streams.insert(id, model);
            }
        }
        self.pending
            .push(Pending::Definition(declared.durable_at, Defined::Queue(id)));
        Ok(())
    }

    fn delete_stream(&mut self, client: usize, id: u64, name: &str) -> Checked {
        self.trace.line(format!("  delete {name}"));
        let connection = self.clients[client].connection;
        let kept = self.model.streams[&id].kept().len() as u64;
        match self.vhost.delete_queue(name, false, false, connection) {
            Ok((count, promise)) if count == kept => {
                self.model.remove_stream(id);
                self.observe(Vec::new())?;
                let what = Defined::QueueGone(id);
                self.pending.push(Pending::Definition(promise, what));
                Ok(())
            }
            other => violated!("deleting {name} of {kept}: {other:?}"),
        }
    }

    /// What a stream can not do is refused.
    fn misuse_stream(&mut self, client: usize, name: &str) -> Checked {
        let connection = self.clients[client].connection;
        let handle = match self.vhost.queue(name, connection) {
            Ok(handle) => handle,
            Err(error) => return violated!("the stream {name} was just there: {error}"),
        };
        let got = self.broker.get(&handle, true, &mut |_| {});
        let purged = self.vhost.purge_queue(name, connection);
        let without_acks = self.reader_spec(0, true, 10, StreamOffset::First);
        let without_credit = self.reader_spec(0, false, 0, StreamOffset::First);
        let reads = [without_acks, without_credit];
        let mut read = reads.into_iter();
        let all_refused = read.all(|spec| self.broker.consume(&handle, spec, &mut || {}).is_err());
        match got.is_err() && purged.is_err() && all_refused {
            true => Ok(()),
            false => violated!("{name} did what no stream does: {got:?} {purged:?}"),
        }
    }

    fn reader_spec(
        &self,
        number: u64,
        no_ack: bool,
        prefetch: u32,
        offset: StreamOffset,
    ) -> ConsumerSpec {
        let outlet = SimOutlet::new(number, self.events.clone(), 1 << 20);
        ConsumerSpec {
            tag: format!("c{number}"),
            no_ack,
            exclusive: false,
            priority: 0,
            prefetch,
            choice: Choice {
                offset,
                ..Choice::default()
            },
            outlet: Arc::new(outlet),
        }
    }

    fn draw_reader(&mut self, client: usize, id: u64) -> Checked {
        if self.clients[client].consumers.len() >= CONSUMERS_MAX {
            return Ok(());
        }
        let (first, next) = {
            let stream = &self.model.streams[&id];
            (stream.first, stream.next())
        };
        let from = match self.random.below(7) {
            0 | 1 => StreamOffset::First,
            2 => StreamOffset::Last,
            3 => StreamOffset::Next,
            4 => StreamOffset::Timestamp(self.clock.now() - self.random.below(2000)),
            _ => {
                let least = first.saturating_sub(5);
                StreamOffset::Offset(least + self.random.below(next + 10 - least))
            }
        };
        let prefetch = [1, 3, 10, 100][self.random.below(4) as usize];
        let capacity_bytes = [700, 5_000, 1 << 20][self.random.below(3) as usize];
        let filtered = self.random.chance(25);
        let filter = filtered.then(|| self.random.below(FILTERS.len() as u64) as usize);
        self.read_from(client, id, (from, filter), (prefetch, capacity_bytes))
    }

    fn read_from(
        &mut self,
        client: usize,
        id: u64,
        (from, filter): (StreamOffset, Option<usize>),
        (prefetch, capacity_bytes): (u32, i64),
    ) -> Checked {
        let name = self.model.streams[&id].name.clone();
        let number = self.next_consumer;
        self.next_consumer += 1;
        self.trace.line(format!(
            "  reader {number} of {name}, {from:?} {filter:?} {prefetch}"
        ));
        let outlet = Arc::new(SimOutlet::new(number, self.events.clone(), capacity_bytes));
        let compiled = filter.map(|filter| Filter::compile(FILTERS[filter].0));
        let compiled = match compiled.transpose() {
            Ok(compiled) => compiled.flatten(),
            Err(error) => return violated!("a filter is refused: {error}"),
        };
        let spec = ConsumerSpec {
            outlet: outlet.clone(),
            choice: Choice {
                filter: compiled,
                offset: from,
            },
            ..self.reader_spec(number, false, prefetch, from)
        };
        let handle = match self.vhost.queue(&name, self.clients[client].connection) {
            Ok(handle) => handle,
            Err(error) => return violated!("the stream {name} was just there: {error}"),
        };
        let events = self.events.clone();
        let mut started = || events.push(Event::Started(number));
        let handle = match self.broker.consume(&handle, spec, &mut started) {
            Ok(handle) => handle,
            Err(error) => return violated!("reading from {name}: {error}"),
        };
        self.clients[client].consumers.push(SimConsumer {
            number,
            handle,
            outlet,
        });
        let reader = Reader {
            client,
            least: 0,
            most: 0,
            prefetch,
            unsettled: 0,
            filter,
        };
        self.observe(vec![Change::Read {
            stream: id,
            consumer: number,
            reader,
            from,
        }])?;
        Ok(())
    }

    /// At the end everything that a stream kept is read, and the streams go.
    pub(crate) fn read_all_streams(&mut self) -> Checked {
        self.model.step += 1;
        for id in self.model.streams.keys().copied().collect::<Vec<_>>() {
            self.read_from(0, id, (StreamOffset::First, None), (u32::MAX, i64::MAX))?;
        }
        self.end_step()?;
        self.model.step += 1;
        let streams = self.model.streams.values();
        let streams: Vec<_> = streams.map(|s| (s.id, s.name.clone())).collect();
        for (id, name) in streams {
            self.delete_stream(0, id, &name)?;
        }
        let single = |held: &crate::world::HeldLease| {
            held.queue.kind() != ferry_core::queue::QueueKind::Stream
        };
        for client in &mut self.clients {
            client.held.retain(single);
        }
        self.end_step()
    }
}
