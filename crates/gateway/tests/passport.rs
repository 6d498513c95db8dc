//! Passports and trace context of messages that come and go over a real socket.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use amqp091::properties::{Change, Edit};
use amqp091::{RawTable, ShortStr, Table, Value};
use common::{Client, Message, Node, headers};
use ferry_broker::{Browse, Event, MoveTo};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const STATE: &str = "vendor=opaque,other=1";

/// A queue that notes, whose dead letters go to the queue of that name if there is one.
fn declare(client: &mut Client, name: &'static str, dead: Option<&'static str>) {
    let mut arguments = Table::new();
    arguments.push(ShortStr::lit("x-passport"), true);
    if let Some(dead) = dead {
        arguments.push(ShortStr::lit("x-dead-letter-exchange"), "");
        arguments.push(ShortStr::lit("x-dead-letter-routing-key"), dead);
    }
    client.send_declare(1, name, true, false, &arguments);
    client.expect_declared(1);
}

fn publish(client: &mut Client, queue: &str, id: &'static str, delay_ms: i32) {
    let table = headers(&[
        ("traceparent", Value::from(PARENT)),
        ("tracestate", Value::from(STATE)),
        ("x-delay", Value::I32(delay_ms)),
    ]);
    let properties = Edit {
        headers: Change::Set(RawTable::new(&table)),
        message_id: Change::Set(ShortStr::lit(id)),
        delivery_mode: Change::Set(2),
        ..Edit::default()
    };
    client.publish_with(1, "", queue, false, &properties, b"body");
}

fn assert_traced(message: &Message) {
    assert_eq!(message.header("traceparent"), Some(Value::from(PARENT)));
    assert_eq!(message.header("tracestate"), Some(Value::from(STATE)));
}

#[test]
fn trace_context_is_untouched_by_delays_dead_letters_and_replays() {
    let node = Node::start();
    let mut client = node.channel();
    declare(&mut client, "work", Some("dead"));
    declare(&mut client, "dead", None);
    publish(&mut client, "work", "m", 20);
    node.wait_ready("work", 1);
    client.consume(1, "work", false);
    let message = client.next_message(1);
    assert_traced(&message);
    client.settle(message.tag, "reject", None);
    node.wait_ready("dead", 1);
    let dead = node.queue("dead");
    let page = node.broker.browse(&dead, &Browse::default()).unwrap();
    let to = MoveTo::Queue("work".to_owned());
    let name = page.messages[0].name;
    node.broker
        .replay_message(&dead, &name, &to, None, "operator")
        .unwrap();
    let again = client.next_message(1);
    assert_traced(&again);
    assert!(again.header("x-ferry-replay").is_some());
    let hops = node.broker.passport("/", b"m").unwrap();
    let trace_id = hops[0].trace_id.unwrap();
    assert_eq!((trace_id[0], trace_id[15]), (0x0a, 0x9c));
    assert!(hops.iter().all(|hop| hop.trace_id == Some(trace_id)));
    client.close();
}

#[test]
fn the_connections_of_publisher_and_consumer_are_told() {
    let node = Node::start();
    let mut publisher = node.channel();
    declare(&mut publisher, "q", None);
    let peers = || -> Vec<String> {
        let all = node.broker.connections().into_iter();
        all.map(|connection| connection.peer).collect()
    };
    let publisher_peer = peers().remove(0);
    let mut consumer = node.channel();
    let consumer_peer = peers().remove(1);
    let tag = consumer.consume(1, "q", false);
    publish(&mut publisher, "q", "m", 0);
    let message = consumer.next_message(1);
    consumer.ack(1, message.tag, false);
    consumer.close();
    let hops = node.broker.passport("/", b"m").unwrap();
    let Event::Published {
        user, connection, ..
    } = &hops[0].event
    else {
        panic!("{hops:?}");
    };
    assert_eq!(user.as_deref(), Some("guest"));
    assert_eq!(connection.as_deref(), Some(publisher_peer.as_str()));
    let Event::Delivered {
        consumer,
        connection,
        ..
    } = &hops[2].event
    else {
        panic!("{hops:?}");
    };
    assert_eq!(consumer.as_deref(), Some(tag.as_str()));
    assert_eq!(connection.as_deref(), Some(consumer_peer.as_str()));
    assert_eq!(hops[3].event, Event::Acked);
    publisher.close();
}

#[test]
fn an_id_that_is_no_text_names_its_message() {
    let node = Node::start();
    let mut client = node.channel();
    declare(&mut client, "q", None);
    let ids: [&[u8]; 4] = [b"\xff\xfe", b"a/b c", b"\0", &[b'x'; 255]];
    for id in ids {
        let properties = Edit {
            message_id: Change::Set(ShortStr::clipped(id)),
            ..Edit::default()
        };
        client.publish_with(1, "", "q", false, &properties, b"body");
    }
    node.wait_ready("q", 4);
    for id in ids {
        let hops = node.broker.passport("/", id).unwrap();
        assert_eq!(hops.len(), 2, "{id:?}: {hops:?}");
    }
    assert!(node.broker.passport("/", b"\xff").is_none());
    client.close();
}
