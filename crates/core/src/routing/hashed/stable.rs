//! Hashes that come out the same on every machine and in every version, so that a value keeps its
//! queue over restarts and upgrades.
//!
//! Invariants
//! - What was hashed once is never hashed differently: the numbers in the tests do not change.
//! - Values of different types differ, whatever their bytes; an integer is one whatever its width.

use crate::view::Operand;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// Steps by which one number becomes a row of unlike ones.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Turns a number into one that looks drawn by lot; no two have the same.
pub(super) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A row of such numbers.
pub(super) fn row(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |number| Some(number.wrapping_add(STRIDE))).map(mixed)
}

/// One of `count` by a number that looks drawn by lot.
pub(super) fn scaled(number: u64, count: usize) -> usize {
    ((u128::from(number) * count as u128) >> 64) as usize
}

/// A hash under way.
#[derive(Clone, Copy)]
pub(super) struct Stable(u64);

impl Stable {
    pub(super) fn new() -> Stable {
        Stable(OFFSET)
    }

    /// Adds bytes, and where they end.
    pub(super) fn bytes(self, kind: u8, bytes: &[u8]) -> Stable {
        let length = (bytes.len() as u64).to_le_bytes();
        self.raw(&[kind]).raw(bytes).raw(&length)
    }

    pub(super) fn finish(self) -> u64 {
        mixed(self.0)
    }

    fn raw(self, bytes: &[u8]) -> Stable {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        Stable(bytes.iter().fold(self.0, step))
    }
}

/// A queue that bindings lead to.
pub(in crate::routing) fn of_queue(id: u64) -> u64 {
    Stable::new().bytes(b'q', &id.to_le_bytes()).finish()
}

/// An exchange that bindings lead to.
pub(in crate::routing) fn of_exchange(name: &str) -> u64 {
    Stable::new().bytes(b'e', name.as_bytes()).finish()
}

/// A destination with the key that it is bound by.
pub(super) fn of_member(destination: u64, key: &[u8]) -> u64 {
    let hash = Stable::new().bytes(b'd', &destination.to_le_bytes());
    hash.bytes(b'k', key).finish()
}

/// All routing keys of a message.
pub(super) fn of_keys(keys: &[&[u8]]) -> u64 {
    let add = |hash: Stable, key: &&[u8]| hash.bytes(b't', key);
    keys.iter().fold(Stable::new(), add).finish()
}

/// A value of a message; what is not there is a value, too.
pub(super) fn of_operand(value: Option<Operand<'_>>) -> u64 {
    let hash = Stable::new();
    let hash = match value {
        Some(Operand::Text(text)) => hash.bytes(b't', text),
        Some(Operand::Integer(value)) => hash.bytes(b'i', &value.to_le_bytes()),
        Some(Operand::Float(value)) => hash.bytes(b'f', &(value + 0.0).to_bits().to_le_bytes()),
        Some(Operand::Bool(value)) => hash.bytes(b'b', &[u8::from(value)]),
        None => hash.bytes(b'n', &[]),
    };
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_never_changes() {
        for (hash, expected) in [
            (of_operand(Some(Operand::Text(b""))), 0x61fd_a07b_f502_ebad),
            (
                of_operand(Some(Operand::Text(b"customer-7"))),
                0x2713_975a_73fc_86b9,
            ),
            (
                of_operand(Some(Operand::Integer(-7))),
                0xaf15_5d41_3f5a_898e,
            ),
            (of_operand(Some(Operand::Float(0.5))), 0x9149_e90a_4bfc_18df),
            (of_operand(Some(Operand::Bool(true))), 0x0512_f895_f6b5_3416),
            (of_operand(None), 0xc329_6574_1272_da8f),
            (of_keys(&[b"a", b"b"]), 0x4caf_8722_9110_bb30),
            (of_member(of_queue(7), b"1"), 0xf3ee_c65d_c779_b2e4),
            (of_member(of_exchange("x"), b"1"), 0xdc15_736e_17df_641d),
            (row(7).nth(3).unwrap(), 0xe698_4080_bab1_2a02),
        ] {
            assert_eq!(hash, expected, "{hash:#018x}");
        }
    }

    #[test]
    fn a_routing_key_hashes_as_the_same_text_in_a_header() {
        assert_eq!(of_keys(&[b"k"]), of_operand(Some(Operand::Text(b"k"))));
    }

    #[test]
    fn where_a_part_ends_counts() {
        assert_ne!(of_keys(&[b"ab", b"c"]), of_keys(&[b"a", b"bc"]));
        assert_ne!(of_keys(&[b"", b""]), of_keys(&[b""]));
        assert_eq!(
            of_operand(Some(Operand::Float(-0.0))),
            of_operand(Some(Operand::Float(0.0)))
        );
    }

    #[test]
    fn a_scaled_number_stays_below_the_count() {
        for (number, count, expected) in [
            (0, 1, 0),
            (u64::MAX, 1, 0),
            (0, 3, 0),
            (u64::MAX / 2 + 1, 2, 1),
            (u64::MAX, 3, 2),
        ] {
            assert_eq!(scaled(number, count), expected, "{number} of {count}");
        }
    }
}
