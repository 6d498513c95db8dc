//! How numbers, texts, names and spaces may be written.

use super::sample::{F, T, U, check};

#[test]
fn literals() {
    check(&[
        ("i = 5L", T),
        ("i = 5l", T),
        ("i = 0x5", T),
        ("i = 0X05L", T),
        ("i = 05", T),
        ("i = 005", T),
        ("i = 0b101", T),
        ("i = 0B101L", T),
        ("8 = 010", T),
        ("255 = 0xfF", T),
        ("zero = 0", T),
        ("zero = 00", T),
        ("zero = 0L", T),
        ("i = 5.", T),
        ("i = 5d", T),
        ("i = 5F", T),
        ("i = .5e1", T),
        ("i = 0.05E+2", T),
        ("i = 50e-1", T),
        ("i = 5.e0D", T),
        ("neg = -7", T),
        ("neg = - 7.0", T),
        ("7000 = 7E3", T),
        ("-5790 = -57.9E2", T),
        ("0.0 = 1e-999", T),
        ("small = -0x8000000000000000", T),
        ("t = 'abc' AND '' = ''", T),
        ("'''' = ''''''", F),
        ("'a\nb' = 'a\nb'", T),
        ("'-- no comment' = '-- no comment'", T),
        ("yes = true", T),
        ("yes = True", T),
    ]);
}

#[test]
fn names() {
    check(&[
        ("\"x-kind\" = 'event'", T),
        ("\"a b\" = 'spaced'", T),
        ("\"say \"\"hi\"\"\" = 1", T),
        ("\"and\" = 'keyword'", T),
        ("\"i\" = 5", T),
        ("I = 5", U),
        ("_u = 1", T),
        ("$d.e.f9 = 2", T),
        ("notable = 4", T),
        ("JMSDeliveryMode = 'PERSISTENT'", T),
        ("JMSDeliveryMode = 'NON_PERSISTENT'", F),
        ("JMSDeliveryMode", U),
        ("JMSPriority = 4", T),
        ("JMSPriority BETWEEN 4 AND 9", T),
        ("JMSMessageID = 'id-1'", T),
        ("\"JMSMessageID\" = 'id-1'", T),
        ("JMSTimestamp = 1700000000000", T),
        ("JMSCorrelationID LIKE 'c-%'", T),
        ("JMSType = 'order'", T),
        ("JMSXGroupID = 'g'", T),
        ("JMSXDeliveryCount = 3", T),
        ("JMSXOther IS NULL", T),
        ("amqp.content_type = 'text/plain'", T),
        ("amqp.content_encoding = 'gzip'", T),
        ("amqp.reply_to = 'answers'", T),
        ("amqp.app_id = 'shop'", T),
        ("amqp.user_id = 'guest'", T),
        ("amqp.expiration = '60000'", T),
        ("amqp.exchange = 'orders'", T),
        ("amqp.routing_key = 'order.paid.eu'", T),
        ("\"amqp.app_id\" = 'shop'", T),
        ("amqpx = 1", U),
        ("jmspriority = 4", U),
    ]);
}

#[test]
fn spacing_and_capitals_of_keywords_do_not_matter() {
    check(&[
        ("i=5", T),
        ("  i\t=\r\n5\u{c}", T),
        ("i=5 and(yes)or(no)", T),
        ("\u{a0}i\u{2003}=\u{3000}5", T),
        ("i Between 4 aNd 6", T),
        ("t lIkE 'a!%%' eScApE '!'", F),
        ("not(t not like'b%')", F),
        ("gone is null", T),
        ("i Is NoT nUlL", T),
        ("t not in('x','y')", T),
        ("i<>6", T),
        ("i>=5 AND i<=5", T),
        ("i=-5", F),
        ("i>-5", T),
        ("i*2=10", T),
    ]);
}
