//! Where settings come from, which of them counts, and how wrong ones are refused.

use std::process::Stdio;

use crate::support::{Running, command, run};
use rustix::process::Signal;

#[test]
fn flags_count_more_than_the_environment_and_that_more_than_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ferrymq.toml");
    let data = directory.path().join("data");
    let text = "amqp = [\"127.0.0.1:0\"]\nhttp = \"127.0.0.1:0\"\nmemory_high = \"2MiB\"\n\
                sync = \"memory\"\nworkers = 3\n";
    std::fs::write(&file, text).unwrap();
    let (file, data) = (file.to_str().unwrap(), data.to_str().unwrap());
    for (flags, variables, parts) in [
        (
            &["--config", file][..],
            &[("FERRYMQ_DATA_DIR", data)][..],
            [
                "take 2.0 MiB",
                "sync=\"memory\"",
                "workers=3",
                "WARN confirms wait for nothing: confirmed messages are lost when the node ends",
            ],
        ),
        (
            &["serve", "--memory-high", "4MiB"],
            &[
                ("FERRYMQ_CONFIG", file),
                ("FERRYMQ_DATA_DIR", data),
                ("FERRYMQ_MEMORY_HIGH", "3MiB"),
                ("FERRYMQ_SYNC", "written"),
            ],
            [
                "take 4.0 MiB",
                "sync=\"written\"",
                "workers=3",
                "WARN confirms do not wait for the disk: a loss of power may lose",
            ],
        ),
    ] {
        let mut command = command(flags);
        command
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let node = Running::from(command);
        for part in parts {
            assert!(node.log.contains(part), "{part} is not in {}", node.log);
        }
        node.signal(Signal::TERM);
        assert_eq!(node.end().0.code(), Some(0));
    }
}

#[test]
fn wrong_settings_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ferrymq.toml");
    std::fs::write(&file, "memory_hihg = 0.4\n").unwrap();
    let file = file.to_str().unwrap();
    for (args, variables, part) in [
        (
            &["--config", file][..],
            &[][..],
            "`memory_hihg` is unknown, did you mean `memory_high`?",
        ),
        (
            &[],
            &[("FERRYMQ_HTPP", "off")],
            "`FERRYMQ_HTPP` is unknown, did you mean `FERRYMQ_HTTP`?",
        ),
        (
            &[],
            &[("FERRYMQ_HTTP", "x")],
            "FERRYMQ_HTTP: `x` is not an address",
        ),
        (
            &["serve", "--sync", "never"],
            &[],
            "--sync: `never` is not sync, written or memory",
        ),
        (
            &["--config", "none-such.toml"],
            &[],
            "can not read none-such.toml",
        ),
        (&["--ampq", "off"], &[], "--amqp"),
        (&["serve", "more"], &[], "unexpected argument"),
    ] {
        let (code, out, log) = run(args, variables);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {log}");
        assert!(log.contains(part), "{args:?}: {log}");
    }
}

#[test]
fn help_teaches_what_there_is() {
    for args in [&["--help"][..], &["serve", "--help"], &["help"]] {
        let (code, out, _) = run(args, &[]);
        assert_eq!(code, 0, "{args:?}");
        for part in [
            "FERRYMQ_DATA_DIR",
            "--memory-high",
            "127.0.0.1:15672",
            "Examples:",
            "MQTT",
        ] {
            assert!(out.contains(part), "{part} is not in {out}");
        }
    }
    assert!(
        run(&["--version"], &[])
            .1
            .contains(env!("CARGO_PKG_VERSION"))
    );
}
