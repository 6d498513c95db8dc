//! What a client publishes.
//!
//! Invariants
//! - A publish of QoS 2 is taken once: its packet id is noted in the same record as the message,
//!   and stays noted until the client releases it.
//! - No more publishes are under way than the client was told.

use ferry_broker::{PublishError, Published};
use ferry_core::Millis;
use mqtt::{Publish, Pubrel, Qos, ReasonCode};

use super::{Publishing, Running};
use crate::mqtt::common::{Common, End};
use crate::mqtt::publish::{By, Post, PostError, post};
use crate::mqtt::store::Note;
use crate::mqtt::turn::Turn;
use crate::mqtt::wire::{Ack, AckKind};

impl Running {
    /// Whether publishes are held, for whatever reason.
    pub(super) fn is_holding(&self) -> bool {
        self.blocked.is_some() || self.pacing.is_holding()
    }

    /// More has come from the socket.
    pub(super) fn begin_read(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        self.metered = self.pacing.is_metered();
        if self.metered && !self.is_holding() {
            let now = turn.now(&self.common.broker);
            self.pacing.begin(now);
        }
        if !self.common.version.is_5() {
            return Ok(());
        }
        let (under_way, refused) = self.common.link.with(|state| {
            let wire = &state.wire;
            (wire.under_way, !wire.leftovers.refused.is_empty())
        });
        self.under_way = under_way;
        match refused {
            // The client knows, and may use the packet id for the next one.
            true => self.take_leftovers(turn),
            false => Ok(()),
        }
    }

    pub(super) fn on_publish(
        &mut self,
        publish: &Publish<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), End> {
        self.note_publisher();
        let named = publish.properties.topic_alias();
        if let Some(number) = named {
            self.note_alias(number, publish.topic)?;
        }
        if publish.qos != Qos::AtMostOnce && self.is_repeated(publish, turn)? {
            return Ok(());
        }
        if !publish.payload_is_as_said() {
            let text = "the payload is not the UTF-8 that it says it is";
            return self.refuse(publish, ReasonCode::PayloadFormatInvalid, text, turn);
        }
        let Some(number) = named.filter(|_| publish.topic.is_empty()) else {
            return self.stage(publish, publish.topic, turn);
        };
        let aliases = std::mem::take(&mut self.aliases);
        let staged = match aliases.get(number) {
            Some(topic) => self.stage(publish, topic, turn),
            None => {
                let text = format!("topic alias {number} stands for no topic");
                Err(End::refused(ReasonCode::ProtocolError, text))
            }
        };
        self.aliases = aliases;
        staged
    }

    fn note_alias(&mut self, number: u16, topic: &[u8]) -> Result<(), End> {
        if number == 0 || number > self.common.terms.alias_max_in {
            let max = self.common.terms.alias_max_in;
            let text = format!("topic alias {number} is beyond the maximum of {max}");
            return Err(End::refused(ReasonCode::TopicAliasInvalid, text));
        }
        if !topic.is_empty() {
            self.aliases.set(number, topic);
        }
        Ok(())
    }

    /// Counts a publish that is answered, and answers one that was taken before.
    fn is_repeated(&mut self, publish: &Publish<'_>, turn: &mut Turn<'_>) -> Result<bool, End> {
        let id = publish.packet_id;
        if publish.qos == Qos::ExactlyOnce && self.received.contains(&id) {
            // What was taken before may not be safe yet.
            turn.staging().cover();
            turn.ack(Ack {
                kind: AckKind::Pubrec,
                id,
                reason: ReasonCode::Success,
                starts: false,
                frees: false,
            });
            return Ok(true);
        }
        self.under_way += 1;
        let max = self.common.terms.receive_max_in;
        if self.common.version.is_5() && self.under_way > max.into() {
            let text = format!("more than {max} publishes are under way");
            return Err(End::refused(ReasonCode::ReceiveMaximumExceeded, text));
        }
        Ok(false)
    }

    #[inline]
    fn stage(
        &mut self,
        publish: &Publish<'_>,
        topic: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), End> {
        let now = turn.now(&self.common.broker);
        self.published.publish.add(1);
        let reason = match self.post(publish, topic, now, turn) {
            Ok(Published::Routed) => ReasonCode::Success,
            Ok(Published::Unroutable) => {
                self.published.dropped.add(1);
                ReasonCode::NoMatchingSubscribers
            }
            Err(error) => {
                let (reason, text) = (reason_of(&error), error.to_string());
                return self.refuse(publish, reason, &text, turn);
            }
        };
        self.charge(publish.payload.len(), now, turn);
        let id = publish.packet_id;
        let kind = match publish.qos {
            Qos::AtMostOnce => return Ok(()),
            Qos::AtLeastOnce => AckKind::Puback,
            Qos::ExactlyOnce => {
                self.note_received(id, turn);
                AckKind::Pubrec
            }
        };
        turn.ack(Ack {
            kind,
            id,
            reason,
            starts: true,
            frees: kind == AckKind::Puback,
        });
        Ok(())
    }

    #[inline]
    fn post(
        &mut self,
        publish: &Publish<'_>,
        topic: &[u8],
        now: Millis,
        turn: &mut Turn<'_>,
    ) -> Result<Published, PostError> {
        let message = Post {
            topic,
            qos: publish.qos.bits(),
            retain: publish.retain,
            properties: publish.properties,
            payload: publish.payload,
        };
        let confirm = (publish.qos != Qos::AtMostOnce).then(|| Ack::confirm_tag(publish.packet_id));
        let Common {
            broker,
            vhost,
            version,
            digest,
            ..
        } = &self.common;
        let by = By {
            broker,
            vhost,
            version: *version,
            digest: *digest,
        };
        let burst = turn.staging();
        let publishing = &mut self.publishing;
        let publishing = publishing.get_or_insert_with(|| Publishing::of(&self.common));
        let Publishing { publisher, scratch } = &mut **publishing;
        let posted = post(by, publisher, scratch, burst, &message, now, confirm);
        if let Some(hold) = burst.take_hold() {
            turn.note_hold(hold);
        }
        posted
    }

    /// A publish of QoS 2 is taken, and not again until it is released.
    fn note_received(&mut self, id: u16, turn: &mut Turn<'_>) {
        self.received.insert(id);
        if let Some(queue) = self.sources.lasting_queue() {
            let (key, with) = (Note::Received(id).key(), Ack::confirm_tag(id));
            turn.staging().note_with(queue, key, with);
        }
    }

    /// Tells the client that a publish was refused, in the way that its version has: who can not be
    /// told is not left to believe that it was taken.
    #[cold]
    fn refuse(
        &mut self,
        publish: &Publish<'_>,
        reason: ReasonCode,
        text: &str,
        turn: &mut Turn<'_>,
    ) -> Result<(), End> {
        if !std::mem::replace(&mut self.refused, true) {
            tracing::warn!(
                peer = %self.common.peer,
                client_id = &*self.common.client_id,
                vhost = self.common.vhost.name(),
                user = self.common.user.name,
                reason = text,
                "a publish was refused; others of this connection are not told here"
            );
        }
        let kind = match publish.qos {
            Qos::AtLeastOnce if self.common.version.is_5() => AckKind::Puback,
            Qos::ExactlyOnce if self.common.version.is_5() => AckKind::Pubrec,
            // Nobody waits for an answer, and the connection has done no harm.
            Qos::AtMostOnce => return Ok(()),
            _ => return Err(End::refused(reason, text)),
        };
        turn.ack(Ack {
            kind,
            id: publish.packet_id,
            reason,
            starts: true,
            frees: true,
        });
        Ok(())
    }

    #[inline]
    fn charge(&mut self, bytes: usize, now: Millis, turn: &mut Turn<'_>) {
        if self.metered || turn.has_hold() {
            self.pacing.charge(bytes, turn.take_hold(), now);
        }
    }

    /// The client has our PUBREC: it will not send that publish again.
    pub(super) fn on_pubrel(&mut self, pubrel: &Pubrel<'_>, turn: &mut Turn<'_>) {
        let id = pubrel.packet_id;
        let known = self.received.remove(&id);
        if known && let Some(queue) = self.sources.lasting_queue() {
            let burst = turn.staging();
            burst.note(queue, Note::Received(id).key(), false);
            burst.want_ticket();
        }
        turn.ack(Ack {
            kind: AckKind::Pubcomp,
            id,
            reason: match known {
                true => ReasonCode::Success,
                false => ReasonCode::PacketIdentifierNotFound,
            },
            starts: false,
            frees: known,
        });
    }
}

fn reason_of(error: &PostError) -> ReasonCode {
    match error {
        PostError::System(_) | PostError::Publish(PublishError::AccessRefused(_)) => {
            ReasonCode::NotAuthorized
        }
        PostError::Retain(_) => ReasonCode::QuotaExceeded,
        PostError::Publish(_) => ReasonCode::ImplementationSpecific,
    }
}
