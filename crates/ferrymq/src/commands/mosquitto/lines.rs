//! Files of Mosquitto as lines, each with the place where it stands.
//!
//! Invariants
//! - Files are bounded; an included directory is read in the order of its names, and nothing that
//!   it holds includes more.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::commands::outcome::Failure;

/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// The option that stands for the files of a directory.
const INCLUDE: &str = "include_dir";

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub file: PathBuf,
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// A line that says something: its first word, and the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub place: Place,
    pub word: String,
    pub rest: String,
}

impl Line {
    /// The line as it stands there.
    pub fn text(&self) -> String {
        format!("{} {}", self.word, self.rest).trim_end().to_owned()
    }
}

/// The lines of a file that are neither empty nor a remark, with their numbers.
pub(super) fn numbered(path: &Path) -> Result<Vec<(Place, String)>, Failure> {
    let wrong = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(|error| wrong(error.to_string()))? as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let lines = text.lines().enumerate();
    let lines = lines.map(|(index, line)| (index + 1, line.trim_matches([' ', '\t', '\r'])));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let place = |line| Place {
        file: path.to_owned(),
        line,
    };
    Ok(lines
        .map(|(line, text)| (place(line), text.to_owned()))
        .collect())
}

/// The lines of a file whose lines begin with a word.
pub(super) fn words(path: &Path) -> Result<Vec<Line>, Failure> {
    let lines = numbered(path)?.into_iter();
    let line = |(place, text): (Place, String)| {
        let (word, rest) = text.split_once([' ', '\t']).unwrap_or((&text, ""));
        Line {
            place,
            word: word.to_owned(),
            rest: rest.trim().to_owned(),
        }
    };
    Ok(lines.map(line).collect())
}

/// The lines of a configuration, with those of the files that it includes.
pub(super) fn configuration(path: &Path) -> Result<Vec<Line>, Failure> {
    let mut all = Vec::new();
    for line in words(path)? {
        if line.word != INCLUDE {
            all.push(line);
            continue;
        }
        let unreadable = |error: std::io::Error| {
            Failure::Usage(format!("{}: {}: {error}", line.place, line.rest))
        };
        let entries = std::fs::read_dir(&line.rest).map_err(unreadable)?;
        let files = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut files: Vec<_> = files.collect::<Result<_, _>>().map_err(unreadable)?;
        files.retain(|file| {
            file.extension()
                .is_some_and(|extension| extension == "conf")
        });
        files.sort();
        for file in files {
            all.extend(words(&file)?);
        }
    }
    Ok(all)
}
