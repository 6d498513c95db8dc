//! What is refused, where, and in which words.

use super::*;

type Row = (&'static str, usize, &'static str);

fn check(rows: &[Row]) {
    for (text, at, why) in rows {
        match Filter::compile(text) {
            Ok(_) => panic!("{text} was taken"),
            Err(error) => assert_eq!((error.at, &*error.why), (*at, *why), "{text}"),
        }
    }
}

#[test]
fn what_ends_early_or_goes_on_too_long() {
    check(&[
        ("a =", 4, "expected a value, found the end"),
        ("a = 1 AND", 10, "expected a value, found the end"),
        ("NOT", 4, "expected a value, found the end"),
        ("(a = 1", 7, "expected ), found the end"),
        ("a = 1)", 6, "expected AND, OR or the end, found )"),
        ("()", 2, "expected a value, found )"),
        (
            "a = 1 b = 2",
            7,
            "expected AND, OR or the end, found the name b",
        ),
        (
            "a = 1 = 1",
            7,
            "expected AND, OR or the end after a comparison, found =",
        ),
        (
            "1 < a < 5",
            7,
            "expected AND, OR or the end after a comparison, found <",
        ),
        ("= 1", 1, "expected a value, found ="),
        ("a = = 1", 5, "expected a value, found ="),
        ("a AND OR b", 7, "expected a value, found OR"),
        ("a, b", 2, "expected AND, OR or the end, found ,"),
        ("a NOT = 1", 7, "expected BETWEEN, IN or LIKE, found ="),
        ("a IS 1", 6, "expected NULL, found a number"),
        ("a IS NOT TRUE", 10, "expected NULL, found TRUE"),
        ("a BETWEEN 1", 12, "expected AND, found the end"),
        ("a BETWEEN 1 OR 2", 13, "expected AND, found OR"),
    ]);
}

#[test]
fn what_is_no_list_or_pattern() {
    check(&[
        ("a IN 'x'", 6, "expected (, found a text"),
        ("a IN ()", 7, "expected a constant, found )"),
        ("a IN ('x',)", 11, "expected a constant, found )"),
        ("a IN ('x' 'y')", 11, "expected , or ), found a text"),
        ("a IN (b)", 7, "expected a constant, found the name b"),
        ("a IN (-'x')", 8, "expected a number, found a text"),
        ("a IN (1 + 1)", 9, "expected , or ), found +"),
        (
            "a LIKE b",
            8,
            "expected a pattern in single quotes, found the name b",
        ),
        (
            "a LIKE",
            7,
            "expected a pattern in single quotes, found the end",
        ),
        (
            "a LIKE 'x' ESCAPE",
            18,
            "expected one character in single quotes, found the end",
        ),
        (
            "a LIKE 'x' ESCAPE ''",
            19,
            "expected one character in single quotes, found a text",
        ),
        (
            "a LIKE 'x' ESCAPE '!!'",
            19,
            "expected one character in single quotes, found a text",
        ),
        (
            "a ESCAPE '!'",
            3,
            "expected AND, OR or the end, found ESCAPE",
        ),
    ]);
}

#[test]
fn what_is_no_escape() {
    check(&[
        ("a LIKE 'x!' ESCAPE '!'", 8, "after ! must stand %, _ or !"),
        ("a LIKE '!x' ESCAPE '!'", 8, "after ! must stand %, _ or !"),
        (
            "a NOT LIKE '%!!!' ESCAPE '!'",
            12,
            "after ! must stand %, _ or !",
        ),
    ]);
}

#[test]
fn what_is_no_token() {
    check(&[
        ("a = 'x", 5, "the text that begins here has no end"),
        ("a = 'it''s", 5, "the text that begins here has no end"),
        ("\"x = 1", 1, "the name that begins here has no end"),
        (
            "größe = 'ß' AND ä = 'x",
            21,
            "the text that begins here has no end",
        ),
        ("a == 1", 3, "equal is written =, not =="),
        ("a != 1", 3, "unequal is written <>, not !="),
        ("x-kind = 'event'", 2, HYPHEN),
        ("yes AND x-kind = 'event'", 10, HYPHEN),
        ("a ; b", 3, "unexpected ;"),
        ("a \u{0} b", 3, "unexpected \\0"),
        (".x = 1", 1, "unexpected ."),
        ("a = #1", 5, "unexpected #"),
        ("5x = 1", 1, "this is no number"),
        ("a = 1e", 5, "this is no number"),
        ("a = 1e+", 5, "this is no number"),
        ("a = 0x", 5, "this is no number"),
        ("a = 0xG", 5, "this is no number"),
        ("a = 0b2", 5, "this is no number"),
        ("a = 08", 5, "this is no number"),
        ("a = 1_000", 5, "this is no number"),
        ("a = 1.5L", 5, "this is no number"),
        ("a = 1LL", 5, "this is no number"),
        ("a = ٣", 5, "unexpected ٣"),
        ("a = 1٣", 5, "this is no number"),
        ("a = 9223372036854775808", 5, LARGE),
        ("a = -9223372036854775809", 6, LARGE),
        ("a = -(9223372036854775808)", 7, LARGE),
        ("a = 99999999999999999999999", 5, LARGE),
        ("a IN (1, 9223372036854775808)", 10, LARGE),
        ("a = 0xFFFFFFFFFFFFFFFF", 5, LARGE),
        ("a = 1e999", 5, "this number is too large"),
        ("a = 1e39f", 5, "this number is too large"),
    ]);
}

const HYPHEN: &str = "a name with - in it stands in double quotes, and a minus between spaces";
const LARGE: &str = "this integer does not fit in 64 bits";
const AMQP: &str = "no such name; there are amqp.content_type, content_encoding, reply_to, app_id, \
                    user_id, expiration, exchange, routing_key";
const JMS: &str = "no such name; there are JMSDeliveryMode, JMSPriority, JMSMessageID, \
                   JMSTimestamp, JMSCorrelationID, JMSType, JMSXGroupID";

#[test]
fn what_has_the_wrong_sort() {
    check(&[
        ("5", 1, "expected a condition, found a number"),
        ("'x'", 1, "expected a condition, found a text"),
        ("a + 1", 1, "expected a condition, found a number"),
        ("a = 1 AND 5", 11, "expected a condition, found a number"),
        ("'x' OR a", 1, "expected a condition, found a text"),
        ("NOT -a", 5, "expected a condition, found a number"),
        ("(a = 1) = TRUE", 1, "expected a value, found a condition"),
        ("TRUE = (a = 1)", 8, "expected a value, found a condition"),
        (
            "(a AND b) IS NULL",
            1,
            "expected a value, found a condition",
        ),
        (
            "(a OR b) IN (TRUE)",
            1,
            "expected a value, found a condition",
        ),
        (
            "(NOT a) BETWEEN 1 AND 2",
            1,
            "expected a value, found a condition",
        ),
        (
            "a BETWEEN (b = 1) AND 2",
            11,
            "expected a value, found a condition",
        ),
        ("1 + (a = 1) = 2", 5, "expected a value, found a condition"),
        ("-(a = 1) = 2", 2, "expected a value, found a condition"),
        ("a + 'x' = 1", 5, "expected a number, found a text"),
        ("'x' * 2 = 1", 1, "expected a number, found a text"),
        ("a - TRUE = 1", 5, "expected a number, found a truth"),
        ("-'x' = 1", 2, "expected a number, found a text"),
        ("5 LIKE '5'", 1, "expected a text, found a number"),
        ("a + 1 LIKE '5'", 1, "expected a text, found a number"),
        ("TRUE LIKE 'T%'", 1, "expected a text, found a truth"),
        ("a > TRUE", 5, "a truth compares by = and <> only"),
        ("FALSE <= a", 1, "a truth compares by = and <> only"),
        ("a = NULL", 5, "NULL stands after IS and IS NOT only"),
        ("NULL IS NULL", 1, "NULL stands after IS and IS NOT only"),
    ]);
}

#[test]
fn what_is_no_name() {
    check(&[
        ("amqp.priority = 4", 1, AMQP),
        ("a = 1 AND amqp. = 4", 11, AMQP),
        ("\"amqp.Exchange\" = 'x'", 1, AMQP),
        ("JMSDestination = 'x'", 1, JMS),
        ("JMSMessageId = 'x'", 1, JMS),
        ("JMS_vendor = 'x'", 1, JMS),
        ("\"\" = 'x'", 1, "a name may not be empty"),
    ]);
}

#[test]
fn a_refusal_says_where_before_it_says_what() {
    let error = Filter::compile("a = ").unwrap_err();
    let expected = "at character 5: expected a value, found the end";
    assert_eq!(error.to_string(), expected);
}
