//! Imports go down only.
//!
//! Invariants
//! - Every package of the workspace has a row in `MAP`; a row names all of our packages that it
//!   may import, and none of them may import it back.
//! - A manifest and the code are held to the same row; tests may import all that stands below,
//!   which is what the row's packages may import in turn.

use super::Finding;
use crate::source::words;
use crate::tree::File;

const RULE: &str = "layers";

/// A package: its directory, its name, and what it may import of ours.
struct Package {
    directory: &'static str,
    name: &'static str,
    imports: &'static [&'static str],
}

const fn package(
    directory: &'static str,
    name: &'static str,
    imports: &'static [&'static str],
) -> Package {
    Package {
        directory,
        name,
        imports,
    }
}

/// From the leaves up.
const MAP: [Package; 12] = [
    package("crates/amqp091/", "amqp091", &[]),
    package("crates/mqtt/", "mqtt", &[]),
    package("crates/core/", "ferry-core", &[]),
    package("crates/log/", "ferry-log", &[]),
    package(
        "crates/broker/",
        "ferry-broker",
        &["ferry-core", "ferry-log"],
    ),
    package(
        "crates/auth/",
        "ferry-auth",
        &["ferry-broker", "ferry-core"],
    ),
    package(
        "crates/gateway/",
        "ferry-gateway",
        &[
            "ferry-auth",
            "ferry-broker",
            "ferry-core",
            "amqp091",
            "mqtt",
        ],
    ),
    package(
        "crates/admin/",
        "ferry-admin",
        &["ferry-auth", "ferry-broker", "ferry-core"],
    ),
    package(
        "crates/ferrymq/",
        "ferrymq",
        &[
            "ferry-admin",
            "ferry-gateway",
            "ferry-auth",
            "ferry-broker",
            "ferry-log",
            "ferry-core",
            "amqp091",
        ],
    ),
    package(
        "crates/sim/",
        "sim",
        &[
            "ferry-gateway",
            "ferry-broker",
            "ferry-log",
            "ferry-core",
            "amqp091",
            "mqtt",
        ],
    ),
    package(
        "bench/",
        "bench",
        &["ferry-core", "ferry-log", "ferry-broker", "mqtt"],
    ),
    package("xtask/", "xtask", &[]),
];

/// Imports of ours that the map does not have.
pub fn check(file: &File) -> Vec<Finding> {
    let manifest = file.path.ends_with("/Cargo.toml");
    if !manifest && file.source.is_none() {
        return Vec::new();
    }
    let Some(package) = MAP
        .iter()
        .find(|package| file.path.starts_with(package.directory))
    else {
        if manifest && file.path.starts_with("crates/") {
            let message = "this package has no row in the map of the layers rule".to_owned();
            return vec![Finding::new(&file.path, 1, RULE, message)];
        }
        return Vec::new();
    };
    let imports = if manifest {
        of_manifest(file)
    } else {
        of_code(file)
    };
    let wrong = imports.into_iter().filter(|import| {
        import.name != package.name
            && !package.imports.contains(&import.name)
            && !(import.for_tests && below(package).contains(&import.name))
    });
    wrong
        .map(|import| {
            let message = format!("{} may not import {}", package.name, import.name);
            Finding::new(&file.path, import.line, RULE, message)
        })
        .collect()
}

/// All that a package stands on: its row, and the rows of those.
fn below(package: &Package) -> Vec<&'static str> {
    let mut names = package.imports.to_vec();
    let mut next = 0;
    while next < names.len() {
        let rows = MAP.iter().filter(|row| row.name == names[next]);
        let deeper: Vec<_> = rows.flat_map(|row| row.imports).copied().collect();
        names.extend(deeper);
        next += 1;
    }
    names
}

/// A mention of one of our packages.
struct Import {
    line: usize,
    name: &'static str,
    for_tests: bool,
}

/// Our packages in the sections of dependencies.
fn of_manifest(file: &File) -> Vec<Import> {
    let mut imports = Vec::new();
    let mut inside = false;
    let mut for_tests = false;
    for (line, text) in file.lines().map(|(line, text)| (line, text.trim())) {
        let name = if text.starts_with('[') {
            let section = text.trim_matches(['[', ']']);
            inside = section.ends_with("dependencies");
            for_tests = section.contains("dev-dependencies");
            section.rsplit_once("dependencies.").map(|(_, name)| name)
        } else {
            text.split(['=', '.', ' ']).next().filter(|_| inside)
        };
        imports.extend(name.and_then(ours).map(|name| Import {
            line,
            name,
            for_tests,
        }));
    }
    imports
}

fn ours(name: &str) -> Option<&'static str> {
    MAP.iter()
        .map(|package| package.name)
        .find(|ours| *ours == name)
}

/// Our packages at the start of a path in the code.
fn of_code(file: &File) -> Vec<Import> {
    let Some(source) = &file.source else {
        return Vec::new();
    };
    let spans = source.test_spans();
    let tested = |line| spans.iter().any(|span| (span.0..=span.1).contains(&line));
    let imports = source.lines().flat_map(|(line, code)| {
        let names = MAP.iter().map(|package| package.name);
        names
            .filter(move |name| begins_path(code, name))
            .map(move |name| (line, name))
    });
    imports
        .map(|(line, name)| Import {
            line,
            name,
            for_tests: file.is_test() || tested(line),
        })
        .collect()
}

fn begins_path(code: &str, name: &str) -> bool {
    let name = name.replace('-', "_");
    let starts: Vec<usize> = words(code, &name).collect();
    starts.into_iter().any(|start| {
        let (before, after) = (code[..start].trim_end(), &code[start + name.len()..]);
        let imported = before.ends_with("use") || before.ends_with("extern crate");
        let whole = after.starts_with(';') || after.starts_with(" as ");
        !before.ends_with("::") && (after.starts_with("::") || (imported && whole))
    })
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn manifests_depend_downwards() {
        let core = "[package]\nname = \"ferry-core\"\n[dependencies]\nferry-log.workspace = true\n";
        let table = "[dependencies.ferry-broker]\npath = \"../broker\"\n";
        let dev = "[dev-dependencies]\namqp091 = { path = \"../amqp091\" }\nserde = \"1\"\n";
        let dev_log = "[dev-dependencies]\nferry-log.workspace = true\n";
        let dev_log_table = "[dev-dependencies.ferry-log]\nworkspace = true\n";
        for (path, text, lines) in [
            ("crates/core/Cargo.toml", core, &[4][..]),
            ("crates/broker/Cargo.toml", core, &[]),
            ("crates/core/Cargo.toml", table, &[1]),
            ("crates/gateway/Cargo.toml", table, &[]),
            ("crates/broker/Cargo.toml", dev, &[2]),
            ("crates/gateway/Cargo.toml", dev, &[]),
            ("crates/gateway/Cargo.toml", core, &[4]),
            ("crates/gateway/Cargo.toml", dev_log, &[]),
            ("crates/gateway/Cargo.toml", dev_log_table, &[]),
            ("crates/core/Cargo.toml", dev_log, &[2]),
            ("crates/unknown/Cargo.toml", "[package]\n", &[1]),
            (
                "Cargo.toml",
                "[workspace.dependencies]\nferry-core = \"1\"\n",
                &[],
            ),
        ] {
            assert_eq!(found(check, path, text), lines, "{path} {text:?}");
        }
    }

    #[test]
    fn code_imports_downwards() {
        for (path, text, lines) in [
            (
                "crates/core/src/a.rs",
                "use ferry_broker::Broker;\n",
                &[1][..],
            ),
            (
                "crates/core/src/a.rs",
                "\nfn f(a: ferry_log::Position) {}\n",
                &[2],
            ),
            ("crates/broker/src/a.rs", "use ferry_log::Position;\n", &[]),
            ("crates/broker/src/a.rs", "use amqp091;\n", &[1]),
            (
                "crates/broker/src/a.rs",
                "use crate::amqp091::Frame;\n",
                &[],
            ),
            ("crates/broker/src/a.rs", "// use amqp091::Frame;\n", &[]),
            ("crates/broker/src/a.rs", "use ferry_broker::Broker;\n", &[]),
            (
                "crates/gateway/src/a.rs",
                "use amqp091::Frame;\nuse ferry_admin::Page;\n",
                &[2],
            ),
            ("crates/log/src/a.rs", "let ferry_core = bench;\n", &[]),
            ("crates/gateway/src/a.rs", "use ferry_log::Disk;\n", &[1]),
            ("crates/gateway/tests/a.rs", "use ferry_log::Disk;\n", &[]),
            ("crates/broker/tests/a.rs", "use amqp091::Frame;\n", &[1]),
            (
                "crates/gateway/src/a.rs",
                "#[cfg(test)]\nmod tests {\n    use ferry_log::Disk;\n}\nuse ferry_log::Log;\n",
                &[5],
            ),
        ] {
            assert_eq!(found(check, path, text), lines, "{path} {text:?}");
        }
    }

    #[test]
    fn the_map_has_no_cycle() {
        for (index, package) in MAP.iter().enumerate() {
            for import in package.imports {
                let below = MAP[..index].iter().any(|lower| lower.name == *import);
                assert!(
                    below,
                    "{} imports {import}, which is not below it",
                    package.name
                );
            }
        }
    }
}
