//! Packets that answer: acknowledgements, and what refuses a packet.

use mqtt::{Puback, Pubcomp, Pubrec, Pubrel, Version};

use super::wire::{Ack, AckKind};

/// Appends an acknowledgement.
pub(crate) fn write_ack(out: &mut Vec<u8>, version: Version, ack: Ack) {
    let Ack { id, reason, .. } = ack;
    match ack.kind {
        AckKind::Puback => Puback::new(id, reason).write(out, version),
        AckKind::Pubrec => Pubrec::new(id, reason).write(out, version),
        AckKind::Pubrel => Pubrel::new(id, reason).write(out, version),
        AckKind::Pubcomp => Pubcomp::new(id, reason).write(out, version),
    }
}
