//! lapin, the Rust client, against a broker: `lapin-judge HOST PORT`.
//!
//! Prints `ok NAME` or `FAIL NAME: why` for each check, then `N passed, M failed`. Each check gets
//! a channel of its own on one shared connection.

use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
};

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;
const CHECK_S_MAX: u64 = 20;

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {
        if !$condition { return Err(format!($($text)*).into()); }
    };
}

fn exclusive() -> QueueDeclareOptions {
    QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    }
}

async fn own_queue(channel: &Channel, arguments: FieldTable) -> Result<ShortString, lapin::Error> {
    let queue = channel
        .queue_declare("".into(), exclusive(), arguments)
        .await?;
    Ok(queue.name().clone())
}

fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert((*key).into(), value.clone());
    }
    table
}

async fn publish(channel: &Channel, queue: &ShortString, body: &[u8]) -> Result<(), lapin::Error> {
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel
        .basic_publish("".into(), queue.clone(), options, body, properties)
        .await?
        .await?;
    Ok(())
}

async fn get(channel: &Channel, queue: &ShortString) -> Result<Option<Vec<u8>>, lapin::Error> {
    let options = BasicGetOptions { no_ack: true };
    let found = channel.basic_get(queue.clone(), options).await?;
    Ok(found.map(|message| message.delivery.data.to_vec()))
}

async fn bodies(channel: Channel) -> Outcome {
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let queue = own_queue(&channel, FieldTable::default()).await?;
    let step = 131_072 - 8;
    for size in [
        0,
        1,
        65_536,
        step - 1,
        step,
        step + 1,
        2 * step,
        (16 << 20) - 1,
    ] {
        let body: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
        publish(&channel, &queue, &body).await?;
        let found = get(&channel, &queue).await?;
        ensure!(
            found.as_deref() == Some(&body[..]),
            "{size} bytes came back changed"
        );
    }
    Ok(())
}

async fn many_confirms(channel: Channel) -> Outcome {
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let queue = own_queue(&channel, FieldTable::default()).await?;
    let mut waiting = Vec::new();
    for number in 0..2_000_u32 {
        let options = BasicPublishOptions::default();
        let body = number.to_be_bytes();
        let confirm = channel
            .basic_publish(
                "".into(),
                queue.clone(),
                options,
                &body,
                BasicProperties::default(),
            )
            .await?;
        waiting.push(confirm);
    }
    for (number, confirm) in waiting.into_iter().enumerate() {
        let verdict = confirm.await?;
        ensure!(
            matches!(verdict, Confirmation::Ack(None)),
            "{number}: {verdict:?}"
        );
    }
    Ok(())
}

async fn mandatory_return(channel: Channel) -> Outcome {
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let options = BasicPublishOptions {
        mandatory: true,
        ..Default::default()
    };
    let verdict = channel
        .basic_publish(
            "".into(),
            "lapin.none".into(),
            options,
            b"x",
            BasicProperties::default(),
        )
        .await?
        .await?;
    match verdict {
        Confirmation::Ack(Some(returned)) => {
            ensure!(
                returned.reply_code == 312,
                "reply code {}",
                returned.reply_code
            );
            Ok(())
        }
        other => Err(format!("no return before the confirm: {other:?}").into()),
    }
}

async fn refused_publish(channel: Channel) -> Outcome {
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let arguments = table(&[
        ("x-max-length", AMQPValue::LongInt(1)),
        ("x-overflow", AMQPValue::LongString("reject-publish".into())),
    ]);
    let queue = own_queue(&channel, arguments).await?;
    publish(&channel, &queue, b"fits").await?;
    let verdict = channel
        .basic_publish(
            "".into(),
            queue,
            Default::default(),
            b"x",
            BasicProperties::default(),
        )
        .await?
        .await?;
    ensure!(matches!(verdict, Confirmation::Nack(_)), "{verdict:?}");
    Ok(())
}

async fn consume_with_prefetch(channel: Channel) -> Outcome {
    let queue = own_queue(&channel, FieldTable::default()).await?;
    channel.basic_qos(5, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume(
            queue.clone(),
            "lapin".into(),
            options,
            FieldTable::default(),
        )
        .await?;
    for number in 0..200_u32 {
        publish(&channel, &queue, &number.to_be_bytes()).await?;
    }
    for number in 0..200_u32 {
        let delivery = consumer.next().await.ok_or("the consumer ended")??;
        ensure!(
            delivery.data == number.to_be_bytes(),
            "not in order at {number}"
        );
        ensure!(
            delivery.delivery_tag == u64::from(number) + 1,
            "tag {}",
            delivery.delivery_tag
        );
        delivery.ack(BasicAckOptions::default()).await?;
    }
    channel
        .basic_cancel("lapin".into(), BasicCancelOptions::default())
        .await?;
    Ok(())
}

async fn requeue(channel: Channel) -> Outcome {
    let queue = own_queue(&channel, FieldTable::default()).await?;
    publish(&channel, &queue, b"again").await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume(queue, "".into(), options, FieldTable::default())
        .await?;
    let first = consumer.next().await.ok_or("the consumer ended")??;
    ensure!(!first.redelivered, "redelivered at first");
    first
        .nack(BasicNackOptions {
            requeue: true,
            ..Default::default()
        })
        .await?;
    let second = consumer.next().await.ok_or("the consumer ended")??;
    ensure!(second.redelivered, "not marked as redelivered");
    second.ack(BasicAckOptions::default()).await?;
    Ok(())
}

async fn queue_deleted(channel: Channel) -> Outcome {
    let queue = own_queue(&channel, FieldTable::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume(queue.clone(), "".into(), options, FieldTable::default())
        .await?;
    channel
        .queue_delete(queue, QueueDeleteOptions::default())
        .await?;
    ensure!(consumer.next().await.is_none(), "the consumer goes on");
    Ok(())
}

async fn topic(channel: Channel) -> Outcome {
    let queue = own_queue(&channel, FieldTable::default()).await?;
    let options = ExchangeDeclareOptions {
        auto_delete: true,
        ..Default::default()
    };
    let name = ShortString::from("lapin.topic");
    channel
        .exchange_declare(
            name.clone(),
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        )
        .await?;
    channel
        .queue_bind(
            queue.clone(),
            name.clone(),
            "a.*.#".into(),
            Default::default(),
            table(&[]),
        )
        .await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    for key in ["a", "a.b", "b.a", "a.b.c"] {
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        channel
            .basic_publish(
                name.clone(),
                key.into(),
                options,
                key.as_bytes(),
                properties,
            )
            .await?
            .await?;
    }
    ensure!(
        get(&channel, &queue).await? == Some(b"a.b".to_vec()),
        "a.b is not first"
    );
    ensure!(
        get(&channel, &queue).await? == Some(b"a.b.c".to_vec()),
        "a.b.c is not second"
    );
    ensure!(get(&channel, &queue).await?.is_none(), "more than two");
    Ok(())
}

async fn headers_come_back(channel: Channel) -> Outcome {
    let queue = own_queue(&channel, FieldTable::default()).await?;
    let headers = table(&[
        ("text", AMQPValue::LongString("x".into())),
        ("yes", AMQPValue::Boolean(true)),
        ("small", AMQPValue::ShortShortInt(-5)),
        ("short", AMQPValue::ShortInt(-300)),
        ("wide", AMQPValue::LongLongInt(1 << 40)),
        ("real", AMQPValue::Double(1.5)),
        ("time", AMQPValue::Timestamp(1_234_567_890)),
        ("none", AMQPValue::Void),
        (
            "inner",
            AMQPValue::FieldTable(table(&[("k", AMQPValue::LongUInt(7))])),
        ),
    ]);
    let properties = BasicProperties::default()
        .with_headers(headers.clone())
        .with_priority(3);
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    channel
        .basic_publish(
            "".into(),
            queue.clone(),
            Default::default(),
            b"x",
            properties,
        )
        .await?
        .await?;
    let found = channel
        .basic_get(queue, BasicGetOptions { no_ack: true })
        .await?;
    let found = found.ok_or("nothing there")?;
    ensure!(
        found.delivery.properties.headers().as_ref() == Some(&headers),
        "headers changed"
    );
    Ok(())
}

async fn channel_error(channel: Channel) -> Outcome {
    let options = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let refused = channel
        .queue_declare("lapin.none".into(), options, FieldTable::default())
        .await;
    ensure!(
        refused.is_err(),
        "a passive declare of nothing was answered"
    );
    ensure!(
        refused.unwrap_err().to_string().contains("NOT_FOUND"),
        "another error"
    );
    Ok(())
}

async fn transaction(channel: Channel) -> Outcome {
    let queue = own_queue(&channel, FieldTable::default()).await?;
    channel.tx_select().await?;
    publish(&channel, &queue, b"never").await?;
    channel.tx_rollback().await?;
    publish(&channel, &queue, b"kept").await?;
    channel.tx_commit().await?;
    ensure!(
        get(&channel, &queue).await? == Some(b"kept".to_vec()),
        "not what was committed"
    );
    Ok(())
}

struct Checks {
    connection: Connection,
    passed: u32,
    failed: u32,
}

impl Checks {
    async fn run<F: Future<Output = Outcome>>(&mut self, name: &str, check: fn(Channel) -> F) {
        let outcome = match self.connection.create_channel().await {
            Ok(channel) => {
                let limit = Duration::from_secs(CHECK_S_MAX);
                tokio::time::timeout(limit, check(channel))
                    .await
                    .unwrap_or_else(|_| Err("time is up".into()))
            }
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok lapin {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL lapin {name}: {error}");
            }
        }
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let words: Vec<String> = std::env::args().collect();
    let (host, port) = (
        words.get(1).ok_or("HOST PORT")?,
        words.get(2).ok_or("HOST PORT")?,
    );
    let address = format!("amqp://guest:guest@{host}:{port}/%2f?heartbeat=2");
    let connection = Connection::connect(&address, ConnectionProperties::default()).await?;
    let mut checks = Checks {
        connection,
        passed: 0,
        failed: 0,
    };
    checks.run("bodies of all sizes", bodies).await;
    checks.run("two thousand confirms", many_confirms).await;
    checks
        .run("a return comes before its confirm", mandatory_return)
        .await;
    checks
        .run("a refused publish is nacked", refused_publish)
        .await;
    checks
        .run("consume with prefetch, in order", consume_with_prefetch)
        .await;
    checks.run("a requeued message is marked", requeue).await;
    checks
        .run("deleting a queue ends its consumer", queue_deleted)
        .await;
    checks.run("topic routing", topic).await;
    checks.run("headers of all types", headers_come_back).await;
    checks
        .run("a channel error spares the connection", channel_error)
        .await;
    checks.run("transactions", transaction).await;
    println!("{} passed, {} failed", checks.passed, checks.failed);
    std::process::exit(i32::from(checks.failed > 0))
}
