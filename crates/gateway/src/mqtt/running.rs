//! An open connection: packets to what they make the broker do, and what other threads leave for
//! it.
//!
//! Invariants
//! - All packets of one read are worked through before anything is submitted, unless one has to see
//!   the effect of those before it.
//! - A packet that breaks a rule ends the connection, and nothing after it is looked at.
//! - When it ends, for whatever reason, everything that it holds is given back; what is in flight
//!   keeps its packet id.

mod acknowledge;
mod events;
mod leave;
mod publish;
mod sources;
mod subscribe;

use std::collections::VecDeque;
use std::sync::Arc;

use ferry_broker::{BlockReason, Metrics, Publisher};
use mqtt::{Frame, Packet, PacketType, Publish, ReasonCode};

use self::sources::Sources;
use super::alias::InAliases;
use super::arriving::Arriving;
use super::common::{Common, End, EndKind};
use super::deliver::Receiver;
use super::held::Held;
use super::publish::Scratch;
use super::retained::Replay;
use super::store::{Note, Stored};
use super::sys::SysWatch;
use super::turn::Turn;
use super::wire::Published;
use crate::pacing::Pacing;

/// Packet ids.
type Ids = hashbrown::HashSet<u16, crate::hashing::HashState>;

/// An open connection.
pub(crate) struct Running {
    common: Common,
    /// What a client needs that publishes, from its first publish on.
    publishing: Option<Box<Publishing>>,
    aliases: InAliases,
    /// Publishes of QoS 2 of the client that it has not released.
    received: Ids,
    sources: Sources,
    /// What is subscribed of the broker's own topics.
    sys: SysWatch,
    /// For how many seconds the session is kept without a connection.
    expiry_s: u32,
    /// Retained messages that are still to come.
    replays: VecDeque<Replay>,
    held: Held,
    arriving: Arriving,
    blocked: Option<BlockReason>,
    pacing: Pacing,
    /// Whether publishes of this read are counted.
    metered: bool,
    publishes: bool,
    /// Whether the log says already that publishes were refused.
    refused: bool,
    published: Arc<Published>,
    /// Publishes of the client that are under way, as of this read.
    under_way: u32,
}

/// How the publishes of a client find their way.
struct Publishing {
    publisher: Publisher,
    scratch: Scratch,
}

impl Publishing {
    fn of(common: &Common) -> Box<Publishing> {
        let publisher = Publisher::of(common.vhost.clone(), common.connection)
            .with_origin(common.origin.clone())
            .by(common.user.clone());
        Box::new(Publishing {
            publisher,
            scratch: Scratch::default(),
        })
    }
}

impl Running {
    /// A connection that was just let in.
    pub(crate) fn new(common: Common, stored: Stored) -> Running {
        let terms = &common.terms;
        let receiver = Receiver::new(
            common.version,
            terms.receive_max_out,
            terms.packet_bytes_max_out,
            terms.alias_max_out,
            common.digest,
        );
        let published = common.link.with(|state| {
            state.wire.receiver = Some(Box::new(receiver));
            Arc::clone(&state.wire.published)
        });
        Metrics::add(&common.broker.metrics().channels_opened, 1);
        let received = stored.notes.iter().filter_map(|note| match note {
            Note::Received(id) => Some(*id),
            Note::Released(_) => None,
        });
        Running {
            publishing: None,
            aliases: InAliases::default(),
            received: received.collect(),
            expiry_s: stored.expiry_s,
            sys: SysWatch::default(),
            replays: VecDeque::new(),
            held: Held::new(&common.broker),
            arriving: Arriving::new(&common.broker),
            blocked: common.broker.memory().blocked(),
            pacing: Pacing::new(common.limits.clone()),
            metered: false,
            publishes: false,
            refused: false,
            published,
            under_way: 0,
            sources: Sources::new(stored),
            common,
        }
    }

    /// What all parts share.
    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    /// Whether the client has published anything.
    pub(crate) fn publishes(&self) -> bool {
        self.publishes
    }

    /// The client publishes: from the first time on it counts as a publisher.
    fn note_publisher(&mut self) {
        if !std::mem::replace(&mut self.publishes, true) {
            Metrics::add(&self.common.broker.metrics().publishers_opened, 1);
        }
    }

    /// Whether there is room for more from the socket.
    pub(crate) fn wants_more(&self) -> bool {
        // A long packet that has begun counts until it is whole: to wait with it could be to wait
        // for ever.
        self.arriving.is_counted() || !self.arriving.waits() && !self.held.is_full()
    }

    /// The session is kept for so many seconds after the end of the connection.
    pub(crate) fn set_expiry(&mut self, expiry_s: u32) {
        self.expiry_s = expiry_s;
    }

    /// What has come was submitted but for `rest`; `begins` if that is not what was left before.
    pub(crate) fn submitted(&mut self, rest: &[u8], begins: bool) {
        self.arriving.note(rest, begins);
    }

    /// Works through what has come; gives how much of it was used. Stops in front of AUTH, which is
    /// the session's.
    pub(crate) fn receive(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<usize, End> {
        self.begin_read(turn)?;
        let mut at = 0;
        while let Some(frame) = mqtt::frame(&bytes[at..], self.common.terms.packet_bytes_max_in)? {
            if frame.packet_type == PacketType::Auth {
                break;
            }
            if self.is_holding() && self.held.waits(&frame) {
                self.note_publisher();
                self.held.keep(&bytes[at..at + frame.size]);
            } else {
                self.on_frame(frame, turn)?;
            }
            at += frame.size;
        }
        if !self.replays.is_empty() {
            // What was acknowledged has made room.
            turn.submit(&self.common.link);
            self.replay_retained(turn);
        }
        Ok(at)
    }

    #[inline]
    fn on_frame(&mut self, frame: Frame<'_>, turn: &mut Turn<'_>) -> Result<(), End> {
        match frame.packet_type {
            PacketType::Publish => {
                let publish = Publish::decode(frame, self.common.version)?;
                self.on_publish(&publish, turn)
            }
            _ => self.on_packet(frame, turn),
        }
    }

    fn on_packet(&mut self, frame: Frame<'_>, turn: &mut Turn<'_>) -> Result<(), End> {
        match Packet::decode(frame, self.common.version)? {
            Packet::Publish(publish) => self.on_publish(&publish, turn),
            Packet::Puback(puback) => self.on_puback(&puback, turn),
            Packet::Pubrec(pubrec) => self.on_pubrec(&pubrec, turn),
            Packet::Pubrel(pubrel) => {
                self.on_pubrel(&pubrel, turn);
                Ok(())
            }
            Packet::Pubcomp(pubcomp) => self.on_pubcomp(&pubcomp, turn),
            Packet::Subscribe(subscribe) => self.on_subscribe(&subscribe, turn),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(&unsubscribe, turn),
            Packet::Pingreq => {
                self.common.link.with(|state| {
                    let written =
                        Packet::Pingresp.write(state.outbox.buffer(), self.common.version);
                    written.expect("a PINGRESP is never too large");
                });
                Ok(())
            }
            Packet::Disconnect(disconnect) => Err(End {
                reason: disconnect.reason,
                text: "closed by the client".to_owned(),
                kind: match disconnect.reason {
                    ReasonCode::Success => EndKind::ByClient,
                    _ => EndKind::WithWill,
                },
                expiry_s: disconnect.properties.session_expiry(),
            }),
            Packet::Connect(_) => Err(End::refused(
                ReasonCode::ProtocolError,
                "a second CONNECT [MQTT-3.1.0-2]",
            )),
            other => Err(End::refused(
                ReasonCode::ProtocolError,
                format!("{:?} is not for a client to send", other.packet_type()),
            )),
        }
    }
}
