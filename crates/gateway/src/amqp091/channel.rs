//! A channel: its own state, and which method does what.
//!
//! Invariants
//! - A channel belongs to the connection's task; what partitions touch of it is its lane.
//! - Every method either succeeds or gives one [`Refusal`]; whether the channel or the connection
//!   ends is decided by its code.
//! - Whatever asks the broker directly submits the turn's burst first, so effects keep the order
//!   in which the client sent them.
//! - Between our `channel.close` and the client's `close-ok` everything else is ignored.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use amqp091::method::{access, channel as methods, confirm};
use amqp091::{ChannelInput, LongStr, Method, ReplyCode, ShortStr};
use ferry_broker::{
    Broker, ConnectionId, ConnectionLimits, ConsumerHandle, DefinitionError, ErrorKind, Kept,
    KeptFor, Metrics, Origin, Outcome, Promise, Publisher, Seat, User, Vhost,
};
use hashbrown::HashMap;

use super::deliver::{Address, ConsumerOutlet};
use super::errors::{Refusal, channel_error, not_implemented, precondition_failed};
use super::lane::{LaneGate, LaneId};
use super::reply_to::ReplyConsumer;
use super::tally::{ChannelTally, LaneStats};
use super::turn::Turn;
use super::tx::Tx;
use super::wire::Link;
use crate::link::event;

/// What all channels of a connection share.
pub(crate) struct Common {
    /// The broker.
    pub(crate) broker: Arc<Broker>,
    /// The connection, as other threads see it.
    pub(crate) link: Arc<Link>,
    /// The virtual host that it is in.
    pub(crate) vhost: Arc<Vhost>,
    /// Who is logged in.
    pub(crate) user: Arc<User>,
    /// Who that is to the rules of an exchange.
    pub(crate) origin: Arc<Origin>,
    /// Its number at the broker.
    pub(crate) connection: ConnectionId,
    /// What bounds it.
    pub(crate) limits: Arc<ConnectionLimits>,
    /// Largest frame, in bytes.
    pub(crate) frame_bytes_max: u32,
    /// Largest message body, in bytes.
    pub(crate) message_bytes_max: u64,
    /// Whether the client wants to hear of consumers that their queue has dropped.
    pub(crate) notify_cancel: bool,
    /// Whether the log says already that a delay of the client was ignored.
    pub(crate) delay_warned: AtomicBool,
}

/// A consumer of a channel.
pub(crate) struct Consumer {
    /// The broker's side of it.
    pub(crate) handle: ConsumerHandle,
    /// Its way out.
    pub(crate) outlet: Arc<ConsumerOutlet>,
}

/// A channel.
pub(crate) struct Channel {
    /// Its number.
    pub(crate) number: u16,
    /// Its lane.
    pub(crate) lane: LaneId,
    /// What its consumers look at without a lock.
    pub(crate) gate: Arc<LaneGate>,
    /// Whether we have closed it and wait for the client's word.
    pub(crate) closing: bool,
    /// Frames on their way to become a method.
    pub(crate) input: ChannelInput,
    /// What a message takes of which not all has come.
    pub(crate) arriving: Kept,
    /// Routes and permissions of its publishes.
    pub(crate) publisher: Publisher,
    /// In confirm mode: the last tag given.
    pub(crate) confirm: Option<u64>,
    /// In transactional mode: what waits for the commit.
    pub(crate) tx: Option<Box<Tx>>,
    /// Its consumers by tag.
    pub(crate) consumers: HashMap<Box<[u8]>, Consumer, crate::hashing::HashState>,
    /// Its reply consumer.
    pub(crate) reply_consumer: Option<ReplyConsumer>,
    /// The queue that it declared last.
    pub(crate) last_queue: String,
    /// Prefetch limit of consumers to come; 0 for none.
    pub(crate) prefetch: u32,
    /// Whether it has published anything.
    pub(crate) publishes: bool,
    /// What it counts by itself.
    pub(crate) tally: Arc<ChannelTally>,
    /// How often refused consumers were let go on.
    resumed: usize,
    /// Its place among the user's channels.
    seat: Option<Seat>,
}

impl Channel {
    /// Opens a channel.
    pub(crate) fn open(common: &Common, number: u16, seat: Seat) -> Channel {
        let (lane, (gate, tally)) = common.link.with(|state| {
            let lane = state.wire.lanes.open(number);
            let found = state.wire.lanes.get(lane);
            let shared = found.map(|lane| (lane.gate.clone(), lane.tally.clone()));
            (lane, shared.unwrap_or_default())
        });
        let publisher = Publisher::of(common.vhost.clone(), common.connection)
            .with_origin(common.origin.clone())
            .by(common.user.clone());
        Channel {
            number,
            lane,
            gate,
            closing: false,
            input: ChannelInput::new(),
            arriving: Kept::new(&common.broker, KeptFor::Arriving),
            publisher,
            confirm: None,
            tx: None,
            consumers: HashMap::default(),
            reply_consumer: None,
            last_queue: String::new(),
            prefetch: 0,
            publishes: false,
            tally,
            resumed: 0,
            seat: Some(seat),
        }
    }

    /// Its consumers that were refused room since the last call; each time another is the first:
    /// there may be room for one only.
    pub(crate) fn take_starved(&mut self) -> Vec<ConsumerHandle> {
        let consumers = self.consumers.values();
        let starved = consumers.filter(|consumer| consumer.outlet.take_starved());
        let mut starved: Vec<_> = starved.map(|consumer| consumer.handle.clone()).collect();
        if !starved.is_empty() {
            let first = self.resumed % starved.len();
            starved.rotate_left(first);
            self.resumed = self.resumed.wrapping_add(1);
        }
        starved
    }

    /// Where its deliveries go.
    pub(crate) fn address(&self, common: &Common) -> Address {
        Address {
            link: common.link.clone(),
            limits: common.limits.clone(),
            lane: self.lane,
            gate: self.gate.clone(),
            channel: self.number,
            connection: common.connection,
            frame_bytes_max: common.frame_bytes_max,
        }
    }

    /// Sends a reply once its promise is kept, after earlier replies of the channel.
    pub(crate) fn reply(&self, common: &Common, promise: Promise, method: Method<'_>) {
        let number = self.number;
        common
            .link
            .reply(self.lane, promise, |out| method.write_frame(out, number));
    }

    /// Does what a method says. `channel.close` and `close-ok` are the session's.
    pub(crate) fn on_method(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        method: Method<'_>,
    ) -> Result<(), Refusal> {
        match method {
            Method::BasicAck(ack) => self.settle(
                common,
                turn,
                ack.delivery_tag,
                ack.multiple,
                Outcome::Accept,
            ),
            Method::BasicNack(nack) => {
                let outcome = refusal_outcome(nack.requeue);
                self.settle(common, turn, nack.delivery_tag, nack.multiple, outcome)
            }
            Method::BasicReject(reject) => {
                let outcome = refusal_outcome(reject.requeue);
                self.settle(common, turn, reject.delivery_tag, false, outcome)
            }
            Method::BasicGet(get) => self.get(common, turn, &get),
            Method::BasicConsume(consume) => self.consume(common, turn, &consume),
            Method::BasicCancel(cancel) => self.cancel(common, turn, &cancel),
            Method::BasicQos(qos) => self.qos(common, turn, &qos),
            Method::BasicRecover(recover) => self.recover(common, turn, recover.requeue, true),
            Method::BasicRecoverAsync(recover) => {
                self.recover(common, turn, recover.requeue, false)
            }
            Method::QueueDeclare(declare) => self.queue_declare(common, turn, &declare),
            Method::QueueBind(bind) => self.queue_bind(common, turn, &bind),
            Method::QueueUnbind(unbind) => self.queue_unbind(common, turn, &unbind),
            Method::QueuePurge(purge) => self.queue_purge(common, turn, &purge),
            Method::QueueDelete(delete) => self.queue_delete(common, turn, &delete),
            Method::ExchangeDeclare(declare) => self.exchange_declare(common, turn, &declare),
            Method::ExchangeDelete(delete) => self.exchange_delete(common, turn, &delete),
            Method::ExchangeBind(bind) => self.exchange_bind(common, turn, &bind),
            Method::ExchangeUnbind(unbind) => self.exchange_unbind(common, turn, &unbind),
            Method::TxSelect(_) => self.tx_select(common),
            Method::TxCommit(_) => self.tx_commit(common, turn),
            Method::TxRollback(_) => self.tx_rollback(common),
            Method::ConfirmSelect(select) => self.confirm_select(common, &select),
            Method::ChannelFlow(flow) => self.flow(common, flow.active),
            Method::ChannelOpen(_) => Err(channel_error("second 'channel.open' seen")),
            Method::AccessRequest(_) => {
                let reply = Method::AccessRequestOk(access::RequestOk { ticket: 1 });
                self.reply(common, Promise::Now, reply);
                Ok(())
            }
            _ => Err(Refusal::new(
                ReplyCode::CommandInvalid,
                "unimplemented method",
            )),
        }
    }

    fn flow(&mut self, common: &Common, active: bool) -> Result<(), Refusal> {
        if !active {
            return Err(not_implemented("active=false"));
        }
        self.reply(
            common,
            Promise::Now,
            Method::ChannelFlowOk(methods::FlowOk { active }),
        );
        Ok(())
    }

    fn confirm_select(&mut self, common: &Common, select: &confirm::Select) -> Result<(), Refusal> {
        if self.tx.is_some() {
            return Err(precondition_failed("cannot switch from tx to confirm mode"));
        }
        self.confirm.get_or_insert(0);
        self.with_stats(common, |stats| stats.confirms = true);
        if !select.no_wait {
            let reply = Method::ConfirmSelectOk(confirm::SelectOk {});
            self.reply(common, Promise::Now, reply);
        }
        Ok(())
    }

    /// Gives everything back: unacked messages are ready again, consumers end; then sends what
    /// `last` writes, after the replies that still wait. The messages first, so that who takes the
    /// place of a consumer gets them in their order.
    pub(crate) fn release(
        &mut self,
        common: &Common,
        turn: &mut Turn<'_>,
        last: impl FnOnce(&mut Vec<u8>),
    ) {
        turn.submit(common);
        self.seat = None;
        if std::mem::take(&mut self.publishes) {
            Metrics::add(&common.broker.metrics().publishers_closed, 1);
        }
        self.close_replies(common);
        let rolled_back = self.tx.take().map(|tx| tx.settled).unwrap_or_default();
        common.link.with(|state| {
            if let Some(lane) = state.wire.lanes.get(self.lane) {
                lane.gate.shut();
                let rolled_back = rolled_back.into_iter();
                lane.unacked
                    .restore(rolled_back.map(|noted| (noted.tag, noted.unsettled)));
            }
        });
        self.give_back_unacked(common, turn, None);
        for (_, consumer) in self.consumers.drain() {
            common.broker.cancel(&consumer.handle);
        }
        // What was on its way when the gate was shut.
        self.give_back_unacked(common, turn, None);
        common.link.with(|state| {
            state.reply(self.lane, Promise::Now, true, last);
            state.wire.close_lane(self.lane);
        });
        self.input.reset();
        self.arriving.set(0);
    }

    /// Changes what listings show of it.
    pub(crate) fn with_stats(&self, common: &Common, change: impl FnOnce(&mut LaneStats)) {
        common.link.with(|state| {
            if let Some(lane) = state.wire.lanes.get(self.lane) {
                change(&mut lane.stats);
            }
        });
    }

    /// All that is unacked comes back to its queues: all that came before the answer, if there is
    /// one, and nothing that comes behind it.
    pub(super) fn give_back_unacked(
        &self,
        common: &Common,
        turn: &mut Turn<'_>,
        answer: Option<Method<'_>>,
    ) {
        let owed = common.link.with(|state| {
            let lane = state.wire.lanes.get(self.lane);
            for (queue, leases) in lane
                .map(|lane| lane.take_unacked(Arc::ptr_eq))
                .into_iter()
                .flatten()
            {
                turn.staging().give_back(&queue, leases);
            }
            answer.is_some_and(|method| {
                let write = |out: &mut Vec<u8>| method.write_frame(out, self.number);
                state.reply(self.lane, Promise::Now, true, write)
            })
        });
        if owed {
            common.link.pay();
        }
        turn.submit(common);
    }
}

impl Common {
    /// Lets consumers go on that the channel-wide limit had stopped, if there is room now.
    pub(crate) fn resume_credit(&self, lane: LaneId) {
        let starved = self.link.with(|state| {
            state
                .wire
                .lanes
                .get(lane)
                .is_some_and(|lane| lane.take_credit_starved())
        });
        if starved {
            self.link.notify(event::RESUME);
        }
    }

    /// Limits what channels hold while memory is short, and lets them go on afterwards.
    pub(crate) fn limit_unacked(&self) {
        let short = self.broker.memory().is_short();
        let starved = self
            .link
            .with(|state| state.wire.lanes.set_memory_short(short));
        if starved {
            self.link.notify(event::RESUME);
        }
    }
}

/// Channel open's reply.
pub(crate) fn open_ok() -> Method<'static> {
    Method::ChannelOpenOk(methods::OpenOk {
        channel_id: LongStr::EMPTY,
    })
}

/// A name of a method, without line breaks, as RabbitMQ takes it.
pub(crate) fn plain_name(name: ShortStr<'_>) -> String {
    let text = name.as_str_lossy();
    if text.contains(['\r', '\n']) {
        text.replace(['\r', '\n'], "")
    } else {
        text.into_owned()
    }
}

fn refusal_outcome(requeue: bool) -> Outcome {
    if requeue {
        Outcome::Requeue
    } else {
        Outcome::Reject
    }
}

impl From<DefinitionError> for Refusal {
    fn from(error: DefinitionError) -> Refusal {
        let code = match error.kind() {
            ErrorKind::NotFound => ReplyCode::NotFound,
            ErrorKind::AccessRefused => ReplyCode::AccessRefused,
            ErrorKind::ResourceLocked => ReplyCode::ResourceLocked,
            ErrorKind::PreconditionFailed => ReplyCode::PreconditionFailed,
            ErrorKind::NotImplemented => ReplyCode::NotImplemented,
            ErrorKind::Internal => ReplyCode::InternalError,
        };
        Refusal::new(code, error.to_string())
    }
}
