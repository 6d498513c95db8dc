//! Held publishes: what a client sent while publishers are held for memory or disk, or by a rate.
//!
//! Acks, nacks, rejects and heartbeats always flow, but for those in a transaction: they belong
//! to the commit behind them, not to one that waits. The first publish on a channel holds that
//! channel: its later methods wait behind it, so that nothing on a channel overtakes. A publish
//! that settles brings nothing in and may be what makes room: it holds nothing, and waits only
//! behind others of its channel. While it does, acks wait behind it: `multiple` might mean what it
//! has given back.
//!
//! Invariants
//! - Held frames are kept as they came, in order, and are read again when publishers are free.
//! - They are bounded by [`held_bytes_max`]; past it the socket is not read (and then its acks do
//!   wait, because TCP has one order).

use std::sync::Arc;

use amqp091::method::{basic, tx};
use amqp091::{Frame, FrameKind, Method};

use ferry_broker::{Broker, Kept, KeptFor};

use super::settlement::settles;
use crate::held::{HELD_BYTES_MAX, held_bytes_max};

/// What waits of a connection that is amid a message on another channel before its socket is left
/// alone, in bytes.
const HELD_AMID_BYTES_MAX: usize = 16 << 20;
/// Room is made by this much at least, in bytes.
const ROOM_BYTES_MIN: usize = 16 << 10;
/// Room that is made, in what there is already. What is held is moved for it, and the allocator
/// keeps the old places for a while: many small steps would leave several times what is held.
const ROOM_GROWTH: usize = 4;

/// The frames of one connection that wait.
#[derive(Debug)]
pub(crate) struct Held {
    frames: Vec<u8>,
    /// How much waits, as all connections together have a bound.
    kept: Kept,
    /// What went on already is before this.
    at: usize,
    channels: Vec<u16>,
    /// Those of them whose acks wait, too: behind what settles, or what makes a transaction.
    settling: Vec<u16>,
}

/// What to do with a frame while publishers are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on with it.
    Pass,
    /// Keep it for later.
    Hold,
    /// Keep it; it is the first publish of its channel.
    HoldFirst,
}

impl Held {
    /// Holds nothing so far.
    pub(crate) fn new(broker: &Arc<Broker>) -> Held {
        Held {
            frames: Vec::new(),
            kept: Kept::new(broker, KeptFor::Held),
            at: 0,
            channels: Vec::new(),
            settling: Vec::new(),
        }
    }

    fn len(&self) -> usize {
        self.frames.len() - self.at
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the socket should be left alone. One that is amid a message on another channel is
    /// read on: that counts as memory until it is whole, so to wait with it could be for ever.
    pub(crate) fn is_full(&self, amid_message: bool) -> bool {
        let most = match amid_message {
            true => HELD_AMID_BYTES_MAX,
            false => held_bytes_max(&self.kept),
        };
        self.len() >= most
    }

    /// What to do with a frame. `in_content` says that its channel is amid a message, `in_tx` that
    /// it is transactional.
    pub(crate) fn judge(&self, frame: &Frame<'_>, in_content: bool, in_tx: bool) -> Verdict {
        let ids = method_ids(frame);
        if frame.channel == 0 {
            let closes = ids == Some((10, 50)) && !self.is_empty();
            return if closes { Verdict::Hold } else { Verdict::Pass };
        }
        if self.channels.contains(&frame.channel) {
            let settles = matches!(
                ids,
                Some((
                    basic::Ack::CLASS_ID,
                    basic::Ack::METHOD_ID | basic::Nack::METHOD_ID | basic::Reject::METHOD_ID
                ))
            );
            let waits = in_tx || self.settling.contains(&frame.channel);
            return if settles && !waits {
                Verdict::Pass
            } else {
                Verdict::Hold
            };
        }
        if is_publish(frame) && !in_content && !settles_by_publish(frame) {
            Verdict::HoldFirst
        } else {
            Verdict::Pass
        }
    }

    /// Keeps a frame, which came as these bytes.
    pub(crate) fn keep(&mut self, parsed: &Frame<'_>, frame: &[u8]) {
        let channel = parsed.channel;
        if !self.channels.contains(&channel) {
            self.channels.push(channel);
        }
        let selects = method_ids(parsed) == Some((tx::Select::CLASS_ID, tx::Select::METHOD_ID));
        if (selects || settles_by_publish(parsed)) && !self.settling.contains(&channel) {
            self.settling.push(channel);
        }
        if self.frames.capacity() - self.frames.len() < frame.len() {
            self.frames.drain(..self.at);
            self.at = 0;
        }
        if self.frames.capacity() - self.frames.len() < frame.len() {
            let room = self.frames.capacity() * ROOM_GROWTH;
            let room = room.clamp(ROOM_BYTES_MIN, HELD_BYTES_MAX);
            self.frames.reserve_exact(frame.len().max(room));
        }
        self.frames.extend_from_slice(frame);
        self.kept.set(self.len() as u64);
    }

    /// The frames in order, and where those begin that wait. Either they are put back, or their
    /// channels are to be forgotten.
    pub(crate) fn take(&mut self) -> (Vec<u8>, usize) {
        self.kept.set(0);
        let at = std::mem::take(&mut self.at);
        (std::mem::take(&mut self.frames), at)
    }

    /// The frames from `at` on still wait.
    pub(crate) fn put_back(&mut self, frames: Vec<u8>, at: usize) {
        assert!(self.is_empty(), "nothing was held meanwhile");
        self.frames = frames;
        self.at = at;
        self.kept.set(self.len() as u64);
    }

    /// The channels that frames are held of, or were.
    pub(crate) fn channels(&self) -> &[u16] {
        &self.channels
    }

    /// No channel has to wait behind what is held.
    pub(crate) fn forget_channels(&mut self) {
        self.channels = Vec::new();
        self.settling = Vec::new();
    }
}

fn is_publish(frame: &Frame<'_>) -> bool {
    method_ids(frame) == Some((basic::Publish::CLASS_ID, basic::Publish::METHOD_ID))
}

fn settles_by_publish(frame: &Frame<'_>) -> bool {
    if !is_publish(frame) {
        return false;
    }
    let method = Method::decode(frame.payload);
    matches!(method, Ok(Method::BasicPublish(publish)) if settles(publish.exchange.as_bytes()))
}

fn method_ids(frame: &Frame<'_>) -> Option<(u16, u16)> {
    if frame.kind != FrameKind::Method {
        return None;
    }
    let [class_high, class_low, method_high, method_low] = *frame.payload.first_chunk()?;
    Some((
        u16::from_be_bytes([class_high, class_low]),
        u16::from_be_bytes([method_high, method_low]),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::for_tests::broker;

    fn held() -> Held {
        Held::new(&broker(1 << 30))
    }

    fn frame(channel: u16, method: Method<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        method.write_frame(&mut out, channel);
        out
    }

    fn publish(channel: u16) -> Vec<u8> {
        publish_to("", channel)
    }

    fn publish_to(exchange: &'static str, channel: u16) -> Vec<u8> {
        frame(
            channel,
            Method::BasicPublish(basic::Publish {
                ticket: 0,
                exchange: amqp091::ShortStr::lit(exchange),
                routing_key: amqp091::ShortStr::EMPTY,
                mandatory: false,
                immediate: false,
            }),
        )
    }

    fn judge(held: &mut Held, bytes: &[u8]) -> Verdict {
        judge_in(held, bytes, false)
    }

    fn judge_in(held: &mut Held, bytes: &[u8], in_tx: bool) -> Verdict {
        let frame = amqp091::frame::parse(bytes, 4096).unwrap().unwrap();
        let verdict = held.judge(&frame, false, in_tx);
        if verdict != Verdict::Pass {
            held.keep(&frame, bytes);
        }
        verdict
    }

    fn ack(channel: u16) -> Vec<u8> {
        let (delivery_tag, multiple) = (1, false);
        let ack = basic::Ack {
            delivery_tag,
            multiple,
        };
        frame(channel, Method::BasicAck(ack))
    }

    #[test]
    fn a_publish_holds_its_channel_but_not_its_acks_or_other_channels() {
        let mut held = held();
        let recover = |channel| {
            frame(
                channel,
                Method::BasicRecover(basic::Recover { requeue: true }),
            )
        };
        for (bytes, expected) in [
            (recover(1), Verdict::Pass),
            (publish(1), Verdict::HoldFirst),
            (recover(1), Verdict::Hold),
            (ack(1), Verdict::Pass),
            (recover(2), Verdict::Pass),
            (publish(2), Verdict::HoldFirst),
        ] {
            assert_eq!(judge(&mut held, &bytes), expected);
        }
        let expected = [publish(1), recover(1), publish(2)].concat();
        assert_eq!(held.take(), (expected, 0));
        assert!(held.is_empty());
        held.forget_channels();
        assert_eq!(judge(&mut held, &recover(1)), Verdict::Pass);
    }

    #[test]
    fn an_ack_of_a_transaction_does_not_pass_a_commit_that_is_held() {
        let mut held = held();
        let commit = frame(1, Method::TxCommit(tx::Commit {}));
        for (bytes, expected) in [
            (ack(1), Verdict::Pass),
            (publish(1), Verdict::HoldFirst),
            (commit, Verdict::Hold),
            (ack(1), Verdict::Hold),
        ] {
            assert_eq!(judge_in(&mut held, &bytes, true), expected);
        }
        let select = |channel| frame(channel, Method::TxSelect(tx::Select {}));
        for (bytes, expected) in [
            (publish(2), Verdict::HoldFirst),
            (ack(2), Verdict::Pass),
            (select(2), Verdict::Hold),
            (ack(2), Verdict::Hold),
        ] {
            assert_eq!(judge(&mut held, &bytes), expected);
        }
        held.forget_channels();
        assert_eq!(judge(&mut held, &ack(2)), Verdict::Pass);
    }

    #[test]
    fn what_is_put_back_waits_before_what_comes_later() {
        let mut held = held();
        for channel in [1, 2, 3] {
            judge(&mut held, &publish(channel));
        }
        let (frames, _) = held.take();
        held.put_back(frames, publish(1).len());
        let mut expected = [publish(2), publish(3)].concat();
        let mut count = 0;
        while !held.is_full(false) {
            judge(&mut held, &publish(1));
            expected.extend(publish(1));
            count += 1;
        }
        assert!(count > HELD_BYTES_MAX / 100);
        let (frames, at) = held.take();
        assert_eq!(frames[at..], expected);
    }

    #[test]
    fn what_is_held_is_moved_a_few_times_only() {
        for frame_bytes in [30, 4 << 10, 100 << 10] {
            let (mut held, bytes, mut rooms) = (held(), vec![0; frame_bytes], vec![0]);
            let parsed = Frame {
                kind: FrameKind::Body,
                channel: 1,
                payload: &bytes,
                size: frame_bytes,
            };
            while !held.is_full(false) {
                held.keep(&parsed, &bytes);
                rooms.push(held.frames.capacity());
            }
            rooms.dedup();
            let left: usize = rooms[..rooms.len() - 1].iter().sum();
            assert!(left <= HELD_BYTES_MAX * 2 / 3, "{rooms:?}");
            assert!(
                rooms[rooms.len() - 1] <= HELD_BYTES_MAX * 3 / 2,
                "{rooms:?}"
            );
        }
    }

    #[test]
    fn a_publish_that_settles_waits_behind_others_of_its_channel_and_acks_behind_it() {
        let mut held = held();
        let settles = |channel| publish_to(ferry_broker::SETTLE_EXCHANGE, channel);
        for (bytes, expected) in [
            (settles(1), Verdict::Pass),
            (publish(1), Verdict::HoldFirst),
            (ack(1), Verdict::Pass),
            (settles(1), Verdict::Hold),
            (settles(2), Verdict::Pass),
            (ack(1), Verdict::Hold),
            (ack(2), Verdict::Pass),
        ] {
            assert_eq!(judge(&mut held, &bytes), expected);
        }
    }

    #[test]
    fn a_message_that_has_begun_is_finished() {
        let held = held();
        let bytes = publish(1);
        let frame = amqp091::frame::parse(&bytes, 4096).unwrap().unwrap();
        assert_eq!(held.judge(&frame, true, false), Verdict::Pass);
    }

    #[test]
    fn who_holds_much_is_not_read_while_all_together_do() {
        let broker = broker(8 << 20);
        let [mut one, mut two, mut little] = [(); 3].map(|()| Held::new(&broker));
        let bytes = publish(1);
        let count = (512 << 10) / bytes.len() + 1;
        (0..count).for_each(|_| assert_ne!(judge(&mut one, &bytes), Verdict::Pass));
        assert!(!one.is_full(false));
        (0..count).for_each(|_| assert_ne!(judge(&mut two, &bytes), Verdict::Pass));
        assert_ne!(judge(&mut little, &bytes), Verdict::Pass);
        for (held, amid_message, is_full) in [
            (&one, false, true),
            (&one, true, false),
            (&little, false, false),
        ] {
            assert_eq!(held.is_full(amid_message), is_full);
        }
        let used = broker.memory().used_bytes();
        assert_eq!(used, 0, "nobody is held for what is held");
        drop(two);
        assert!(!one.is_full(false));
    }
}
