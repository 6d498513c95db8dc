//! Patterns, compared with a matcher that tries everything.

use proptest::prelude::*;

use super::super::like::Pattern;

/// Whether a text is like a pattern, without escapes: one row of truths per character.
pub(super) fn plain(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut like = vec![false; text.len() + 1];
    like[0] = true;
    for wanted in pattern.chars() {
        let before = like.clone();
        for at in 0..=text.len() {
            like[at] = match wanted {
                '%' => before[..=at].contains(&true),
                '_' => at > 0 && before[at - 1],
                _ => at > 0 && before[at - 1] && text[at - 1] == wanted,
            };
        }
    }
    like[text.len()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn matches_are_those_of_a_plain_matcher(
        text in "[abé🦀]{0,12}",
        pattern in "[abé🦀%%__]{0,10}",
    ) {
        let read = Pattern::read(&pattern, None).unwrap();
        prop_assert_eq!(read.matches(text.as_bytes()), plain(&text, &pattern));
    }

    #[test]
    fn a_pattern_made_of_a_text_matches_it(
        text in "[abé%_!]{0,12}",
        wild in prop::collection::vec(0..4u8, 12),
    ) {
        let mut pattern = String::new();
        for (character, wild) in text.chars().zip(wild) {
            match (wild, character) {
                (0, _) => pattern.push('_'),
                (1, _) => pattern.push('%'),
                (_, '%' | '_' | '!') => pattern.extend(['!', character]),
                _ => pattern.push(character),
            }
        }
        let read = Pattern::read(&pattern, Some('!')).unwrap();
        prop_assert!(read.matches(text.as_bytes()), "{pattern}");
    }

    #[test]
    fn any_bytes_have_characters(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x7f..0xc4u8, 0xe0..0xf5u8], 0..9),
        pattern in "[a%_é]{0,6}",
    ) {
        let read = Pattern::read(&pattern, None).unwrap();
        // Each byte that is no part of a character is one; so is each replacement here.
        let mut characters = String::new();
        for chunk in bytes.utf8_chunks() {
            characters.push_str(chunk.valid());
            chunk.invalid().iter().for_each(|_| characters.push('\u{fffd}'));
        }
        prop_assert_eq!(read.matches(&bytes), plain(&characters, &pattern));
    }
}
