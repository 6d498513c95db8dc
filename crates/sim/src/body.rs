//! Bodies that can be made again from the number of their message, to compare byte for byte.
//!
//! Invariants
//! - A body starts with its message's number and is at least that long.

/// Shortest body, in bytes.
pub const BODY_BYTES_MIN: u32 = 8;

/// The body of message `id`, `size` bytes long.
#[must_use]
pub fn body(id: u64, size: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size as usize + 8);
    bytes.extend_from_slice(&id.to_le_bytes());
    let mut word = id ^ 0x9e37_79b9_7f4a_7c15;
    while bytes.len() < size as usize {
        word = word
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        bytes.extend_from_slice(&(word ^ word >> 29).to_le_bytes());
    }
    bytes.truncate(size as usize);
    bytes
}

/// The number of the message that has this body, if it is one of ours and whole.
#[must_use]
pub fn message_of(bytes: &[u8]) -> Option<u64> {
    let id = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    (body(id, bytes.len() as u32) == bytes).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_tells_its_message_and_a_changed_one_tells_none() {
        for size in [8, 9, 100] {
            let mut bytes = body(7, size);
            assert_eq!((bytes.len(), message_of(&bytes)), (size as usize, Some(7)));
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            assert_ne!(message_of(&bytes), Some(7));
        }
        assert_eq!(message_of(b"short"), None);
    }
}
