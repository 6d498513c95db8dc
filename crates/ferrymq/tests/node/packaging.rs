//! What packages bring: the file of settings, and the unit.

use std::path::PathBuf;
use std::process::Command;

use crate::support::Running;

fn packaged(name: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging");
    PathBuf::from(root).join(name)
}

#[test]
fn a_node_starts_with_the_packaged_settings_as_they_are_and_with_each_default_said() {
    let sample = std::fs::read_to_string(packaged("ferrymq.toml")).unwrap();
    let is_setting = |line: &str| line.starts_with("# ") && line.contains(" = ");
    let said = sample.lines().map(|line| match is_setting(line) {
        true => &line[2..],
        false => line,
    });
    let said = said.collect::<Vec<_>>().join("\n");
    assert!(said.contains("\nmemory_high = 0.4\n"), "{said}");
    for text in [sample.as_str(), said.as_str()] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ferrymq.toml");
        std::fs::write(&file, text).unwrap();
        let data = directory.path().join("data");
        let node = Running::start(&data, &["--config", file.to_str().unwrap()]);
        assert!(node.get("/api/overview").contains("FerryMQ"));
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let unit = std::fs::read_to_string(packaged("ferrymq.service")).unwrap();
    let unit = unit.replace("/usr/bin/ferrymq", env!("CARGO_BIN_EXE_ferrymq"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ferrymq.service");
    std::fs::write(&file, unit).unwrap();
    let verify = Command::new("systemd-analyze")
        .args(["verify", "--man=no", file.to_str().unwrap()])
        .output();
    // Machines without systemd have nobody to ask.
    let Ok(verify) = verify else { return };
    let said = String::from_utf8_lossy(&verify.stderr).into_owned();
    assert!(verify.status.success() && said.is_empty(), "{said}");
}
