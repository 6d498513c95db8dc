//! `verify` and `repair` on directories that are sound, damaged, and not there.

use std::path::{Path, PathBuf};

use crate::support::{Running, run};
use rustix::process::Signal;

/// The file of the first segment.
fn segment(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> = files
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("seg-")
        })
        .collect();
    segments.sort();
    segments.swap_remove(0)
}

#[test]
fn a_sound_directory_verifies() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let node = Running::start(directory.path(), &[]);
    node.signal(Signal::TERM);
    assert_eq!(node.end().0.code(), Some(0));
    let (code, out, log) = run(&["verify", "--data-dir", data], &[]);
    assert_eq!(code, 0, "{out}{log}");
    assert!(
        out.starts_with("1 segments, ") && out.ends_with("Nothing is damaged.\n"),
        "{out}"
    );
    assert!(log.contains("100 %: ") && log.contains(" read\n"), "{log}");
    let (code, out, _) = run(&["verify", "--json", "--data-dir", data], &[]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["sound"]), (0, &true.into()), "{out}");
    assert_eq!(report["damaged"], serde_json::json!([]));
}

/// A node that has three messages in a queue.
fn with_messages(data: &Path) -> Running {
    let node = Running::start(data, &[]);
    let url = format!("http://{}", node.http);
    let on = |args: &[&str]| {
        let (code, out, log) = run(args, &[("FERRYMQ_NODE", &url)]);
        assert_eq!(code, 0, "{args:?}: {out}{log}");
    };
    on(&["declare", "queue", "orders"]);
    for body in ["first of three", "the-rotten-one", "third of three"] {
        on(&["publish", "orders", body]);
    }
    node
}

#[test]
fn a_damaged_body_is_named_with_its_queue_by_verify_and_by_the_start_which_serves_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let node = with_messages(directory.path());
    // Killed, so that the start reads all of the log, and with a record behind the body.
    node.signal(Signal::KILL);
    node.end();
    let path = segment(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let needle = b"the-rotten-one";
    let at = bytes.windows(needle.len()).position(|it| it == needle);
    bytes[at.unwrap()] ^= 4;
    std::fs::write(&path, &bytes).unwrap();

    let (code, out, log) = run(&["verify", "--json", "--data-dir", data], &[]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let queue = &report["queues"][0];
    assert_eq!(code, 1, "{log}");
    assert_eq!(
        (&queue["name"], &queue["messages"]),
        (&"orders".into(), &1.into()),
        "{out}"
    );
    let offset = queue["places"][0]["offset"].as_u64().unwrap();
    let (code, out, _) = run(&["verify", "--data-dir", data], &[]);
    let line =
        format!("lost: the bodies of 1 message of queue \"orders\" in \"/\", at 1:{offset}\n");
    assert!(code == 1 && out.contains(&line), "{out}");

    let node = Running::start(directory.path(), &[]);
    let place = format!("segment=1 offset={offset}");
    assert!(
        node.log.contains("can not be read back and are held"),
        "{}",
        node.log
    );
    assert!(
        node.log.contains("orders") && node.log.contains(&place),
        "{}",
        node.log
    );
    let url = format!("http://{}", node.http);
    let get = ["get", "orders", "--count", "5"];
    let (code, out, log) = run(&get, &[("FERRYMQ_NODE", &url)]);
    assert_eq!(code, 0, "{log}");
    assert!(
        out.contains("first of three") && out.contains("third of three"),
        "{out}"
    );
    assert!(!out.contains("rotten"), "{out}");
    node.signal(Signal::TERM);
    assert_eq!(node.end().0.code(), Some(0));
}

#[test]
fn damage_is_reported_and_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    // The second segment says where the first one ended: damage there is no torn end.
    for _ in 0..2 {
        let node = Running::start(directory.path(), &[]);
        node.signal(Signal::TERM);
        assert_eq!(node.end().0.code(), Some(0));
    }
    let path = segment(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    // Behind the head of the segment; whatever comes first there was synced.
    bytes[1024..1056].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();

    let (code, out, _) = run(&["verify", "--data-dir", data], &[]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("damaged: segment 1 from byte "), "{out}");
    assert_eq!(
        std::fs::read(&path).unwrap(),
        bytes,
        "verify changed something"
    );
    let (code, out, log) = run(&["repair", "--data-dir", data], &[]);
    assert_eq!(code, 0, "{out}{log}");
    assert!(out.contains("are set aside"), "{out}");
    let (code, out, _) = run(&["verify", "--data-dir", data], &[]);
    assert_eq!(
        (code, out.contains("set aside earlier: segment 1")),
        (0, true),
        "{out}"
    );
    let node = Running::start(directory.path(), &[]);
    node.signal(Signal::TERM);
    assert_eq!(node.end().0.code(), Some(0));
}

#[test]
fn a_directory_that_is_not_there_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("none");
    for tool in ["verify", "repair"] {
        let (code, out, log) = run(&[tool, "--data-dir", data.to_str().unwrap()], &[]);
        assert_eq!((code, out.as_str()), (1, ""), "{log}");
        assert!(log.contains("is not a data directory"), "{log}");
        assert!(!data.exists());
    }
}
