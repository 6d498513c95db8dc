//! Bodies against schemas.

use super::*;

const ORDER: &str = r##"{"body-schema":{
    "type":"object", "required":["id"], "additionalProperties":false,
    "properties":{
        "id":{"type":"integer","minimum":1}, "lines":{"items":{"$ref":"#/$defs/line"}}},
    "$defs":{"line":{"type":"object","properties":{"sku":{"pattern":"^[a-z]+$"}}}}}}"##;

/// The id that a message gives, a body, and the beginning of what is wrong.
const CHOSEN: &str = r#"
| no JSON |
"v1" | 5 |
"v2" | 5 | body-schemas: at '': value is not of type "string"
"v2" | "five" |
"v3" | 5 | body-schemas: there is no schema with x-schema-id 'v3'
1 | 5 | body-schemas: x-schema-id is no text
[] | 5 | body-schemas: x-schema-id is no text
"#;

/// A body, and the beginning of what is wrong with it as an order.
const ORDERS: &str = r#"
{"id":1,"lines":[{"sku":"a"}]} |
{"id":0} | body-schema: at '/id': value is less than the minimum of 1
{} | body-schema: at '': "id" is a required property
{"id":1,"x":2} | body-schema: at '': Additional properties are not allowed ('x' was unexpected)
{"id":1,"lines":[{},{"sku":"A"}]} | body-schema: at '/lines/1/sku': value does not match
{ | body-schema: the body is no JSON: EOF
{"id":1} x | body-schema: the body is no JSON: trailing characters
| body-schema: the body is no JSON: EOF
"#;

fn named(id: &str) -> Posted {
    match id {
        "" => Posted::default(),
        id => Posted::new(&[("x-schema-id", value(id))], &[]),
    }
}

fn is_told(found: &str, why: &str) -> bool {
    found.starts_with(why) && found.is_empty() == why.is_empty() && found.len() <= 180
}

#[test]
fn every_body_is_held_against_the_schema_of_all() {
    for [body, why] in rows(ORDERS) {
        let found = check(ORDER, &named(""), body.as_bytes());
        assert!(is_told(&found, why), "{body}: {found}");
    }
    let found = check(ORDER, &named(""), b"\"\xff\"");
    assert!(
        is_told(&found, "body-schema: the body is no JSON"),
        "{found}"
    );
    let many: Vec<_> = (0..999).map(|number| format!("\"{number}\":0")).collect();
    let found = check(
        ORDER,
        &named(""),
        format!("{{{}}}", many.join(",")).as_bytes(),
    );
    assert!(is_told(&found, "body-schema: at '': "), "{found}");
}

#[test]
fn a_message_may_name_its_schema() {
    let definition = r#"{"body-schemas":{"v1":{"type":"integer"},"v2":{"type":"string"}}}"#;
    for [id, body, why] in rows(CHOSEN) {
        let found = check(definition, &named(id), body.as_bytes());
        assert!(is_told(&found, why), "{id} {body}: {found}");
    }
    let must = r#"{"body-schemas":{"v1":{}},"require":["headers.x-schema-id"]}"#;
    let found = check(must, &named(""), b"5");
    assert_eq!(found, "require: headers.x-schema-id is missing");
    let both = r#"{"body-schema":{"minimum":5},"body-schemas":{"v1":{"maximum":9}}}"#;
    for (id, body, why) in [
        ("\"v1\"", "4", "body-schema: at"),
        ("\"v1\"", "10", "body-schemas: at"),
        ("\"v1\"", "7", ""),
        ("", "10", ""),
    ] {
        let found = check(both, &named(id), body.as_bytes());
        assert!(is_told(&found, why), "{id} {body}: {found}");
    }
}

#[test]
fn what_a_body_can_cost_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let any = r#"{"body-schema":{}}"#;
    let more = r#"{"body-schema":{},"max-message-bytes":2000000}"#;
    let less = r#"{"body-schema":{},"max-message-bytes":9}"#;
    let cycle = r##"{"body-schema":{"allOf":[{"$ref":"#"}]}}"##;
    let steps = r#"{"body-schema":{"pattern":"^(a+)+$"}}"#;
    for (definition, body, why) in [
        (any, nested(32), ""),
        (
            any,
            nested(33),
            "body-schema: the body nests deeper than 32",
        ),
        (
            any,
            nested(100_000),
            "body-schema: the body nests deeper than 32",
        ),
        (any, format!("[\"\\\"{}\"]", "[".repeat(99)), ""),
        (any, text(1 << 20), ""),
        (
            any,
            text((1 << 20) + 1),
            "body-schema: a body of 1048577 bytes is not looked at",
        ),
        (more, text((1 << 20) + 1), ""),
        (
            less,
            text(10),
            "max-message-bytes: 10 bytes are more than 9",
        ),
        (cycle, text(9), ""),
        (
            steps,
            text(9999).replace('x', "a").replacen('a', "b", 1),
            "body-schema: at ''",
        ),
    ] {
        let found = check(definition, &named(""), body.as_bytes());
        assert!(is_told(&found, why), "{definition} {body:.40}: {found}");
    }
}

/// A chain of definitions of which each refers twice to the next.
fn doubling(keyword: &str, definitions: usize) -> String {
    let chain: Vec<_> = (0..definitions)
        .map(|at| {
            let next = format!("{{\"$ref\":\"#/$defs/d{}\"}}", at + 1);
            format!("\"d{at}\":{{\"{keyword}\":[{next},{next}]}}")
        })
        .collect();
    let (chain, end) = (chain.join(","), format!("\"d{definitions}\":{{}}"));
    format!("{{\"$ref\":\"#/$defs/d0\",\"$defs\":{{{chain},{end}}}}}")
}

/// Whether a schema may be set.
const COSTS: &str = r##"
yes | {"allOf":[{"items":{"$ref":"#"}}]}
no | {"allOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}]}
no | {"items":{"$ref":"#"},"contains":{"$ref":"#"}}
no | {"prefixItems":[{"$ref":"#"}],"contains":{"$ref":"#"}}
yes | {"prefixItems":[{"$ref":"#"},{"$ref":"#"}],"items":{"$ref":"#"}}
yes | {"properties":{"left":{"$ref":"#"},"right":{"$ref":"#"}},"additionalProperties":{"$ref":"#"}}
no | {"properties":{"left":{"$ref":"#"}},"patternProperties":{"^l":{"$ref":"#"}}}
no | {"additionalProperties":{"$ref":"#"},"patternProperties":{"^l":{"$ref":"#"}}}
yes | {"oneOf":[{"properties":{"add":{"$ref":"#"}}},{"properties":{"neg":{"$ref":"#"}}}]}
no | {"oneOf":[{"properties":{"of":{"$ref":"#"}}},{"properties":{"of":{"$ref":"#"}}}]}
no | {"anyOf":[{"properties":{"of":{"$ref":"#"}}},{"additionalProperties":{"$ref":"#"}}]}
no | {"if":{"items":{"$ref":"#"}},"then":{"items":{"$ref":"#"}}}
no | {"not":{"items":{"$ref":"#"}},"items":{"$ref":"#"}}
no | {"dependentSchemas":{"a":{"items":{"$ref":"#"}}},"items":{"$ref":"#"}}
no | {"properties":{"a":{"$ref":"#"}},"unevaluatedProperties":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}}
yes | {"properties":{"of":{"anyOf":[{"$ref":"#"},{"items":{"$ref":"#"}}]}}}
no | {"$anchor":"tree","allOf":[{"items":{"$ref":"#tree"}},{"items":{"$ref":"#tree"}}]}
no | {"$dynamicAnchor":"t","items":{"$dynamicRef":"#t"},"contains":{"$dynamicRef":"#t"}}
no | {"$ref":"#/~0%20c","~ c":{"items":{"$ref":"#/~0%20c"},"contains":{"$ref":"#/~0%20c"}}}
yes | {"properties":{"$ref":{"type":"string"},"$id":{"type":"string"}}}
yes | {"enum":[{"$ref":"#/nowhere"}],"const":{"$anchor":"x"}}
"##;

#[test]
fn what_a_schema_can_cost_is_bounded_when_it_is_set() {
    let told = |schema: &str| rules(&format!("{{\"body-schema\":{schema}}}")).err();
    for [fits, schema] in rows(COSTS) {
        let why = told(schema);
        assert_eq!(why.is_none(), fits == "yes", "{schema}: {why:?}");
        assert!(why.is_none_or(|why| why.contains("1000 times")), "{schema}");
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        assert_eq!(told(&doubling(keyword, 7)), None);
        let why = told(&doubling(keyword, 24)).expect("2^24 are too many");
        assert!(why.contains("1000 times"), "{why}");
    }
    for elsewhere in [
        r#"{"$ref":"https://json-schema.org/draft/2020-12/schema"}"#,
        r#"{"$defs":{"a":{"$id":"other"}},"$ref":"other"}"#,
    ] {
        assert!(told(elsewhere).is_some(), "{elsewhere}");
    }
}
