//! Names and filters: what is allowed, what matches, and the keys that they become.

use super::*;

fn code_and_statement(result: Result<(), DecodeError>) -> Option<(ReasonCode, &'static str)> {
    result.err().map(|error| (error.reason, error.statement))
}

#[test]
fn names_have_no_wildcards() {
    let name = ReasonCode::TopicNameInvalid;
    let malformed = ReasonCode::MalformedPacket;
    let longest = vec![b'a'; TOPIC_BYTES_MAX];
    let too_long = vec![b'a'; TOPIC_BYTES_MAX + 1];
    for (topic, expected) in [
        (&b"a"[..], None),
        (b"/", None),
        (b"a/b/c", None),
        (b"//a//", None),
        (b"$SYS/broker", None),
        (b"with space/*/.", None),
        ("température".as_bytes(), None),
        (&longest, None),
        (&too_long, Some((name, "MQTT-4.7.3-1"))),
        (b"", Some((name, "MQTT-4.7.3-1"))),
        (b"a/+", Some((name, "MQTT-3.3.2-2"))),
        (b"a#", Some((name, "MQTT-3.3.2-2"))),
        (b"a\0", Some((malformed, "MQTT-4.7.3-2"))),
        (b"a\xFF", Some((malformed, "MQTT-1.5.4-1"))),
        (b"a\n", Some((malformed, "MQTT-1.5.4-1"))),
    ] {
        let found = code_and_statement(check_name(topic));
        assert_eq!(found, expected, "{:?}", topic.get(..9).unwrap_or(topic));
    }
}

#[test]
fn wildcards_of_filters_are_whole_levels_and_hash_is_the_last() {
    let filter = ReasonCode::TopicFilterInvalid;
    let malformed = ReasonCode::MalformedPacket;
    for (text, expected) in [
        (&b"a"[..], None),
        (b"#", None),
        (b"+", None),
        (b"/", None),
        (b"/#", None),
        (b"+/+", None),
        (b"/+", None),
        (b"a/+/b/#", None),
        (b"a/*/b.c", None),
        (b"$SYS/#", None),
        (b"", Some((filter, "MQTT-4.7.3-1"))),
        (b"#/a", Some((filter, "MQTT-4.7.1-1"))),
        (b"a#", Some((filter, "MQTT-4.7.1-1"))),
        (b"a/#b", Some((filter, "MQTT-4.7.1-1"))),
        (b"a/#/", Some((filter, "MQTT-4.7.1-1"))),
        (b"##", Some((filter, "MQTT-4.7.1-1"))),
        (b"a+", Some((filter, "MQTT-4.7.1-2"))),
        (b"+a/b", Some((filter, "MQTT-4.7.1-2"))),
        (b"a/++", Some((filter, "MQTT-4.7.1-2"))),
        (b"a/+#", Some((filter, "MQTT-4.7.1-2"))),
        (b"a\0/#", Some((malformed, "MQTT-4.7.3-2"))),
        (b"\xC0\x80", Some((malformed, "MQTT-1.5.4-1"))),
    ] {
        let found = code_and_statement(check_filter(text));
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(text));
    }
    let too_long = vec![b'a'; TOPIC_BYTES_MAX + 1];
    assert!(check_filter(&too_long).is_err());
}

#[test]
fn shared_subscriptions_have_a_group_and_a_filter() {
    type Shared = Option<(&'static [u8], &'static [u8])>;
    for (filter, expected, statement) in [
        (
            &b"$share/g/a"[..],
            Some((&b"g"[..], &b"a"[..])) as Shared,
            "",
        ),
        (b"$share/g/#", Some((b"g", b"#")), ""),
        (b"$share/g//a", Some((b"g", b"/a")), ""),
        (b"$share/g/$SYS/+", Some((b"g", b"$SYS/+")), ""),
        (b"$share", None, ""),
        (b"$shared/g/a", None, ""),
        (b"a/$share/g/a", None, ""),
        (b"$share/g", None, "MQTT-4.8.2-2"),
        (b"$share/g/", None, "MQTT-4.8.2-2"),
        (b"$share/+/a", None, "MQTT-4.8.2-2"),
        (b"$share/#", None, "MQTT-4.8.2-2"),
        (b"$share/", None, "MQTT-4.8.2-2"),
        (b"$share//a", None, "MQTT-4.8.2-1"),
    ] {
        let shown = String::from_utf8_lossy(filter);
        assert_eq!(check_filter(filter), Ok(()), "{shown}");
        assert_eq!(shared(filter), expected, "{shown}");
        let found = check_filter_or_share(filter).err();
        assert_eq!(
            found.map_or("", |error| error.statement),
            statement,
            "{shown}"
        );
    }
}

#[test]
fn filters_match_level_by_level() {
    for (filter, name, expected) in [
        ("a/b", "a/b", true),
        ("a/b", "a/b/", false),
        ("a/b", "A/b", false),
        ("a/b", "a", false),
        ("#", "a", true),
        ("#", "/a/b", true),
        ("a/#", "a", true), // the parent level, too
        ("a/#", "a/", true),
        ("a/#", "a/b/c", true),
        ("a/#", "ab", false),
        ("+", "a", true),
        ("+", "/a", false),
        ("+/+", "/a", true),
        ("/+", "/a", true),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+", "a/b/c", false),
        ("a/+/c", "a/b/c", true),
        ("+/b/#", "a/b", true),
        ("a/*", "a/b", false), // a star is a star
        ("a/*", "a/*", true),
        ("a.b", "a/b", false),
        ("#", "$SYS/a", false),
        ("+/a", "$SYS/a", false),
        ("$SYS/#", "$SYS/a", true),
        ("$SYS/+", "$SYS/a", true),
        ("a/+", "a/$b", true), // only the first level is special
        ("/#", "/$b", true),
        ("a\u{FEFF}", "a", false), // nothing is normalised
        ("e\u{301}", "é", false),
    ] {
        let found = matches(filter.as_bytes(), name.as_bytes());
        assert_eq!(found, expected, "{filter} ~ {name}");
    }
}

#[test]
fn a_filter_says_whether_it_has_wildcards() {
    for (filter, expected) in [(&b"a/b"[..], false), (b"a/+", true), (b"#", true)] {
        assert_eq!(has_wildcard(filter), expected);
    }
}

#[test]
fn topics_become_keys_and_back() {
    for (name, key) in [
        ("a/b/c", "a.b.c"),
        ("a/b.c", "a.b/c"),
        ("/a/", ".a."),
        ("*", "*"),
        ("é/ü", "é.ü"),
    ] {
        let mut out = b"kept ".to_vec();
        to_key(name.as_bytes(), &mut out);
        assert_eq!(out, [b"kept ", key.as_bytes()].concat());
        let mut back = b"kept ".to_vec();
        assert!(from_key(key.as_bytes(), &mut back));
        assert_eq!(back, [b"kept ", name.as_bytes()].concat());
    }
    for (filter, key) in [
        ("a/+/c.d/#", "a.*.c/d.#"),
        ("#", "#"),
        ("+", "*"),
        ("a/*/b", "a.*.b"),
    ] {
        let mut out = Vec::new();
        filter_to_key(filter.as_bytes(), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), key);
    }
}

#[test]
fn keys_that_make_no_name_are_said_to() {
    let too_long = vec![b'a'; TOPIC_BYTES_MAX + 1];
    for key in [
        &b""[..],
        b"a.#",
        b"a.+",
        b"a#b",
        b"a\0",
        b"a\xFF",
        b"a\n",
        &too_long,
    ] {
        let mut name = Vec::new();
        assert!(!from_key(key, &mut name));
        assert!(name.is_empty());
    }
}
