//! Users and what they may do.

use super::{Finding, Level, text};
use crate::definitions::File;

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    for user in file.all("users") {
        let name = text(user, "name");
        let mut add = |level, rule, what: &str, advice| {
            findings.push(Finding {
                level,
                rule,
                kind: "user",
                vhost: String::new(),
                name: name.to_owned(),
                what: what.to_owned(),
                advice,
            });
        };
        if name == "guest" {
            add(
                Level::Warning,
                "guest",
                "everybody knows its password, unless it was changed",
                "make users of your own, and delete guest",
            );
        }
        if user.get("password").is_some() {
            add(
                Level::Bad,
                "plain-password",
                "its password stands in the file",
                "export the file from a node: it has hashes",
            );
        }
        match user["hashing_algorithm"].as_str() {
            Some("rabbit_password_hashing_md5") => add(
                Level::Warning,
                "weak-hash",
                "an md5 hash is no protection once the file is in other hands",
                "let the user log in once after the import, or set a new password",
            ),
            Some(
                "argon2id"
                | "mosquitto"
                | "rabbit_password_hashing_sha256"
                | "rabbit_password_hashing_sha512",
            )
            | None => {}
            Some(_) => add(
                Level::Bad,
                "unknown-hash",
                "its hash can not be checked here: no log-in is right",
                "set a new password after the import",
            ),
        }
    }
    for permission in file.all("permissions") {
        let all = ["configure", "write", "read"]
            .iter()
            .all(|right| text(permission, right) == ".*");
        if all && !is_administrator(file, text(permission, "user")) {
            findings.push(Finding {
                level: Level::Note,
                rule: "all-rights",
                kind: "permission",
                vhost: text(permission, "vhost").to_owned(),
                name: text(permission, "user").to_owned(),
                what: "it may declare, write and read everything there".to_owned(),
                advice: "name what it needs: configure ^$ is enough for most applications",
            });
        }
    }
}

fn is_administrator(file: &File, name: &str) -> bool {
    let users = file.all("users").iter();
    let mut users = users.filter(|user| text(user, "name") == name);
    users.any(|user| match &user["tags"] {
        serde_json::Value::Array(tags) => tags.iter().any(|tag| tag == "administrator"),
        tags => tags.as_str().unwrap_or("").contains("administrator"),
    })
}
