//! The files that are checked.
//!
//! Invariants
//! - Paths are relative to the root, with `/`, in alphabetical order.
//! - What is generated, fetched or hidden is not looked at.

use std::fs;
use std::io;
use std::path::Path;

use crate::source::Source;

const EXTENSIONS: [&str; 9] = ["rs", "md", "toml", "py", "sh", "js", "yml", "yaml", "txt"];
const NAMES: [&str; 2] = ["justfile", "Dockerfile"];
const SKIPPED: [&str; 4] = ["target", "node_modules", "corpus", "__pycache__"];

/// One file.
pub struct File {
    /// Relative to the root.
    pub path: String,
    /// Everything in it.
    pub text: String,
    /// The same seen as Rust, for a Rust file.
    pub source: Option<Source>,
}

impl File {
    pub fn new(path: &str, text: &str) -> File {
        let source = path.ends_with(".rs").then(|| Source::new(text));
        File {
            path: path.to_owned(),
            text: text.to_owned(),
            source,
        }
    }

    /// Lines with their numbers, from one.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// Whether all of the file is test code.
    pub fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        let named = ["/tests.rs", "_tests.rs"]
            .iter()
            .any(|ending| self.path.ends_with(ending));
        named || parts.any(|part| part == "tests")
    }
}

/// Reads all files under `root`.
pub fn read(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with('.') || SKIPPED.contains(&name.as_str()) {
                continue;
            }
            let path = if directory.is_empty() {
                name
            } else {
                format!("{directory}/{name}")
            };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() && is_checked(&path) {
                let bytes = fs::read(entry.path())?;
                files.push(File::new(&path, &String::from_utf8_lossy(&bytes)));
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

fn is_checked(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    NAMES.contains(&name) || extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_files_are_checked_and_data_is_not() {
        for (path, checked) in [
            ("crates/core/src/lib.rs", true),
            ("README.md", true),
            ("justfile", true),
            ("Cargo.lock", false),
            ("LICENSE", false),
            ("bench/results/run.jsonl", false),
        ] {
            assert_eq!(is_checked(path), checked, "{path}");
        }
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        for (path, test) in [
            ("crates/core/src/routing/tests.rs", true),
            ("crates/core/src/routing/tests/model.rs", true),
            ("crates/log/tests/recovery.rs", true),
            ("tests/interop/lib.rs", true),
            ("crates/core/src/routing.rs", false),
            ("crates/core/src/handshake_tests.rs", true),
            ("crates/core/src/latests.rs", false),
        ] {
            assert_eq!(File::new(path, "").is_test(), test, "{path}");
        }
    }
}
