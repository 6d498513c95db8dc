//! Topic names and filters: their rules, and which filters a name matches.
//!
//! Invariants
//! - Bytes are compared as they are; nothing is normalised (`MQTT-4.7.3-4`).
//! - A filter that begins with a wildcard matches no name that begins with `$`.
//!
//! Not here: routing keys (`key.rs`).

mod key;

pub use key::{filter_to_key, from_key, to_key};

use memchr::memchr2;

use crate::error::{DecodeError, ErrorKind};
use crate::reason::ReasonCode;
use crate::text::{self, TEXT_BYTES_MAX};

/// What a filter of a shared subscription begins with.
pub const SHARE_PREFIX: &[u8] = b"$share/";

/// Longest name or filter, in bytes.
pub const TOPIC_BYTES_MAX: usize = TEXT_BYTES_MAX;

/// Checks a topic name: a string of at least one character, without wildcards.
///
/// # Errors
/// 0x81 for what is no MQTT string, 0x90 for a name that is empty, too long or has wildcards.
#[inline]
pub fn check_name(name: &[u8]) -> Result<(), DecodeError> {
    if name.is_empty() || name.len() > TOPIC_BYTES_MAX {
        return Err(bad_name("MQTT-4.7.3-1"));
    }
    if !text::check(name) {
        return Err(bad_text(name));
    }
    if memchr2(b'+', b'#', name).is_some() {
        return Err(bad_name("MQTT-3.3.2-2"));
    }
    Ok(())
}

/// Checks a topic filter: a string of at least one character, `+` only as a whole level, `#` only
/// as the whole last one. A `$share/` prefix is a level like any other; see [`shared`].
///
/// # Errors
/// 0x81 for what is no MQTT string, 0x8F for what is no filter.
pub fn check_filter(filter: &[u8]) -> Result<(), DecodeError> {
    if filter.is_empty() || filter.len() > TOPIC_BYTES_MAX {
        return Err(bad_filter("MQTT-4.7.3-1"));
    }
    if !text::check(filter) {
        return Err(bad_text(filter));
    }
    let mut levels = filter.split(|byte| *byte == b'/').peekable();
    while let Some(level) = levels.next() {
        if level == b"+" || (level == b"#" && levels.peek().is_none()) {
            continue;
        }
        match memchr2(b'+', b'#', level).map(|at| level[at]) {
            None => {}
            Some(b'#') => return Err(bad_filter("MQTT-4.7.1-1")),
            Some(_) => return Err(bad_filter("MQTT-4.7.1-2")),
        }
    }
    Ok(())
}

/// Checks a filter as MQTT 5 has it: one that begins with `$share/` must be a shared one.
///
/// # Errors
/// As [`check_filter`], and 0x8F for `$share/` without a group or a filter.
pub fn check_filter_or_share(filter: &[u8]) -> Result<(), DecodeError> {
    check_filter(filter)?;
    if filter.starts_with(SHARE_PREFIX) && shared(filter).is_none() {
        let has_name = !filter[SHARE_PREFIX.len()..].starts_with(b"/");
        let statement = if has_name {
            "MQTT-4.8.2-2"
        } else {
            "MQTT-4.8.2-1"
        };
        return Err(DecodeError::new(
            ErrorKind::BadShare,
            ReasonCode::TopicFilterInvalid,
            statement,
        ));
    }
    Ok(())
}

/// Group and filter of a shared subscription, `$share/group/filter`, of a filter that
/// [`check_filter`] accepted. `None` for any other: no group, wildcards in it, or no filter.
#[must_use]
pub fn shared(filter: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = filter.strip_prefix(SHARE_PREFIX)?;
    let slash = memchr::memchr(b'/', rest)?;
    let (group, filter) = (&rest[..slash], &rest[slash + 1..]);
    let is_named = !group.is_empty() && memchr2(b'+', b'#', group).is_none();
    (is_named && !filter.is_empty()).then_some((group, filter))
}

/// Whether a filter lets a name through. Of a shared subscription, only the part after the group
/// is the filter.
#[must_use]
pub fn matches(filter: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'$') && matches!(filter.first(), Some(b'+' | b'#')) {
        return false;
    }
    let mut filter_levels = filter.split(|byte| *byte == b'/');
    let mut name_levels = name.split(|byte| *byte == b'/');
    loop {
        match (filter_levels.next(), name_levels.next()) {
            (None, None) | (Some(b"#"), _) => return true,
            (Some(wanted), Some(level)) if wanted == b"+" || wanted == level => {}
            _ => return false,
        }
    }
}

/// Whether there is a wildcard in a filter that [`check_filter`] accepted.
#[must_use]
pub fn has_wildcard(filter: &[u8]) -> bool {
    memchr2(b'+', b'#', filter).is_some()
}

#[cold]
const fn bad_name(statement: &'static str) -> DecodeError {
    let reason = ReasonCode::TopicNameInvalid;
    DecodeError::new(ErrorKind::BadTopicName, reason, statement)
}

#[cold]
const fn bad_filter(statement: &'static str) -> DecodeError {
    let reason = ReasonCode::TopicFilterInvalid;
    DecodeError::new(ErrorKind::BadTopicFilter, reason, statement)
}

#[cold]
fn bad_text(bytes: &[u8]) -> DecodeError {
    let has_nul = memchr::memchr(0, bytes).is_some();
    DecodeError::malformed(
        ErrorKind::BadText,
        if has_nul {
            "MQTT-4.7.3-2"
        } else {
            "MQTT-1.5.4-1"
        },
    )
}

#[cfg(test)]
mod tests;
