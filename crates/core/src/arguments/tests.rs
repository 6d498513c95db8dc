//! Tests of values, argument lists and equivalence texts.

use super::*;

fn arguments<const N: usize>(entries: [(&str, Value); N]) -> Arguments {
    entries.into_iter().collect()
}

#[test]
fn identity_keeps_types_apart_and_value_equality_does_not() {
    for (left, right, identical, by_value) in [
        (Value::I32(5), Value::I32(5), true, true),
        (Value::I32(5), Value::I64(5), false, true),
        (Value::U8(255), Value::I8(-1), false, false),
        (Value::U64(u64::MAX), Value::I64(-1), false, false),
        (Value::I32(1), Value::F64(1.0), false, false),
        (Value::I32(1), Value::F64(1.5), false, false),
        (
            Value::I64((1 << 53) + 1),
            Value::F64((1i64 << 53) as f64),
            false,
            false,
        ),
        (Value::F32(0.5), Value::F64(0.5), false, true),
        (Value::F64(f64::NAN), Value::F64(f64::NAN), true, false),
        (Value::F64(0.0), Value::F64(-0.0), false, true),
        (Value::Timestamp(7), Value::I64(7), false, true),
        (Value::from("a"), Value::Bytes(b"a".to_vec()), false, true),
        (Value::from("1"), Value::I32(1), false, false),
        (Value::Bool(true), Value::I32(1), false, false),
        (Value::Void, Value::Void, true, true),
        (Value::Void, Value::Bool(false), false, false),
        (
            Value::Decimal { scale: 0, value: 5 },
            Value::I32(5),
            false,
            false,
        ),
        (
            Value::Array(vec![1i32.into()]),
            Value::Array(vec![1i64.into()]),
            false,
            false,
        ),
        (
            Value::Array(vec![1i32.into()]),
            Value::Array(vec![1i32.into()]),
            true,
            true,
        ),
    ] {
        assert_eq!(left == right, identical, "{left:?} == {right:?}");
        assert_eq!(
            left.equals_by_value(&right),
            by_value,
            "{left:?} ~ {right:?}"
        );
        assert_eq!(
            right.equals_by_value(&left),
            by_value,
            "{right:?} ~ {left:?}"
        );
        if by_value {
            assert_eq!(
                hash_by_value(&left),
                hash_by_value(&right),
                "{left:?} {right:?}"
            );
        }
    }
}

fn hash_by_value(value: &Value) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash_by_value(&mut hasher);
    hasher.finish()
}

#[test]
fn a_list_keeps_order_and_duplicates_and_finds_the_first() {
    let mut list = Arguments::new();
    list.push("b", 1i32);
    list.push("a", "x");
    list.push("b", 2i32);
    assert_eq!(list.get("b"), Some(&Value::I32(1)));
    assert_eq!(list.insert("b", 3i32), Some(Value::I32(1)));
    assert_eq!(list.insert("c", true), None);
    let names: Vec<&str> = list.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["b", "a", "b", "c"]);
    assert_eq!(list.remove("b"), Some(Value::I32(3)));
    assert_eq!(list.get("b"), Some(&Value::I32(2)));
    list.sort_by_name();
    assert_eq!(list.iter().next(), Some(("a", &Value::from("x"))));
    assert_eq!(list.remove("none"), None);
    assert_eq!(list.len(), 3);
}

#[test]
fn typed_getters_answer_for_their_type_only() {
    assert_eq!(Value::U16(9).as_integer(), Some(9));
    assert_eq!(
        Value::U64(u64::MAX).as_integer(),
        Some(i128::from(u64::MAX))
    );
    assert_eq!(Value::Timestamp(9).as_integer(), None);
    assert_eq!(Value::F64(9.0).as_integer(), None);
    assert_eq!(Value::from("q").as_str(), Some("q"));
    assert_eq!(Value::Str(vec![0xff]).as_str(), None);
    assert_eq!(Value::Bytes(b"q".to_vec()).as_str(), None);
    assert_eq!(Value::Bool(true).as_bool(), Some(true));
    assert_eq!(Value::I8(1).as_bool(), None);
}

/// What is refused when `x-message-ttl` is declared over another value of it.
fn refusal(current: Option<Value>, received: Option<Value>) -> Option<String> {
    const KEY: &str = "x-message-ttl";
    let queue = Resource {
        kind: "queue",
        name: "q",
        vhost: "/",
    };
    let list = |value: Option<Value>| value.map(|value| (KEY, value)).into_iter().collect();
    let (current, received): (Arguments, Arguments) = (list(current), list(received));
    let refused = assert_equivalent(queue, &current, &received, &[KEY])
        .err()?
        .to_string();
    let head = "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received ";
    Some(
        refused
            .strip_prefix(head)
            .expect("all begin alike")
            .to_owned(),
    )
}

#[test]
fn equivalent_arguments_are_accepted() {
    for (current, received) in [
        (None, None),
        (Some(Value::I32(5)), Some(Value::I64(5))),
        (Some(Value::U8(5)), Some(Value::I16(5))),
        (Some(Value::Timestamp(5)), Some(Value::I64(5))),
        (Some(Value::F32(0.5)), Some(Value::F64(0.5))),
        (Some(Value::from("a")), Some(Value::Bytes(b"a".to_vec()))),
    ] {
        assert_eq!(refusal(current, received), None);
    }
}

#[test]
fn inequivalent_arguments_are_refused_in_the_known_words() {
    let table = arguments([("k", Value::from("v")), ("n", 2i32.into())]);
    let array = Value::Array(vec![Value::from("x"), Value::Bool(true)]);
    for (current, received, expected) in [
        (
            None,
            Some(5i32.into()),
            "the value '5' of type 'signedint' but current is none",
        ),
        (
            Some(5i64.into()),
            None,
            "none but current is the value '5' of type 'long'",
        ),
        (
            Some(5i32.into()),
            Some(6i32.into()),
            "'6' but current is '5'",
        ),
        (
            Some(1i32.into()),
            Some(1.0f64.into()),
            "'1.0' but current is '1'",
        ),
        (Some("a".into()), Some("b".into()), "'b' but current is 'a'"),
        (
            Some(true.into()),
            Some(false.into()),
            "'false' but current is 'true'",
        ),
        (
            Some(Value::Table(table)),
            None,
            "none but current is the value \
             '[{<<\"k\">>,longstr,<<\"v\">>},{<<\"n\">>,signedint,2}]' of type 'table'",
        ),
        (
            None,
            Some(array),
            "the value '[{longstr,<<\"x\">>},{bool,true}]' of type 'array' but current is none",
        ),
    ] {
        assert_eq!(refusal(current, received).as_deref(), Some(expected));
    }
}

#[test]
fn only_the_named_keys_are_compared() {
    let queue = Resource {
        kind: "queue",
        name: "q",
        vhost: "/",
    };
    let current = arguments([("x-a", 1i32.into()), ("x-b", 1i32.into())]);
    let received = arguments([("x-a", 1i32.into()), ("x-b", 2i32.into())]);
    assert_eq!(
        assert_equivalent(queue, &current, &received, &["x-a"]),
        Ok(())
    );
    let refused = assert_equivalent(queue, &current, &received, &["x-a", "x-b"]);
    assert_eq!(
        refused.map_err(|refusal| refusal.argument),
        Err("x-b".to_owned())
    );
}

#[test]
fn a_missing_queue_type_is_the_classic_one() {
    let queue = Resource {
        kind: "queue",
        name: "q",
        vhost: "/",
    };
    let classic = arguments([("x-queue-type", "classic".into())]);
    let quorum = arguments([("x-queue-type", "quorum".into())]);
    let none = Arguments::new();
    let keys = ["x-queue-type"];
    assert!(assert_equivalent(queue, &none, &classic, &keys).is_ok());
    assert!(assert_equivalent(queue, &classic, &none, &keys).is_ok());
    assert!(assert_equivalent(queue, &none, &quorum, &keys).is_err());
    assert!(assert_equivalent(queue, &classic, &quorum, &keys).is_err());
}

#[test]
fn fields_are_compared_as_printed() {
    let exchange = Resource {
        kind: "exchange",
        name: "e",
        vhost: "v",
    };
    assert_eq!(
        assert_field_equivalent(exchange, "durable", true, true),
        Ok(())
    );
    let refused = assert_field_equivalent(exchange, "type", "direct", "fanout");
    assert_eq!(
        refused.map_err(|refusal| refusal.to_string()),
        Err("inequivalent arg 'type' for exchange 'e' in vhost 'v': \
             received 'fanout' but current is 'direct'"
            .to_owned())
    );
}

#[test]
fn binaries_print_as_erlang_terms() {
    for (bytes, expected) in [
        (&b""[..], "<<>>"),
        (b"plain", "<<\"plain\">>"),
        (b"say \"hi\"", "<<\"say \\\"hi\\\"\">>"),
        ("\u{e9}".as_bytes(), "<<\"\u{e9}\"/utf8>>"),
        (&[0xff, 0x01], "<<255,1>>"),
    ] {
        let value = Value::Bytes(bytes.to_vec());
        assert_eq!(equivalence::Term(&value).to_string(), expected);
    }
}

#[test]
fn floats_print_as_erlang_terms() {
    for (value, expected) in [
        (1.0, "1.0"),
        (100.0, "100.0"),
        (1000.0, "1.0e3"),
        (-12000.0, "-1.2e4"),
        (0.0001, "0.0001"),
        (0.00012, "1.2e-4"),
        (0.00001, "1.0e-5"),
        (5e-324, "5.0e-324"),
        (0.00123456, "0.00123456"),
        (123456789.25, "123456789.25"),
        (9007199254740991.0, "9007199254740991.0"),
        (9007199254740992.0, "9.007199254740992e15"),
        (1.5e300, "1.5e300"),
        (-0.0, "-0.0"),
    ] {
        assert_eq!(equivalence::Term(&Value::F64(value)).to_string(), expected);
    }
}
