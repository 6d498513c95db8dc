//! Files of Mosquitto, and what they become. `tests/passwords` was made by `mosquitto_passwd`.

use std::fs;
use std::path::Path;

use regex::bytes::RegexBuilder;
use serde_json::json;

use super::topic::Topic;
use super::*;

const PASSWORDS: &str = include_str!("tests/passwords");

#[test]
fn a_filter_becomes_the_keys_of_the_topics_that_it_matches() {
    for (filter, pattern, topic, expected) in [
        ("a/b", false, "a/b", true),
        ("a/b", false, "a/bc", false),
        ("a/b", false, "x/a/b", false),
        ("a/b", false, "a.b", false),
        ("a.b", false, "a.b", true),
        ("a.b", false, "a/b", false),
        ("a*(", false, "a*(", true),
        ("a/+", false, "a/b", true),
        ("a/+", false, "a/", true),
        ("a/+", false, "a", false),
        ("a/+", false, "a/b/c", false),
        ("a/+/c", false, "a/x.y/c", true),
        ("+/b", false, "a/b", true),
        ("+/b", false, "/b", true),
        ("+/b", false, "$SYS/b", false),
        ("+", false, "a\nb", true),
        ("a/#", false, "a", true),
        ("a/#", false, "a/b/c", true),
        ("a/#", false, "ab", false),
        ("+/#", false, "a", true),
        ("+/#", false, "$SYS", false),
        ("#", false, "a/b", true),
        ("#", false, "/", true),
        ("#", false, "$SYS/x", false),
        ("$SYS/#", false, "$SYS/x", true),
        ("", false, "", false),
        ("/", false, "/", true),
        ("//b", false, "//b", true),
        ("u/%u/x", true, "u/an.n/x", true),
        ("u/%u/x", true, "u/%u/x", false),
        ("u/%u/x", true, "u/an/n/x", false),
        ("u/%u/x", false, "u/%u/x", true),
        ("d/%c/#", true, "d/C1/x", true),
        ("d/%c/#", true, "d/C2/x", false),
        ("d/x%c", true, "d/xC1", true),
        ("{client_id}", false, "{client_id}", true),
        ("{client_id}", false, "C1", false),
    ] {
        let Some(parsed) = Topic::parse(filter, pattern) else {
            assert!(!expected, "{filter}");
            continue;
        };
        // As the broker fills it in: an escaped brace is none.
        let regex = parsed.regex("an.n").replace("{client_id}", "C1");
        let regex = RegexBuilder::new(&format!("^({regex})$"))
            .unicode(false)
            .dot_matches_new_line(true)
            .build()
            .unwrap();
        let swap = |byte: u8| match byte {
            b'/' => b'.',
            b'.' => b'/',
            byte => byte,
        };
        let key: Vec<u8> = topic.bytes().map(swap).collect();
        assert_eq!(regex.is_match(&key), expected, "{filter} {topic}");
    }
    for wrong in ["", "a/#/b", "a#", "a+/b", "#/a"] {
        assert_eq!(Topic::parse(wrong, false), None, "{wrong}");
    }
}

#[test]
fn filters_overlap_if_they_have_a_topic_in_common() {
    for (one, other, expected) in [
        ("a/b", "a/b", true),
        ("a/b", "a/c", false),
        ("a/b", "a/b/c", false),
        ("a/+", "a/b", true),
        ("a/+", "+/b", true),
        ("a/+", "b/+", false),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/#", "b/#", false),
        ("#", "a", true),
        ("#", "$SYS/a", false),
        ("$SYS/#", "$SYS/a", true),
        ("+/a", "$SYS/a", false),
        ("u/%u", "u/ann", true),
        ("u/%u", "u/bob", false),
        ("d/%c", "d/x", true),
        ("d/%c/a", "d/x/b", false),
    ] {
        let [one_topic, other_topic] = [one, other].map(|text| Topic::parse(text, true).unwrap());
        assert_eq!(
            one_topic.overlaps(&other_topic, "ann"),
            expected,
            "{one} {other}"
        );
        assert_eq!(
            other_topic.overlaps(&one_topic, "ann"),
            expected,
            "{other} {one}"
        );
    }
}

/// What a configuration becomes, with the password and ACL files next to it.
fn moved(configuration: &str, acl: &str) -> Moved {
    let directory = tempfile::tempdir().unwrap();
    read_in(directory.path(), configuration, acl).unwrap()
}

fn read_in(directory: &Path, configuration: &str, acl: &str) -> Result<Moved, Failure> {
    let place = |name: &str| directory.join(name).display().to_string();
    fs::write(place("passwords"), PASSWORDS).unwrap();
    fs::write(place("acl"), acl).unwrap();
    let text = configuration.replace("DIR", &directory.display().to_string());
    fs::write(place("mosquitto.conf"), text).unwrap();
    read(Path::new(&place("mosquitto.conf")), "/")
}

#[test]
fn users_come_with_their_hashes_and_with_rights_to_sessions() {
    let moved = moved("listener 1883\npassword_file DIR/passwords\n", "");
    let sessions = "^mqtt-(subscription|shared)-";
    let topics = r"^(mqtt-(subscription|shared)-.*|amq\.topic)$";
    let lines: Vec<_> = PASSWORDS.lines().skip(1).collect();
    let user = |name: &str| {
        let line = lines
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{name}:")));
        json!({
            "name": name, "password_hash": line.unwrap(), "hashing_algorithm": "mosquitto",
            "tags": [],
        })
    };
    let names = ["dev.7", "old one", "roger"];
    assert_eq!(moved.definitions["users"], json!(names.map(user)));
    let permission = |user| {
        json!({
            "user": user, "vhost": "/", "configure": sessions, "write": topics, "read": topics,
        })
    };
    assert_eq!(
        moved.definitions["permissions"],
        json!(names.map(permission))
    );
    assert_eq!(moved.definitions["topic_permissions"], json!([]));
    assert_eq!(moved.notes, [""; 0]);
    assert_eq!(moved.settings, "mqtt = [\"0.0.0.0:1883\"]\n");
}

/// User, what may be written, what may be read.
fn topic_permissions(moved: &Moved) -> Vec<(&str, &str, &str)> {
    let all = moved.definitions["topic_permissions"].as_array().unwrap();
    all.iter()
        .map(|one| {
            assert_eq!(
                (&one["exchange"], &one["vhost"]),
                (&json!("amq.topic"), &json!("/"))
            );
            let field = |name: &str| one[name].as_str().unwrap();
            (field("user"), field("write"), field("read"))
        })
        .collect()
}

#[test]
fn rules_become_topic_permissions() {
    let acl = "\
# Of clients without a name.
topic read news/#
user roger
topic foo/bar
topic write foo.x/+
user nobody else
topic read a b
topic read own/+
pattern readwrite d/%u/#
pattern write c/%c/state
topic read late/x
";
    let conf = "listener 1883 127.0.0.1\nallow_anonymous true\npassword_file DIR/passwords\n\
                acl_file DIR/acl\n";
    let moved = moved(conf, acl);
    assert_eq!(
        topic_permissions(&moved),
        [
            (
                "dev.7",
                r"^(d\.dev/7(\..*)?|c\.{client_id}\.state)$",
                r"^(d\.dev/7(\..*)?)$"
            ),
            (
                "nobody else",
                r"^(d\.nobody else(\..*)?|c\.{client_id}\.state)$",
                r"^(a b|own\.[^.]*|late\.x|d\.nobody else(\..*)?)$",
            ),
            (
                "old one",
                r"^(d\.old one(\..*)?|c\.{client_id}\.state)$",
                r"^(d\.old one(\..*)?)$"
            ),
            (
                "roger",
                r"^(foo\.bar|foo/x\.[^.]*|d\.roger(\..*)?|c\.{client_id}\.state)$",
                r"^(foo\.bar|d\.roger(\..*)?)$",
            ),
            (
                "anonymous",
                r"^(c\.{client_id}\.state)$",
                r"^(news(\..*)?)$"
            ),
        ]
    );
    assert!(
        moved.settings.contains("mqtt_anonymous = \"anonymous\"\n"),
        "{}",
        moved.settings
    );
    let users = moved.definitions["users"].as_array().unwrap();
    let without: Vec<_> = users
        .iter()
        .filter(|user| user["password_hash"] == "")
        .collect();
    assert_eq!(without.len(), 2);
    let [note] = moved.notes.as_slice() else {
        panic!("{:?}", moved.notes)
    };
    assert!(
        note.starts_with("user `nobody else` has rules and no password"),
        "{note}"
    );
}

#[test]
fn what_is_denied_is_never_allowed_and_is_named() {
    let acl = "\
user roger
topic readwrite a/#
topic deny a/secret
topic read b/#
topic deny c/x
topic maybe d/x
topic read #/x
role x
";
    let moved = moved(
        "listener 1883\npassword_file DIR/passwords\nacl_file DIR/acl\n",
        acl,
    );
    let rights = topic_permissions(&moved);
    assert!(
        rights.contains(&("roger", "^$", r"^(b(\..*)?)$")),
        "{rights:?}"
    );
    assert!(rights.contains(&("dev.7", "^$", "^$")), "{rights:?}");
    let notes = moved.notes.join("\n");
    for (line, part) in [
        (
            2,
            "`topic readwrite a/#` is left out: `topic deny a/secret` (line 3) takes a part",
        ),
        (
            5,
            "`topic deny c/x` has no equivalent, and nothing to take away",
        ),
        (6, "`topic maybe d/x`: a topic with blanks needs read"),
        (7, "`topic read #/x`: it is not a filter of topics"),
        (8, "`role x`: it is neither topic nor pattern nor user"),
    ] {
        assert!(
            notes.contains(&format!("/acl:{line}: {part}")),
            "{part} is not in {notes}"
        );
    }
    assert_eq!(moved.notes.len(), 5, "{notes}");
}

/// A configuration, its settings, and how many notes come with them.
type Row = (&'static str, &'static str, usize);

const LISTENERS: &[Row] = &[
    (
        "",
        "mqtt = [\"127.0.0.1:1883\"]\nmqtt_anonymous = \"anonymous\"\n",
        1,
    ),
    ("port 1884\n", "mqtt = [\"0.0.0.0:1884\"]\n", 0),
    (
        "port 1884\nbind_address ::1\nlistener 1 localhost\n",
        "mqtt = [\"[::1]:1884\", \"127.0.0.1:1\"]\n",
        0,
    ),
    (
        "listener 9001\nprotocol websockets\n",
        "mqtt = \"off\"\nwebsocket = [\"0.0.0.0:9001\"]\n",
        0,
    ),
    (
        "listener 1883\nlistener 8883 10.0.0.1\ncafile /ca\ncertfile /cert\nkeyfile /key\n\
          require_certificate true\nuse_identity_as_username true\n",
        "mqtt = [\"0.0.0.0:1883\"]\nmqtts = [\"10.0.0.1:8883\"]\ntls_cert = \"/cert\"\n\
             tls_client_auth = \"require\"\ntls_client_ca = \"/ca\"\ntls_key = \"/key\"\n\
             tls_login_from = \"common_name\"\n",
        0,
    ),
    (
        "listener 8883\ncertfile /a\nkeyfile /b\nlistener 8884\ncertfile /c\nkeyfile /b\n",
        "mqtt = \"off\"\nmqtts = [\"0.0.0.0:8883\", \"0.0.0.0:8884\"]\ntls_cert = \"/a\"\n\
             tls_key = \"/b\"\n",
        1,
    ),
    // Options of a listener that is left out are not those of the one before.
    (
        "listener 1\nlistener 2 broker.example\ncertfile /a\nkeyfile /b\nlistener 0 /socket\n\
         protocol websockets\n",
        "mqtt = [\"0.0.0.0:1\"]\n",
        2,
    ),
    (
        "port 0\ncertfile /a\nlistener 1\n",
        "mqtt = [\"0.0.0.0:1\"]\n",
        1,
    ),
    (
        "certfile /a\nkeyfile /b\nlistener 1\n",
        "mqtt = [\"0.0.0.0:1\"]\nmqtts = [\"0.0.0.0:1883\"]\ntls_cert = \"/a\"\n\
         tls_key = \"/b\"\n",
        0,
    ),
];

const OPTIONS: &[Row] = &[
    (
        "listener 1\nmax_inflight_messages 20\nmax_packet_size 100\nmessage_size_limit 1000\n\
          memory_limit 0\npersistent_client_expiration 2w\nmax_topic_alias 10\n",
        "message_bytes_max = 1000\nmqtt = [\"0.0.0.0:1\"]\nmqtt_inflight_max = 20\n\
             mqtt_packet_bytes_max = 1024\nmqtt_session_expiry_max_s = 1209600\n\
             mqtt_topic_alias_max = 10\n",
        2,
    ),
    (
        "listener 1\nmax_inflight_messages 0\npersistent_client_expiration 200y\n",
        "mqtt = [\"0.0.0.0:1\"]\nmqtt_inflight_max = 65535\n\
             mqtt_session_expiry_max_s = 4294967294\n",
        0,
    ),
    (
        "listener 1\npersistence true\npid_file /x\nautosave_interval 10\nmax_qos 2\n",
        "mqtt = [\"0.0.0.0:1\"]\n",
        0,
    ),
    (
        "listener 1\npersistence false\nmax_qos 1\nmount_point x\nbridge_cafile /x\n\
          plugin_opt_x y\nwhatever\nmax_keepalive x\nmax_packet_size x\nlistener 0 /socket\n\
          listener x\nlistener 1 broker.example\nconnection c\ntopic # in\nmax_connections 5\n\
          persistent_client_expiration 5\nmax_queued_messages 10\n",
        "mqtt = [\"0.0.0.0:1\"]\n",
        16,
    ),
    (
        "per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2\n",
        "mqtt = [\"0.0.0.0:1\", \"0.0.0.0:2\"]\n",
        1,
    ),
    (
        "per_listener_settings true\nlistener 1\nallow_anonymous true\n",
        "mqtt = [\"0.0.0.0:1\"]\nmqtt_anonymous = \"anonymous\"\n",
        1,
    ),
    (
        "per_listener_settings true\nport 1\nallow_anonymous true\n",
        "mqtt = [\"0.0.0.0:1\"]\nmqtt_anonymous = \"anonymous\"\n",
        1,
    ),
    (
        "per_listener_settings true\nport 1\nallow_anonymous true\nlistener 2\n",
        "mqtt = [\"0.0.0.0:1\", \"0.0.0.0:2\"]\n",
        1,
    ),
    (
        "per_listener_settings true\nport 1\nlistener 2\nallow_anonymous true\n",
        "mqtt = [\"0.0.0.0:1\", \"0.0.0.0:2\"]\n",
        1,
    ),
];

#[test]
fn listeners_and_options_become_settings_that_a_node_takes() {
    for (configuration, expected, notes) in LISTENERS.iter().chain(OPTIONS) {
        let moved = moved(configuration, "");
        assert_eq!(moved.settings, *expected, "{configuration}");
        assert_eq!(
            moved.notes.len(),
            *notes,
            "{configuration} {:?}",
            moved.notes
        );
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ferrymq.toml");
        fs::write(&file, &moved.settings).unwrap();
        crate::config::Config::new(&crate::file::read(&file).unwrap()).unwrap();
    }
}

#[test]
fn directories_are_included_and_files_that_can_not_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("conf.d")).unwrap();
    for (name, text) in [
        ("b.conf", "listener 2\n"),
        ("a.conf", "listener 1\n"),
        ("c.txt", "x"),
    ] {
        fs::write(directory.path().join("conf.d").join(name), text).unwrap();
    }
    let moved = read_in(directory.path(), "include_dir DIR/conf.d\n", "").unwrap();
    assert_eq!(moved.settings, "mqtt = [\"0.0.0.0:1\", \"0.0.0.0:2\"]\n");
    for (configuration, part) in [
        ("include_dir DIR/none\n", "mosquitto.conf:1: "),
        ("\npassword_file DIR/none\n", "/none: No such file"),
        ("acl_file DIR/none\n", "/none: No such file"),
        (
            "acl_file DIR/acl\n\nacl_file DIR/passwords\n",
            "mosquitto.conf:3: a second `acl_file`",
        ),
    ] {
        let error = read_in(directory.path(), configuration, "").unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn passwords_that_are_no_hashes_and_names_that_are_none_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("passwords");
    fs::write(&file, "ann:secret\n:x\nbob\n").unwrap();
    let mut users = Users::default();
    users.read_passwords(&file).unwrap();
    assert_eq!(users.notes.len(), 3, "{:?}", users.notes);
    let definitions = users.definitions(None, "v");
    let named: Vec<_> = definitions["users"].as_array().unwrap().iter().collect();
    assert_eq!(named.len(), 2);
    assert!(named.iter().all(|user| user["password_hash"] == ""));
    assert!(!users.notes.join("").contains("secret"));
    assert_eq!(definitions["permissions"][0]["vhost"], "v");
}
