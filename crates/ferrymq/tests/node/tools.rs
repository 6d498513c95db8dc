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
    assert!(log.contains("100 % of "), "{log}");
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
