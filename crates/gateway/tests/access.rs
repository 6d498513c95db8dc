//! Rights over real sockets: who gets in, and what happens when a right is taken.
#![allow(clippy::unwrap_used, reason = "a test may stop where it is wrong")]

mod common;

use std::time::{Duration, Instant};

use amqp091::method::connection;
use amqp091::properties::{Change, Edit};
use amqp091::{LongStr, Method, RawTable, ShortStr, Table, Value};
use common::{Client, Node};
use ferry_broker::{Account, Permission, VhostSpec};

const ALL: [&str; 3] = [".*", ".*", ".*"];

/// A user whose password is the name.
fn add_user(node: &Node, name: &str, tags: &[&str]) {
    let password_hash = node.broker.hash_password(name.as_bytes()).unwrap();
    let account = Account {
        name: name.into(),
        password_hash: Some(password_hash),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    };
    node.broker.set_user(account).unwrap();
}

fn permit(node: &Node, user: &str, [configure, write, read]: [&str; 3]) {
    node.broker
        .set_permission(Permission {
            user: user.into(),
            vhost: "/".into(),
            configure: configure.to_owned(),
            write: write.to_owned(),
            read: read.to_owned(),
        })
        .unwrap();
}

fn start_ok<'a>(response: &'a [u8], properties: &RawTable<'a>) -> Method<'a> {
    Method::ConnectionStartOk(connection::StartOk {
        client_properties: *properties,
        mechanism: ShortStr::lit("PLAIN"),
        response: LongStr::new(response),
        locale: ShortStr::lit("en_US"),
    })
}

fn tune_ok() -> connection::TuneOk {
    connection::TuneOk {
        channel_max: 10,
        frame_max: 131_072,
        heartbeat: 0,
    }
}

fn open(vhost: &'static str) -> connection::Open<'static> {
    connection::Open {
        virtual_host: ShortStr::lit(vhost),
        capabilities: ShortStr::EMPTY,
        insist: false,
    }
}

/// Logs in; what `connection.open` or the password comes to is to come.
fn log_in(node: &Node, user: &str, password: &str, vhost: &'static str) -> Client {
    let mut client = Client::raw(node.address);
    client.send(&amqp091::handshake::REPLY);
    client.expect(0, "connection.start");
    let mut can = Table::new();
    for name in ["consumer_cancel_notify", "authentication_failure_close"] {
        can.push(ShortStr::lit(name), true);
    }
    let mut properties = Table::new();
    properties.push(ShortStr::lit("capabilities"), Value::from(can));
    let properties = properties.to_bytes();
    let response = format!("\0{user}\0{password}");
    client.method(
        0,
        start_ok(response.as_bytes(), &RawTable::new(&properties)),
    );
    if password == user {
        client.expect(0, "connection.tune");
        client.method(0, tune_ok());
        client.method(0, open(vhost));
    }
    client
}

/// A user with all rights, connected, with a channel.
fn connected(node: &Node, user: &str, tags: &[&str]) -> Client {
    add_user(node, user, tags);
    permit(node, user, ALL);
    channel_of(node, user)
}

fn channel_of(node: &Node, user: &str) -> Client {
    let mut client = log_in(node, user, user, "/");
    client.expect(0, "connection.open_ok");
    client.open_channel(1);
    client
}

#[test]
fn only_who_may_enter_a_virtual_host_gets_in() {
    let node = Node::start();
    add_user(&node, "ann", &[]);
    for (user, vhost, text) in [
        ("ann", "/", "access to vhost '/' refused for user 'ann'"),
        ("ann", "none", "vhost none not found"),
        ("guest", "none", "vhost none not found"),
    ] {
        let mut client = log_in(&node, user, user, vhost);
        let expected = (530, format!("NOT_ALLOWED - {text}"));
        assert_eq!(client.expect_close(0), expected, "{user} {vhost}");
    }
    permit(&node, "ann", ["", "", ""]);
    channel_of(&node, "ann").close();
}

#[test]
fn many_log_ins_at_once_are_all_looked_at() {
    let node = Node::start();
    add_user(&node, "ann", &[]);
    permit(&node, "ann", ALL);
    std::thread::scope(|scope| {
        for index in 0..12 {
            let node = &node;
            scope.spawn(move || match index % 2 {
                0 => drop(channel_of(node, "ann")),
                _ => {
                    let mut client = log_in(node, "ann", "wrong", "/");
                    assert_eq!(client.expect_close(0).0, 403);
                }
            });
        }
    });
}

#[test]
fn a_consumer_without_its_right_is_cancelled() {
    let node = Node::start();
    let mut client = connected(&node, "ann", &[]);
    client.declare(1, "kept", false);
    client.declare(1, "lost", false);
    for queue in ["kept", "lost"] {
        client.send_consume(1, queue, queue, true);
        client.expect(1, "basic.consume_ok");
    }
    let began = Instant::now();
    permit(&node, "ann", ["", ".*", "^kept$"]);
    client.expect(1, "basic.cancel");
    assert!(began.elapsed() < Duration::from_secs(5));
    client.publish(1, "", "lost", b"not for ann");
    client.publish(1, "", "kept", b"for ann");
    let got = client.next_message(1);
    assert_eq!(got.body, b"for ann");
    let mut guest = node.channel();
    assert_eq!(guest.ready(1, "lost"), 1);
    guest.close();
    client.send_consume(1, "lost", "again", true);
    let refused =
        "ACCESS_REFUSED - read access to queue 'lost' in vhost '/' refused for user 'ann'";
    assert_eq!(client.expect_close(1), (403, refused.to_owned()));
    client.close();
}

#[test]
fn a_publisher_without_its_right_is_refused_at_once() {
    let node = Node::start();
    let mut client = connected(&node, "ann", &[]);
    client.declare(1, "q", false);
    client.confirm_select(1);
    client.publish(1, "", "q", b"first");
    assert!(client.wait_confirmed(1, 1).is_empty());
    permit(&node, "ann", [".*", "", ".*"]);
    client.publish(1, "", "q", b"second");
    let refused = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused \
                   for user 'ann'";
    assert_eq!(client.expect_close(1), (403, refused.to_owned()));
    client.close();
}

#[test]
fn connections_of_what_was_deleted_are_closed() {
    let node = Node::start();
    let spec = VhostSpec {
        name: "v".to_owned(),
        ..VhostSpec::default()
    };
    node.broker.set_vhost(spec).unwrap();
    node.broker
        .set_permission(Permission {
            user: "guest".into(),
            vhost: "v".into(),
            configure: String::new(),
            write: String::new(),
            read: String::new(),
        })
        .unwrap();
    let mut ann = connected(&node, "ann", &[]);
    let mut other = node.channel();
    let mut inside = log_in(&node, "guest", "guest", "v");
    inside.expect(0, "connection.open_ok");
    node.broker.delete_user("ann").unwrap();
    let forced = |text: &str| (320, format!("CONNECTION_FORCED - {text}"));
    assert_eq!(ann.expect_close(0), forced("user 'ann' is deleted"));
    node.broker.delete_vhost("v").unwrap();
    assert_eq!(inside.expect_close(0), forced("vhost 'v' is deleted"));
    other.declare(1, "still", false);
    other.close();
}

#[test]
fn who_impersonates_may_name_another_user() {
    let node = Node::start();
    let as_bob = Edit {
        user_id: Change::Set(ShortStr::lit("bob")),
        ..Edit::default()
    };
    for (user, tags, allowed) in [("ann", &[][..], false), ("imp", &["impersonator"], true)] {
        let mut client = connected(&node, user, tags);
        client.declare(1, "q", false);
        client.publish_with(1, "", "q", false, &as_bob, b"b");
        match allowed {
            true => assert_eq!(client.ready(1, "q"), 1),
            false => assert_eq!(client.expect_close(1).0, 406),
        }
        client.close();
    }
}

#[test]
fn an_answer_that_is_gathered_goes_where_the_requester_may_write() {
    let node = Node::start();
    let mut client = connected(&node, "ann", &[]);
    permit(&node, "ann", [".*", "^amq.fanout$", ".*"]);
    let table = common::headers(&[("x-gather-count", Value::from(2))]);
    let request = Edit {
        reply_to: Change::Set(ShortStr::lit("somebody-elses")),
        headers: Change::Set(RawTable::new(&table)),
        ..Edit::default()
    };
    client.publish_with(1, "amq.fanout", "", false, &request, b"?");
    let refused = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused \
                   for user 'ann'";
    assert_eq!(client.expect_close(1), (403, refused.to_owned()));
    client.close();
}

#[test]
fn what_comes_while_a_password_is_looked_at_waits() {
    let node = Node::start();
    let mut client = Client::raw(node.address);
    let mut bytes = amqp091::handshake::REPLY.to_vec();
    for method in [
        start_ok(b"\0guest\0guest", &RawTable::EMPTY),
        tune_ok().into(),
        open("/").into(),
    ] {
        method.write_frame(&mut bytes, 0);
    }
    client.send(&bytes);
    for expected in ["connection.start", "connection.tune", "connection.open_ok"] {
        client.expect(0, expected);
    }
    client.open_channel(1);
    client.close();
}
