//! Filters, messages, and what comes of them.

use super::sample::{F, T, U, check, sample};
use super::*;

#[test]
fn and_or_and_not_have_three_truths() {
    let word = |truth: Option<bool>| match truth {
        Some(true) => ["yes", "TRUE", "i = 5"],
        Some(false) => ["no", "false", "i = 6"],
        None => ["gone", "1/0 = 1", "gone = 1"],
    };
    let rows = [
        (T, T, T, T),
        (T, F, F, T),
        (T, U, U, T),
        (F, T, F, T),
        (F, F, F, F),
        (F, U, F, U),
        (U, T, U, T),
        (U, F, F, U),
        (U, U, U, U),
    ];
    let sample = sample();
    for (left, right, and, or) in rows {
        for (left, right) in word(left)
            .iter()
            .flat_map(|left| word(right).map(|r| (*left, r)))
        {
            let both = format!("{left} AND {right}");
            assert_eq!(truth(&both, &sample), and, "{both}");
            let one = format!("{left} OR {right}");
            assert_eq!(truth(&one, &sample), or, "{one}");
        }
    }
    for (inner, expected) in [(T, F), (F, T), (U, U)] {
        for word in word(inner) {
            let text = format!("NOT {word}");
            assert_eq!(truth(&text, &sample), expected, "{text}");
        }
    }
}

#[test]
fn comparisons() {
    check(&[
        ("i = 5", T),
        ("5 = i", T),
        ("i = 6", F),
        ("i <> 6", T),
        ("i <> 5", F),
        ("i < 6", T),
        ("i < 5", F),
        ("i <= 5", T),
        ("i <= 4", F),
        ("i > 4", T),
        ("i > 5", F),
        ("i >= 5", T),
        ("i >= 6", F),
        ("i = i", T),
        ("f = 2.5", T),
        ("f > i", F),
        ("dec = 3.14", T),
        ("stamp = 1700000000", T),
        ("t = 'abc'", T),
        ("'abc' = t", T),
        ("t = 'ABC'", F),
        ("t <> 'abd'", T),
        ("t = bin", T),
        ("empty = ''", T),
        ("quote = 'it''s'", T),
        ("uni = 'Zoë 🦀'", T),
        ("größe = 'groß'", T),
        ("yes = TRUE", T),
        ("yes <> false", T),
        ("no = yes", F),
        ("twice = 1", T),
        ("inf > 1e308", T),
        // Texts by their bytes, which is the order of their characters.
        ("t < 'abd'", T),
        ("t >= 'abc'", T),
        ("t > 'ab'", T),
        ("t < 'Z'", F),
        ("uni > 'Zo~'", T),
        // Absent, or nothing that compares.
        ("gone = 1", U),
        ("gone <> 1", U),
        ("gone = gone", U),
        ("void = 1", U),
        ("list = 1", U),
        ("table <> 1", U),
        ("beyond > 1", U),
        ("nan = nan", U),
        ("nan <> 1", U),
        // Unlike values.
        ("digits = 5", F),
        ("digits <> 5", F),
        ("digits < 6", F),
        ("i = '5'", F),
        ("i <> 'x'", F),
        ("yes = 1", F),
        ("yes <> 'TRUE'", F),
        ("yes > no", F),
        ("yes <= no", F),
        ("t > i", F),
        ("'a' = 1", F),
        ("TRUE = 'TRUE'", F),
        ("digits <> 5 OR digits IS NOT NULL", T),
    ]);
}

#[test]
fn integers_and_floats_compare_exactly() {
    check(&[
        ("zero = 0.0", T),
        ("zero = fzero", T),
        ("fzero = 0", T),
        ("fzero < 0", F),
        ("5.0 = i", T),
        ("i < 5.5", T),
        ("i > 4.5", T),
        ("neg < -6.5", T),
        ("neg > -7.5", T),
        ("big = 9223372036854775807", T),
        ("big = 9223372036854775808.0", F),
        ("big < 9223372036854775808.0", T),
        ("big > 9223372036854774784.0", T),
        ("small = -9223372036854775808", T),
        ("small = -9223372036854775808.0", T),
        ("small > -1e19", T),
        ("9007199254740993 = 9007199254740992.0", F),
        ("9007199254740993 > 9007199254740992.0", T),
        ("single = 0.1f", T),
        ("single = 0.1", F),
        ("inf > big", T),
        ("-inf < small", T),
    ]);
}

#[test]
fn calculations() {
    check(&[
        ("i + 1 = 6", T),
        ("1 + i = 6", T),
        ("i - 1 = 4", T),
        ("i * 2 = 10", T),
        ("i / 2 = 2", T),
        ("neg / 2 = -3", T),
        ("i / 2.0 = 2.5", T),
        ("f * 2 = 5", T),
        ("f - i = -2.5", T),
        ("1 + 2 * 3 = 7", T),
        ("(1 + 2) * 3 = 9", T),
        ("10 - 4 - 3 = 3", T),
        ("100 / 10 / 5 = 2", T),
        ("100 / (10 / 5) = 50", T),
        ("2 * 7 / 3 = 4", T),
        ("2 + i * 3 - 1 = 16", T),
        ("-i = -5", T),
        ("+i = 5", T),
        ("--i = 5", T),
        ("-+-i = 5", T),
        ("- - 5 = 5", T),
        ("3 - -i = 8", T),
        ("-i * -1 = 5", T),
        ("-(i + 1) = -6", T),
        ("i-1=4", T),
        ("2*-i = -10", T),
        // Integers that do not fit go on as floats.
        ("big + 1 = 9223372036854775808.0", T),
        ("big * 2 > big", T),
        ("small - 1 < 0", T),
        ("-small > big", T),
        ("small / -1 > big", T),
        ("9223372036854775807 + 1 > 0", T),
        // What is not a number is nothing.
        ("1 / 0 = 1", U),
        ("i / 0 = 1", U),
        ("i / zero = i / zero", U),
        ("f / 0.0 > 0", U),
        ("i / fzero IS NULL", T),
        ("inf - inf = 0", U),
        ("inf * 0 IS NULL", T),
        ("nan + 1 IS NULL", T),
        ("t + 1 = 2", U),
        ("-t = 1", U),
        ("+t = 'abc'", U),
        ("yes + 1 = 2", U),
        ("gone + 1 = 1", U),
        ("1 - gone IS NULL", T),
        ("i = 1 / 0", U),
        ("1 / 0 <> i", U),
        ("1 / 0 + i = 1", U),
        ("i + 1 / 0 = 1", U),
    ]);
}

#[test]
fn precedence_and_parentheses() {
    check(&[
        ("yes OR no AND no", T),
        ("(yes OR no) AND no", F),
        ("no AND no OR yes", T),
        ("NOT no AND no", F),
        ("NOT (no AND no)", T),
        ("NOT no OR yes", T),
        ("NOT i = 6", T),
        ("NOT NOT yes", T),
        ("NOT NOT NOT yes", F),
        ("NOT gone = 1 OR yes", T),
        ("i + 1 > 5 AND i - 1 < 5", T),
        ("((((i)) = ((5))))", T),
        ("i BETWEEN 1 AND 5 AND yes", T),
        ("i BETWEEN 1 AND 5 OR no", T),
        ("i BETWEEN 3 + 1 AND 2 * 3", T),
        ("NOT i BETWEEN 1 AND 3", T),
        ("yes AND NOT no AND i IN (5)", T),
        ("(yes)", T),
        ("(yes) = (TRUE)", T),
        ("yes", T),
        ("no", F),
        ("TRUE", T),
        ("FALSE", F),
        ("i", U),
        ("t OR no", U),
        ("JMSPriority AND yes", U),
    ]);
}

#[test]
fn tests_of_range_set_and_null() {
    check(&[
        ("i BETWEEN 5 AND 6", T),
        ("i BETWEEN 4 AND 5", T),
        ("i BETWEEN 6 AND 4", F),
        ("f BETWEEN 2 AND 3", T),
        ("t BETWEEN 'abb' AND 'abd'", T),
        ("i NOT BETWEEN 5 AND 6", F),
        ("i NOT BETWEEN 6 AND 7", T),
        ("i NOT BETWEEN 1 AND 4", T),
        ("gone BETWEEN 1 AND 2", U),
        ("gone NOT BETWEEN 1 AND 2", U),
        ("i BETWEEN gone AND 4", F),
        ("i BETWEEN gone AND 6", U),
        ("i BETWEEN 6 AND gone", F),
        ("i NOT BETWEEN gone AND 4", T),
        ("i NOT BETWEEN gone AND 6", U),
        ("5 BETWEEN 1 AND 9", T),
        ("i BETWEEN 1 / 0 AND 4", F),
        ("1 / 0 BETWEEN i AND i", U),
        ("1 / 0 IN (1)", U),
        // An unlike value is neither within nor outside.
        ("t BETWEEN 1 AND 2", F),
        ("t NOT BETWEEN 1 AND 2", F),
        ("yes BETWEEN no AND yes", F),
        ("t IN ('x', 'abc')", T),
        ("t IN ('x', 'y')", F),
        ("t IN('abc')", T),
        ("t IN ('abc', 'abc', 'b')", T),
        ("t NOT IN ('x')", T),
        ("t NOT IN ('abc')", F),
        ("i IN (1, 5.0, 'x', TRUE)", T),
        ("neg IN (-7, +2, -1.5)", T),
        ("yes IN (TRUE)", T),
        ("i + 1 IN (6)", T),
        ("5 IN (1, 5)", T),
        ("gone IN ('x')", U),
        ("gone NOT IN ('x')", U),
        // `NOT IN` is `NOT (... IN ...)`, of unlike values, too.
        ("i IN ('5')", F),
        ("i NOT IN ('5')", T),
        ("gone IS NULL", T),
        ("gone IS NOT NULL", F),
        ("i IS NULL", F),
        ("i IS NOT NULL", T),
        ("empty IS NULL", F),
        ("void IS NULL", T),
        ("list IS NULL", T),
        ("nan IS NULL", T),
        ("no IS NOT NULL", T),
        ("5 IS NULL", F),
        ("1 / 0 IS NULL", T),
    ]);
}

#[test]
fn patterns() {
    check(&[
        ("t LIKE 'abc'", T),
        ("t LIKE 'ABC'", F),
        ("t LIKE 'ab'", F),
        ("t LIKE 'a%'", T),
        ("t LIKE '%c'", T),
        ("t LIKE '%b%'", T),
        ("t LIKE '%'", T),
        ("t LIKE '%%'", T),
        ("t LIKE 'a_c'", T),
        ("t LIKE '___'", T),
        ("t LIKE '____'", F),
        ("t LIKE '__'", F),
        ("t LIKE '_%_%_'", T),
        ("t LIKE '_%_%_%_'", F),
        ("t LIKE 'abc%abc'", F),
        ("t NOT LIKE 'a%'", F),
        ("t NOT LIKE 'b%'", T),
        ("empty LIKE ''", T),
        ("empty LIKE '%'", T),
        ("empty LIKE '_'", F),
        ("uni LIKE 'Zo_ _'", T),
        ("uni LIKE '%🦀'", T),
        ("uni LIKE '%_🦀'", T),
        ("quote LIKE '%''_'", T),
        ("percent LIKE '100\\%\\_\\\\' ESCAPE '\\'", T),
        ("percent LIKE '%!%!_%' ESCAPE '!'", T),
        ("percent LIKE '%\\'", T),
        ("t LIKE '%!%%' ESCAPE '!'", F),
        ("percent LIKE '1__\u{20ac}%%' ESCAPE '\u{20ac}'", T),
        ("t LIKE 'a🦀%' ESCAPE '🦀'", F),
        ("raw LIKE '_a_'", T),
        ("raw LIKE '%a%'", T),
        ("'abc' LIKE 'a%'", T),
        ("gone LIKE '%'", U),
        ("gone NOT LIKE '%'", U),
        ("i LIKE '5'", F),
        ("i NOT LIKE '5'", T),
        ("amqp.routing_key LIKE 'order.%'", T),
    ]);
}

#[test]
fn a_non_persistent_message_says_so() {
    let message = Sample::default();
    assert_eq!(truth("JMSDeliveryMode = 'NON_PERSISTENT'", &message), T);
    assert_eq!(truth("JMSDeliveryMode IN ('PERSISTENT')", &message), F);
    assert_eq!(truth("JMSPriority = 4", &message), U);
}
