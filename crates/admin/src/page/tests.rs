//! What holds for every file of the page.

use std::fs;
use std::path::{Path, PathBuf};

use super::{FILES, content_type};

/// Longest script, in lines.
const SCRIPT_LINES_MAX: usize = 400;
/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 100;

/// The one address that is no place: the name of a kind of markup.
const SVG_NAME: &str = "http://www.w3.org/2000/svg";

/// Ways from text to markup or to code, and ways to ask somebody else for something.
const FORBIDDEN: [&str; 17] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "createContextualFragment",
    "DOMParser",
    "srcdoc",
    "eval(",
    "new Function",
    "javascript:",
    "document.cookie",
    "<script>",
    "<style",
    " style=",
    " onclick=\"",
    "http://",
    "https://",
];

fn scripts() -> impl Iterator<Item = &'static super::File> {
    FILES.iter().filter(|file| file.name.ends_with(".js"))
}

fn on_disk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            on_disk(&path, found);
        } else if path.extension().is_none_or(|kind| kind != "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_of_the_folder_is_served() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page");
    let mut found = Vec::new();
    on_disk(&folder, &mut found);
    assert_eq!(found.len(), FILES.len());
    for path in found {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        assert!(FILES.iter().any(|file| file.name == name), "{name}");
    }
}

#[test]
fn every_import_is_a_file_of_the_page() {
    for file in scripts() {
        let folder = file.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        for line in file.content.lines() {
            let Some((_, from)) = line.split_once(" from \"") else {
                continue;
            };
            let wanted = from.split('"').next().unwrap();
            let wanted = match wanted.strip_prefix("../") {
                Some(up) => up.to_owned(),
                None => format!("{folder}/{}", wanted.strip_prefix("./").unwrap()),
            };
            let wanted = wanted.trim_start_matches('/');
            let known = FILES.iter().any(|file| file.name == wanted);
            assert!(known, "{} imports {wanted}", file.name);
        }
    }
}

#[test]
fn nothing_goes_from_text_to_markup_or_code() {
    for file in FILES {
        let content = file.content.replace(SVG_NAME, "");
        for forbidden in FORBIDDEN {
            assert!(!content.contains(forbidden), "{}: {forbidden}", file.name);
        }
    }
}

#[test]
fn scripts_are_short_and_say_what_they_are() {
    for file in scripts() {
        let lines: Vec<&str> = file.content.lines().collect();
        assert!(lines[0].starts_with("// "), "{} has no head", file.name);
        assert!(lines.len() <= SCRIPT_LINES_MAX, "{} is long", file.name);
        for (index, line) in lines.iter().enumerate() {
            let chars = line.chars().count();
            assert!(chars <= LINE_CHARS_MAX, "{}:{}", file.name, index + 1);
        }
    }
}

#[test]
fn nothing_is_looked_for_at_the_root_since_the_page_may_be_below_a_path() {
    let absolute = ["src=\"/", "href=\"/", "src: \"/", "link(\"/", "fetch(\"/"];
    for file in FILES {
        let found = absolute.iter().find(|text| file.content.contains(**text));
        assert_eq!(found, None, "{}", file.name);
    }
}

#[test]
fn a_file_has_the_type_of_its_name() {
    for (name, expected) in [
        ("index.html", "text/html; charset=utf-8"),
        ("lib/dom.js", "text/javascript; charset=utf-8"),
        ("style/base.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        assert_eq!(content_type(name), expected, "{name}");
    }
}
