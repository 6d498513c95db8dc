//! Rules that a policy can not have.

use super::*;

/// Rules, and a part of what is said of them.
const REFUSED: &str = r##"
{"set-headers":[]} | set-headers is not valid: expected an object, got array
{"set-headers":{"a":null}} | expected 'a' to be text
{"set-headers":{"a":[1]}} | expected 'a' to be text
{"set-headers":{"a":18446744073709551615}} | a number of up to 63 bits
{"set-headers":{"":1}} | a name of 0 bytes is not in 1..255
{"set-headers":{"x-delay":1}} | 'x-delay' has its effect before any rule
{"remove-headers":["BCC"]} | 'BCC' has its effect before any rule
{"remove-headers":"a"} | remove-headers is not valid: expected a list of names, got longstr
{"remove-headers":[1]} | expected a name, got long
{"remove-headers":["a"],"set-headers":{"a":1}} | 'a' is in set-headers, too
{"remove-headers":["a"],"require":["headers.a"]} | headers.a is in remove-headers
{"stamp-time":"yes"} | stamp-time is not valid: expected true or false, got longstr
{"stamp-origin":1} | stamp-origin is not valid: expected true or false, got long
{"kind-strict":1} | kind-strict is not valid: expected true or false, got long
{"require":["message-id"]} | 'message-id' is neither a property
{"require":["headers."]} | 'headers.' is neither a property
{"max-message-bytes":-1} | expected an integer of at least 0
{"max-message-bytes":1.5} | expected an integer of at least 0
{"body-schema":true} | body-schema is not valid: expected an object, got bool
{"body-schema":{"properties":{"a":{"type":"bogus"}}}} | at '/properties/a/type': "bogus"
{"body-schema":{"items":{"pattern":"("}}} | at '/items/pattern': "("
{"body-schema":{"pattern":"(a)\\1"}} | at '/pattern': "(a)
{"body-schema":{"pattern":"(?=a)"}} | at '/pattern': "(?=a)"
{"body-schema":{"pattern":"(a{1000}){1000}"}} | at '/pattern': "(a{1000})
{"body-schema":{"$ref":"http://example.com/s"}} | a schema may refer to itself alone
{"body-schema":{"$ref":"file:///etc/hostname"}} | a schema may refer to itself alone
{"body-schema":{"$ref":"#/$defs/none"}} | /$defs/none
{"body-schema":{"$schema":"http://example.com/s"}} | example.com
{"body-schemas":{"v1":{"type":5}}} | body-schemas is not valid: 'v1': at '/type': 
{"body-schemas":[]} | body-schemas is not valid: expected an object, got array
"##;

#[test]
fn rules_that_make_no_sense_are_refused_with_their_place() {
    for [definition, why] in rows(REFUSED) {
        let refusal = rules(definition).unwrap_err();
        assert!(refusal.contains(why), "{definition}: {refusal}");
    }
    assert_eq!(
        Interceptor::default().read("bogus", &Value::Void),
        Ok(false)
    );
}

#[test]
fn rules_that_are_too_large_are_refused() {
    let text = |bytes: usize| format!(r#"{{"set-headers":{{"a":"{}"}}}}"#, "x".repeat(bytes));
    let names = |count: usize| format!(r#"{{"require":[{}]}}"#, vec!["\"type\""; count].join(","));
    let schema = |bytes: usize| {
        let comment = "x".repeat(bytes - r#"{"$comment":""}"#.len());
        format!(r#"{{"body-schema":{{"$comment":"{comment}"}}}}"#)
    };
    for (fits, over, why) in [
        (text(4096), text(4097), "text of up to 4096 bytes"),
        (names(64), names(65), "65 are more than 64"),
        (
            schema(65_536),
            schema(65_537),
            "65537 bytes are more than 65536",
        ),
    ] {
        rules(&fits).unwrap();
        let refusal = rules(&over).unwrap_err();
        assert!(refusal.contains(why), "{refusal}");
    }
    let groups = format!("{}{}", "(".repeat(20_000), ")".repeat(20_000));
    let refusal = rules(&format!(r#"{{"body-schema":{{"pattern":"{groups}"}}}}"#)).unwrap_err();
    assert!(refusal.contains("at '/pattern': "), "{refusal}");
    assert!(refusal.len() < 1100, "{}", refusal.len());
}

#[test]
fn rules_that_are_switched_off_are_none() {
    for idle in [
        "{}",
        r#"{"stamp-time":false,"stamp-origin":false,"kind-strict":false}"#,
        r#"{"require":[],"remove-headers":[],"set-headers":{}}"#,
    ] {
        assert!(!rules(idle).unwrap().acts(), "{idle}");
    }
}
