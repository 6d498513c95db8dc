//! What is refused, with which code and words, and what ends for it.

mod common;

use amqp091::method::{basic, channel, confirm, connection, exchange, queue, tx};
use amqp091::properties::{Change, Edit};
use amqp091::{Method, RawTable, ReplyCode, ShortStr, Table, Value};
use common::Node;

fn empty() -> ShortStr<'static> {
    ShortStr::EMPTY
}

fn declare_exchange(name: &'static str, kind: &'static str) -> Method<'static> {
    Method::from(exchange::Declare {
        ticket: 0,
        exchange: ShortStr::lit(name),
        kind: ShortStr::lit(kind),
        passive: false,
        durable: false,
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments: RawTable::EMPTY,
    })
}

fn passive_exchange(name: &'static str) -> Method<'static> {
    let Method::ExchangeDeclare(declare) = declare_exchange(name, "") else {
        unreachable!()
    };
    Method::from(exchange::Declare {
        passive: true,
        ..declare
    })
}

fn delete_exchange(name: &'static str) -> Method<'static> {
    let exchange = ShortStr::lit(name);
    Method::from(exchange::Delete {
        ticket: 0,
        exchange,
        if_unused: false,
        no_wait: false,
    })
}

fn bind_queue(queue: &'static str, exchange: &'static str) -> Method<'static> {
    Method::from(queue::Bind {
        ticket: 0,
        queue: ShortStr::lit(queue),
        exchange: ShortStr::lit(exchange),
        routing_key: empty(),
        no_wait: false,
        arguments: RawTable::EMPTY,
    })
}

fn declare_queue(name: &'static str) -> Method<'static> {
    Method::from(queue::Declare {
        ticket: 0,
        queue: ShortStr::lit(name),
        passive: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        no_wait: false,
        arguments: RawTable::EMPTY,
    })
}

fn consume(queue: &'static str, tag: &'static str, exclusive: bool) -> Method<'static> {
    Method::from(basic::Consume {
        ticket: 0,
        queue: ShortStr::lit(queue),
        consumer_tag: ShortStr::lit(tag),
        no_local: false,
        no_ack: false,
        exclusive,
        no_wait: false,
        arguments: RawTable::EMPTY,
    })
}

fn ack(delivery_tag: u64, multiple: bool) -> Method<'static> {
    Method::from(basic::Ack {
        delivery_tag,
        multiple,
    })
}

fn get(queue: &'static str) -> Method<'static> {
    Method::from(basic::Get {
        ticket: 0,
        queue: ShortStr::lit(queue),
        no_ack: true,
    })
}

fn delete_queue(queue: &'static str, if_unused: bool, if_empty: bool) -> Method<'static> {
    let queue = ShortStr::lit(queue);
    Method::from(queue::Delete {
        ticket: 0,
        queue,
        if_unused,
        if_empty,
        no_wait: false,
    })
}

type Case = (Method<'static>, &'static str);

fn what_is_not_there() -> Vec<Case> {
    vec![
        (get("no"), "NOT_FOUND - no queue 'no' in vhost '/'"),
        (get(""), "NOT_FOUND - no previously declared queue"),
        (
            consume("no", "", false),
            "NOT_FOUND - no queue 'no' in vhost '/'",
        ),
        (
            bind_queue("q", "no"),
            "NOT_FOUND - no exchange 'no' in vhost '/'",
        ),
        (
            bind_queue("no", "amq.direct"),
            "NOT_FOUND - no queue 'no' in vhost '/'",
        ),
        (
            passive_exchange("no"),
            "NOT_FOUND - no exchange 'no' in vhost '/'",
        ),
    ]
}

fn what_may_not_be_done() -> Vec<Case> {
    let default = "ACCESS_REFUSED - operation not permitted on the default exchange";
    let queue = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'";
    let exchange = "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'";
    let system =
        "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed";
    let in_use = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
    vec![
        (consume("q", "", true), in_use),
        (bind_queue("q", ""), default),
        (declare_exchange("", "direct"), default),
        (delete_exchange(""), default),
        (declare_queue("amq.mine"), queue),
        (declare_exchange("amq.mine", "direct"), exchange),
        (delete_exchange("amq.topic"), system),
    ]
}

fn what_contradicts() -> Vec<Case> {
    let inequivalent = "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' \
                        in vhost '/': received 'fanout' but current is 'direct'";
    let not_transactional = "PRECONDITION_FAILED - channel is not transactional";
    let in_use = "PRECONDITION_FAILED - queue 'q' in vhost '/' in use";
    vec![
        (declare_exchange("amq.direct", "fanout"), inequivalent),
        (delete_queue("q", true, false), in_use),
        (
            ack(1, false),
            "PRECONDITION_FAILED - unknown delivery tag 1",
        ),
        (ack(9, true), "PRECONDITION_FAILED - unknown delivery tag 9"),
        (tx::Commit {}.into(), not_transactional),
        (tx::Rollback {}.into(), not_transactional),
    ]
}

#[test]
fn soft_errors_close_the_channel_and_nothing_else() {
    let node = Node::start();
    let mut client = node.channel();
    client.open_channel(2);
    client.declare(2, "q", false);
    client.publish(2, "", "q", b"keeps it from being empty");
    client.consume(2, "q", false);
    client.next_message(2);
    let cases = [
        what_is_not_there(),
        what_may_not_be_done(),
        what_contradicts(),
    ];
    for (method, expected) in cases.concat() {
        client.method(1, method);
        let (code, text) = client.expect_channel_error(1);
        assert_eq!(text, expected, "{method:?}");
        let named = ReplyCode::from_code(code).map(ReplyCode::name);
        assert_eq!(named, expected.split(' ').next(), "{method:?}");
    }
    assert_eq!(client.ready(2, "q"), 0, "channel 2 lives on");
    client.close();
}

#[test]
fn hard_errors_close_the_connection() {
    let node = Node::start();
    for (number, method, code, text) in [
        (
            1,
            channel::Open {
                out_of_band: empty(),
            }
            .into(),
            504,
            "second 'channel.open' seen",
        ),
        (2, get("q"), 504, "expected 'channel.open'"),
        (
            1,
            channel::Flow { active: false }.into(),
            540,
            "active=false",
        ),
        (
            1,
            basic::Recover { requeue: false }.into(),
            540,
            "requeue=false",
        ),
        (
            1,
            basic::Qos {
                prefetch_size: 9,
                prefetch_count: 1,
                global: false,
            }
            .into(),
            540,
            "prefetch_size!=0 (9)",
        ),
        (1, basic::QosOk {}.into(), 503, "unimplemented method"),
        (
            0,
            channel::Flow { active: true }.into(),
            504,
            "unexpected method in connection state running",
        ),
    ] {
        let mut client = node.channel();
        client.method(number, method);
        let (got_code, got_text) = client.expect_close(0);
        assert_eq!(got_code, code, "{got_text}");
        assert!(got_text.ends_with(&format!(" - {text}")), "{got_text}");
        client.method(0, connection::CloseOk {});
        assert!(client.next().is_none());
    }
}

#[test]
fn consumer_tags_are_used_once() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.method(1, consume("q", "mine", false));
    client.expect(1, "basic.consume_ok");
    client.method(1, consume("q", "mine", false));
    let expected = (
        530,
        "NOT_ALLOWED - attempt to reuse consumer tag 'mine'".to_owned(),
    );
    assert_eq!(client.expect_close(0), expected);
}

#[test]
fn publishes_are_refused_with_rabbitmqs_words() {
    let node = Node::start();
    let mut client = node.channel();
    client.declare(1, "q", false);
    let mut cc = Table::new();
    cc.push(ShortStr::lit("CC"), Value::from("q"));
    let cc = cc.to_bytes();
    let with_user = Edit {
        user_id: Change::Set(ShortStr::lit("eve")),
        ..Edit::default()
    };
    let expires = Edit {
        expiration: Change::Set(ShortStr::lit("soon")),
        ..Edit::default()
    };
    let reply = Edit {
        reply_to: Change::Set(ShortStr::lit("amq.rabbitmq.reply-to")),
        ..Edit::default()
    };
    let routes = Edit {
        headers: Change::Set(RawTable::new(&cc)),
        ..Edit::default()
    };
    for (exchange, properties, code, text) in [
        (
            "no",
            Edit::default(),
            404,
            "NOT_FOUND - no exchange 'no' in vhost '/'",
        ),
        (
            "",
            with_user,
            406,
            "PRECONDITION_FAILED - user_id property set to 'eve' but authenticated user was \
             'guest'",
        ),
        (
            "",
            expires,
            406,
            "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
        ),
        (
            "",
            reply,
            406,
            "PRECONDITION_FAILED - fast reply consumer does not exist",
        ),
        (
            "",
            routes,
            406,
            "PRECONDITION_FAILED - invalid message: \
             {unacceptable_type_in_header,\"CC\",longstr}",
        ),
    ] {
        client.publish_with(1, exchange, "q", false, &properties, b"x");
        assert_eq!(client.expect_channel_error(1), (code, text.to_owned()));
    }
    assert_eq!(client.ready(1, "q"), 0);
    client.close();
}

#[test]
fn a_message_over_the_limit_closes_its_channel() {
    let config = ferry_gateway::GatewayConfig {
        message_bytes_max: 1000,
        ..Default::default()
    };
    let node = Node::with(config, 1 << 30);
    let mut client = node.channel();
    client.declare(1, "q", false);
    client.publish(1, "", "q", &[0; 1000]);
    for size in [1001, 200_000] {
        client.publish(1, "", "q", &vec![0; size]);
        let text = format!(
            "PRECONDITION_FAILED - message size {size} is larger than configured max size 1000"
        );
        assert_eq!(client.expect_channel_error(1), (406, text));
    }
    assert_eq!(client.ready(1, "q"), 1);
    client.close();
}

#[test]
fn an_exclusive_queue_is_locked_to_others_and_goes_with_its_connection() {
    let node = Node::start();
    let mut owner = node.channel();
    owner.send_declare(1, "mine", false, true, &Table::new());
    owner.expect_declared(1);
    let mut other = node.channel();
    for method in [
        get("mine"),
        consume("mine", "", false),
        delete_queue("mine", false, false),
    ] {
        other.method(1, method);
        let (code, text) = other.expect_channel_error(1);
        assert_eq!(code, 405);
        assert_eq!(
            text,
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost \
             '/'. It could be originally declared on another connection or the exclusive \
             property value does not match that of the original declaration."
        );
    }
    owner.close();
    other.passive_declare(1, "mine");
    assert_eq!(other.expect_channel_error(1).0, 404);
    other.close();
}

#[test]
fn confirm_and_transactions_exclude_each_other() {
    let node = Node::start();
    let mut client = node.channel();
    client.confirm_select(1);
    client.method(1, tx::Select {});
    let text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode";
    assert_eq!(client.expect_channel_error(1), (406, text.to_owned()));
    client.method(1, tx::Select {});
    client.expect(1, "tx.select_ok");
    client.method(1, confirm::Select { no_wait: false });
    let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode";
    assert_eq!(client.expect_channel_error(1), (406, text.to_owned()));
    client.close();
}
