//! The `expiration` property: a whole number of milliseconds, written as text.
//!
//! Invariant: what is refused, and with which words, is what RabbitMQ refuses.

use ferry_core::limits::TTL_MS_MAX;

/// Reads an expiration; the error is what comes after `invalid expiration '...': `.
pub(crate) fn parse(text: &[u8]) -> Result<u64, String> {
    let signed = matches!(text.first(), Some(b'+' | b'-'));
    let digits = text[usize::from(signed)..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let end = usize::from(signed) + digits.count();
    if end == usize::from(signed) {
        return Err("no_integer".into());
    }
    if end < text.len() {
        let rest = String::from_utf8_lossy(&text[end..]);
        return Err(format!("{{leftover_string,{rest:?}}}"));
    }
    let number = String::from_utf8_lossy(text);
    let digits = number
        .trim_start_matches(['+', '-'])
        .trim_start_matches('0');
    if number.starts_with('-') && !digits.is_empty() {
        return Err(format!("{{value_negative,-{digits}}}"));
    }
    let value = if digits.is_empty() {
        Ok(0)
    } else {
        digits.parse::<u64>()
    };
    match value {
        Ok(value) if value <= TTL_MS_MAX => Ok(value),
        _ => Err(format!("{{value_too_large,{digits}}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expirations_are_whole_milliseconds() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("60000", Ok(60_000)),
            ("+5", Ok(5)),
            ("-0", Ok(0)),
            ("315360000000", Ok(315_360_000_000)),
            ("315360000001", Err("{value_too_large,315360000001}")),
            (
                "99999999999999999999",
                Err("{value_too_large,99999999999999999999}"),
            ),
            ("-1", Err("{value_negative,-1}")),
            ("", Err("no_integer")),
            ("abc", Err("no_integer")),
            (" 5", Err("no_integer")),
            ("5.5", Err("{leftover_string,\".5\"}")),
            ("12x", Err("{leftover_string,\"x\"}")),
        ] {
            let expected = expected.map_err(String::from);
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
    }
}
