//! What the queue of a session remembers of packet ids: by itself (notes), and with a message
//! (tags).
//!
//! Invariants
//! - What is written reads back as it was given.

/// The notes of a session's queue: a packet id, and what it is noted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// A publish of QoS 2 of the client that it has not released.
    Received(u16),
    /// One to the client that we have released.
    Released(u16),
}

impl Note {
    const RELEASED: u32 = 1 << 16;

    /// The number that the queue remembers.
    pub(crate) fn key(self) -> u32 {
        match self {
            Note::Received(id) => id.into(),
            Note::Released(id) => Note::RELEASED | u32::from(id),
        }
    }

    pub(super) fn of(key: u32) -> Note {
        let id = key as u16;
        match key & Note::RELEASED {
            0 => Note::Received(id),
            _ => Note::Released(id),
        }
    }
}

/// The packet id that a message keeps because its client may have it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeptId {
    /// The packet id.
    pub(crate) id: u16,
    /// What it was sent with, and will be again: 1 or 2.
    pub(crate) qos: u8,
}

impl KeptId {
    const QOS_SHIFT: u32 = 16;

    /// The message's tag.
    pub(crate) fn number(self) -> u32 {
        u32::from(self.qos) << KeptId::QOS_SHIFT | u32::from(self.id)
    }

    /// What a tag says.
    pub(crate) fn of(number: u32) -> KeptId {
        KeptId {
            id: number as u16,
            qos: ((number >> KeptId::QOS_SHIFT) as u8).clamp(1, 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_reads_back() {
        for id in [1, 2, 255, 256, u16::MAX] {
            for note in [Note::Received(id), Note::Released(id)] {
                assert_eq!(Note::of(note.key()), note);
            }
            for qos in [1, 2] {
                let kept = KeptId { id, qos };
                assert_eq!(KeptId::of(kept.number()), kept);
            }
        }
    }
}
