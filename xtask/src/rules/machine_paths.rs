//! No file names a place on somebody's machine.
//!
//! Invariants
//! - A place counts where a path can begin, so an address or a relative path is none.

use super::Finding;
use crate::tree::File;

const RULE: &str = "machine-path";

/// Split, so that this file does not find itself.
const PLACES: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("C:\\Us", "ers\\"),
];

/// Every mention of such a place.
pub fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        for place in PLACES.into_iter().filter(|place| mentions(line, place)) {
            let message = format!("`{place}...` is a place on one machine");
            findings.push(Finding::new(&file.path, number, RULE, message));
        }
    }
    findings
}

fn mentions(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        before.is_none_or(|before| before.is_whitespace() || "\"'`(=:<[".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn files_name_no_place_on_a_machine() {
        for (place, line) in PLACES
            .iter()
            .zip(["see `{}ann/x`", "{}a", "in ({}x)", "{}m", "={}b"])
        {
            let text = format!("fine\n{}\n", line.replace("{}", place));
            for path in ["README.md", "a.rs", "run.sh"] {
                assert_eq!(found(check, path, &text), [2], "{path} {text:?}");
            }
            assert_eq!(
                found(check, "README.md", &format!("docs{place}x, a.org{place}x")),
                []
            );
        }
        assert_eq!(found(check, "README.md", "data in /var/lib/ferrymq\n"), []);
    }
}
