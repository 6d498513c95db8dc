//! Amounts of memory as people write them.

/// Units, each with its bytes; KB and the like are thousands, KiB and the like 1024s.
const UNITS: [(&str, u64); 13] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
];

/// Bytes of a text such as `512MiB`, `1.5g` or `1000000`.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => {
            let bytes = number.parse::<f64>().ok()? * factor as f64;
            // Half a byte is nothing that anybody means.
            (factor > 1 && bytes < 2f64.powi(63)).then_some(bytes as u64)
        }
    }
}

/// Bytes for people.
pub(crate) fn show(bytes: u64) -> String {
    const NAMES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut name = 0;
    while value >= 1024.0 && name + 1 < NAMES.len() {
        value /= 1024.0;
        name += 1;
    }
    let digits = usize::from(name > 0);
    format!("{value:.digits$} {}", NAMES[name])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1000000", Some(1_000_000)),
            ("512MiB", Some(512 << 20)),
            ("512 mib", Some(512 << 20)),
            ("64k", Some(64 << 10)),
            ("1.5G", Some(3 << 29)),
            ("2GB", Some(2_000_000_000)),
            ("1TiB", Some(1 << 40)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999TiB", None),
            ("9999999.5TiB", None),
            ("1.5", None),
            ("1..5k", None),
            ("-1", None),
            ("MiB", None),
            ("", None),
            ("1 parsec", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_shown() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (512 << 20, "512.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(show(bytes), expected);
        }
    }
}
