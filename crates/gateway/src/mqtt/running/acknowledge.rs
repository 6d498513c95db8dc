//! What a client acknowledges.
//!
//! Invariants
//! - A message of QoS 2 is gone, and its packet id noted, in one record, before PUBREL goes out.
//! - Who answers in the words of another quality of service, or before it is time, breaks the
//!   protocol. An answer to what is not on its way may be late, and does nothing.

use ferry_broker::Outcome;
use mqtt::{Puback, Pubcomp, Pubrec, ReasonCode};

use super::Running;
use crate::link::event;
use crate::mqtt::common::End;
use crate::mqtt::flights::Stage;
use crate::mqtt::store::Note;
use crate::mqtt::turn::Turn;
use crate::mqtt::wire::{Ack, AckKind};

/// What becomes of a message that a client has answered so. One that it refuses is a dead letter.
fn outcome(reason: ReasonCode) -> Outcome {
    match reason.is_error() {
        true => Outcome::Reject,
        false => Outcome::Accept,
    }
}

/// A packet that does not answer what is on its way under its id.
#[cold]
fn not_awaited(packet: &str, stage: Option<Stage>) -> Result<(), End> {
    let awaited = match stage {
        Some(Stage::AwaitsPuback) => "PUBACK [MQTT-4.3.2-4]",
        Some(Stage::AwaitsPubrec) => "PUBREC [MQTT-4.3.3-8]",
        Some(Stage::AwaitsPubcomp) => "PUBCOMP [MQTT-4.3.3-11]",
        Some(Stage::Tagging) | None => return Ok(()),
    };
    let text = format!("{packet}, where what was sent with its packet id awaits {awaited}");
    Err(End::refused(ReasonCode::ProtocolError, text))
}

impl Running {
    /// A message of QoS 1 has arrived.
    pub(super) fn on_puback(
        &mut self,
        puback: &Puback<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), End> {
        let link = &self.common.link;
        let ended = link.with(|state| {
            let wire = &mut state.wire;
            let flight = wire.flights.end_at(puback.packet_id, Stage::AwaitsPuback)?;
            wire.counts.ack += 1;
            Ok((flight, wire.take_id_starved()))
        });
        let (flight, wakes) = match ended {
            Ok(ended) => ended,
            Err(stage) => return not_awaited("PUBACK", stage),
        };
        if let (Some(queue), Some(lease)) = (self.sources.queue(flight.source), flight.lease) {
            let outcome = outcome(puback.reason);
            turn.staging().settle(queue, lease, outcome);
        }
        if wakes {
            link.notify(event::RESUME);
        }
        Ok(())
    }

    /// A message of QoS 2 has arrived.
    pub(super) fn on_pubrec(
        &mut self,
        pubrec: &Pubrec<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), End> {
        let id = pubrec.packet_id;
        let refused = pubrec.reason.is_error();
        let (stage, taken) = self.common.link.with(|state| {
            let wire = &mut state.wire;
            let Some(flight) = wire.flights.get_mut(id) else {
                return (None, None);
            };
            let stage = flight.stage;
            if stage != Stage::AwaitsPubrec {
                return (Some(stage), None);
            }
            wire.counts.ack += 1;
            let taken = (flight.source, flight.lease.take());
            flight.stage = Stage::AwaitsPubcomp;
            if refused {
                wire.flights.end(id);
            }
            (Some(stage), Some(taken))
        });
        if let Some((source, Some(lease))) = taken
            && let Some(queue) = self.sources.queue(source)
        {
            let burst = turn.staging();
            burst.settle(queue, lease, outcome(pubrec.reason));
            if !refused {
                burst.note(queue, Note::Released(id).key(), true);
                burst.want_ticket();
            }
        }
        let reason = match stage {
            Some(Stage::AwaitsPubrec | Stage::AwaitsPubcomp) => ReasonCode::Success,
            Some(Stage::AwaitsPuback) => return not_awaited("PUBREC", stage),
            Some(Stage::Tagging) | None => ReasonCode::PacketIdentifierNotFound,
        };
        if refused {
            self.resume_by_id();
            return Ok(());
        }
        turn.ack(Ack {
            kind: AckKind::Pubrel,
            id,
            reason,
            starts: false,
            frees: false,
        });
        Ok(())
    }

    /// The client knows that a message of QoS 2 will not come again.
    pub(super) fn on_pubcomp(
        &mut self,
        pubcomp: &Pubcomp<'_>,
        turn: &mut Turn<'_>,
    ) -> Result<(), End> {
        let id = pubcomp.packet_id;
        let link = &self.common.link;
        let ended = link.with(|state| state.wire.flights.end_at(id, Stage::AwaitsPubcomp));
        if let Err(stage) = ended {
            return not_awaited("PUBCOMP", stage);
        }
        if let Some(queue) = self.sources.queue(0) {
            turn.staging().note(queue, Note::Released(id).key(), false);
        }
        self.resume_by_id();
        Ok(())
    }

    /// A packet id is free: a consumer may wait for one.
    fn resume_by_id(&self) {
        let link = &self.common.link;
        if link.with(|state| state.wire.take_id_starved()) {
            link.notify(event::RESUME);
        }
    }
}
