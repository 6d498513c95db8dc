//! What is changed of a message.

use super::*;

const ORIGIN: [&str; 2] = ["ann", "192.0.2.1:7"];

/// Rules, headers before, headers after and the timestamp, if anything is changed. `STAMP` is what
/// the broker stamps.
const CHANGED: &str = r#"
{"remove-headers":["a"]} | {"b":1} | |
{"remove-headers":["a"]} | {"a":1,"b":2} | {"b":2} |
{"set-headers":{"a":true,"b":1.5,"c":-7}} | {"a":1,"z":1} | {"z":1,"a":true,"b":1.5,"c":-7} |
{"set-headers":{"a":"x"}} | {} | {"a":"x"} |
{"stamp-time":true} | {} | STAMP | 5
{"stamp-time":true} | {"timestamp_in_ms":3} | {"timestamp_in_ms":3} | 5
{"stamp-time":true,"remove-headers":["timestamp_in_ms"]} | {"timestamp_in_ms":3} | STAMP | 5
{"stamp-time":true,"set-headers":{"timestamp_in_ms":1}} | {} | {"timestamp_in_ms":1} | 5
"#;

fn amended(definition: &str, view: &Posted, known: bool) -> Option<(Arguments, Option<u64>)> {
    let [user, address] = ORIGIN.map(str::to_owned);
    let origin = Origin { user, address };
    let rules = rules(definition).unwrap();
    let stamps = Stamps {
        origin: known.then_some(&origin),
        now: 5_999,
        id: &|| unreachable!("no id is wanted"),
    };
    let amendment = rules.amendment(&draft(b"orders"), view, stamps)?;
    Some((amendment.apply(&view.headers), amendment.timestamp))
}

#[test]
fn an_id_is_made_up_for_what_has_none() {
    let rules = rules(r#"{"stamp-id":true}"#).unwrap();
    let stamped = |view: &Posted| {
        let stamps = Stamps {
            origin: None,
            now: 5_999,
            id: &|| "made-up".to_owned(),
        };
        let amendment = rules.amendment(&draft(b"orders"), view, stamps);
        amendment.map(|amendment| (amendment.message_id, amendment.set.len()))
    };
    let none = Posted::new(&[("a", 3.into())], &[]);
    assert_eq!(stamped(&none), Some((Some("made-up".to_owned()), 0)));
    assert_eq!(stamped(&Posted::new(&[], &[Property::MessageId])), None);
}

#[test]
fn headers_are_removed_set_and_stamped() {
    let table = CHANGED.replace("STAMP", r#"{"timestamp_in_ms":5999}"#);
    for [definition, before, after, timestamp] in rows(&table) {
        let before = value(before).as_table().unwrap().clone();
        let view = Posted {
            headers: before,
            properties: vec![],
        };
        let found = amended(definition, &view, false);
        let expected = (!after.is_empty()).then(|| {
            let after = value(after).as_table().unwrap().clone();
            (after, timestamp.parse().ok())
        });
        let sorted = |(mut headers, timestamp): (Arguments, Option<u64>)| {
            headers.sort_by_name();
            (headers, timestamp)
        };
        assert_eq!(found.map(sorted), expected.map(sorted), "{definition}");
    }
}

#[test]
fn a_time_that_a_message_has_is_kept() {
    let dated = Posted::new(&[("timestamp_in_ms", 3.into())], &[Property::Timestamp]);
    assert_eq!(amended(r#"{"stamp-time":true}"#, &dated, false), None);
}

#[test]
fn an_origin_is_never_the_publishers_word() {
    let forged = [
        ("x-origin-user", Value::from("root")),
        ("x-origin-user", Value::from("root")),
        ("x-origin-address", 5.into()),
        ("x-origin-exchange", 5.into()),
    ];
    let exchange = ("x-origin-exchange", Value::from("orders"));
    let [user, address] = ORIGIN.map(Value::from);
    for (known, expected) in [
        (false, vec![exchange.clone()]),
        (
            true,
            vec![
                ("x-origin-user", user),
                ("x-origin-address", address),
                exchange,
            ],
        ),
    ] {
        let view = Posted::new(&forged, &[]);
        let (found, _) = amended(r#"{"stamp-origin":true}"#, &view, known).unwrap();
        assert_eq!(found, Arguments::from_iter(expected));
    }
}
