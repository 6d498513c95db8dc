//! One client for each version, the same in all that the checks do with it, and the checks that
//! both versions pass.
//!
//! Invariants
//! - A client's event loop runs in a task of its own and does not reconnect.
//! - Dropping a `Client` ends its connection without a DISCONNECT.

use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::PublishProperties;

pub const WAIT: Duration = Duration::from_secs(10);
pub const QUIET: Duration = Duration::from_millis(200);
pub const PACKET_BYTES_MAX: usize = 8 << 20;
const BURST: usize = 2000;

/// A message that arrived.
#[derive(Debug)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub properties: PublishProperties,
}

macro_rules! version {
    ($version:ident, [$($root:tt)*], [$($level:tt)*], [$($packet:tt)*],
     keep: |$options:ident, $clean:ident| $keep:block,
     will: |$will_options:ident, $topic:ident| $will:block,
     properties: |$publish:ident| $properties:expr) => {
        pub mod $version {
            use super::*;
            use crate::{Outcome, Place, ensure};
            use $($level)*::QoS;
            use $($packet)*::*;
            use $($root)*::{AsyncClient, Event, MqttOptions};
            use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
            use tokio::task::JoinHandle;
            use tokio::time::timeout;

            pub const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

            /// A connected client.
            pub struct Client {
                pub inner: AsyncClient,
                pub session_present: bool,
                messages: UnboundedReceiver<Message>,
                answers: UnboundedReceiver<Packet>,
                task: JoinHandle<()>,
            }

            impl Drop for Client {
                fn drop(&mut self) {
                    self.task.abort();
                }
            }

            /// The usual options.
            pub fn options(place: &Place, name: &str) -> MqttOptions {
                let mut options = MqttOptions::new(place.id(name), &place.host, place.port);
                options.set_credentials("guest", "guest");
                options
            }

            /// Connects with a session that is kept, or not.
            pub async fn connect(
                mut $options: MqttOptions,
                $clean: bool,
            ) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
                $keep
                let (inner, mut events) = AsyncClient::new($options, 100);
                let (messages_in, messages) = unbounded_channel();
                let (answers_in, mut answers) = unbounded_channel();
                let task = tokio::spawn(async move {
                    while let Ok(event) = events.poll().await {
                        match event {
                            Event::Incoming(Packet::Publish($publish)) => {
                                let topic: &[u8] = $publish.topic.as_ref();
                                let _ = messages_in.send(Message {
                                    topic: String::from_utf8_lossy(topic).into_owned(),
                                    payload: $publish.payload.to_vec(),
                                    qos: $publish.qos as u8,
                                    retain: $publish.retain,
                                    properties: $properties,
                                });
                            }
                            Event::Incoming(packet) => {
                                let _ = answers_in.send(packet);
                            }
                            Event::Outgoing(_) => {}
                        }
                    }
                });
                let session_present = match timeout(WAIT, answers.recv()).await? {
                    Some(Packet::ConnAck(connack)) => connack.session_present,
                    other => return Err(format!("{other:?} instead of a CONNACK").into()),
                };
                Ok(Client { inner, session_present, messages, answers, task })
            }

            impl Client {
                /// Connects a client with a session that is not kept.
                pub async fn new(
                    place: &Place,
                    name: &str,
                ) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
                    connect(options(place, name), true).await
                }

                /// Waits for so many answers that are as wanted.
                pub async fn answers(
                    &mut self,
                    count: usize,
                    wanted: impl Fn(&Packet) -> bool,
                ) -> Outcome {
                    let mut found = 0;
                    while found < count {
                        match timeout(WAIT, self.answers.recv()).await? {
                            Some(packet) => found += usize::from(wanted(&packet)),
                            None => return Err("the connection ended".into()),
                        }
                    }
                    Ok(())
                }

                /// Subscribes and waits for the answer.
                pub async fn subscribe(&mut self, filter: String, qos: usize) -> Outcome {
                    self.inner.subscribe(filter, LEVELS[qos]).await?;
                    self.answers(1, |packet| matches!(packet, Packet::SubAck(_))).await
                }

                /// Publishes and waits until that is complete.
                pub async fn publish(
                    &mut self,
                    topic: String,
                    qos: usize,
                    retain: bool,
                    payload: impl Into<Vec<u8>>,
                ) -> Outcome {
                    let payload: Vec<u8> = payload.into();
                    self.inner.publish(topic, LEVELS[qos], retain, payload).await?;
                    self.complete(usize::from(qos > 0)).await
                }

                /// Waits until so many publishes are complete.
                pub async fn complete(&mut self, count: usize) -> Outcome {
                    self.answers(count, |packet| {
                        matches!(packet, Packet::PubAck(_) | Packet::PubComp(_))
                    }).await
                }

                /// So many messages, and no more in a little while.
                pub async fn take(
                    &mut self,
                    count: usize,
                ) -> Result<Vec<Message>, Box<dyn std::error::Error + Send + Sync>> {
                    let mut found = Vec::new();
                    while found.len() < count {
                        match self.next(WAIT).await {
                            Some(message) => found.push(message),
                            None => {
                                return Err(format!("{} messages of {count}", found.len()).into());
                            }
                        }
                    }
                    match self.next(QUIET).await {
                        Some(more) => Err(format!("one more on {}", more.topic).into()),
                        None => Ok(found),
                    }
                }

                /// The next message, if one comes in time.
                pub async fn next(&mut self, wait: Duration) -> Option<Message> {
                    timeout(wait, self.messages.recv()).await.ok().flatten()
                }

                /// Says goodbye.
                pub async fn leave(mut self) -> Outcome {
                    self.inner.disconnect().await?;
                    timeout(WAIT, &mut self.task).await??;
                    Ok(())
                }
            }

            pub async fn qualities(place: Place) -> Outcome {
                let mut publisher = Client::new(&place, "publisher").await?;
                for granted in 0..3 {
                    let mut reader = Client::new(&place, &format!("reader{granted}")).await?;
                    reader.subscribe(place.topic("+"), granted).await?;
                    for qos in 0..3 {
                        publisher.publish(place.topic("t"), qos, false, [qos as u8, 255]).await?;
                    }
                    for message in reader.take(3).await? {
                        let wanted = granted.min(usize::from(message.payload[0])) as u8;
                        ensure!(message.qos == wanted, "QoS {} not {wanted}", message.qos);
                    }
                }
                Ok(())
            }

            pub async fn retained(place: Place) -> Outcome {
                let mut client = Client::new(&place, "a").await?;
                for text in ["one", "two"] {
                    client.publish(place.topic("r"), 1, true, text).await?;
                }
                client.subscribe(place.topic("#"), 1).await?;
                let message = &client.take(1).await?[0];
                ensure!(message.retain && message.payload == b"two", "{message:?}");
                client.publish(place.topic("r"), 1, true, "").await?;
                let mut late = Client::new(&place, "late").await?;
                late.subscribe(place.topic("#"), 1).await?;
                late.take(0).await?;
                Ok(())
            }

            pub async fn will(place: Place) -> Outcome {
                let mut watcher = Client::new(&place, "watcher").await?;
                watcher.subscribe(place.topic("will/+"), 1).await?;
                for name in ["cut", "polite"] {
                    let mut $will_options = options(&place, name);
                    let $topic = place.topic(&format!("will/{name}"));
                    $will
                    let client = connect($will_options, true).await?;
                    if name == "cut" {
                        drop(client);
                    } else {
                        client.leave().await?;
                    }
                }
                let message = &watcher.take(1).await?[0];
                ensure!(message.topic.ends_with("/cut"), "{message:?}");
                Ok(())
            }

            pub async fn session(place: Place) -> Outcome {
                let mut reader = connect(options(&place, "reader"), false).await?;
                ensure!(!reader.session_present, "a session was there");
                reader.subscribe(place.topic("+"), 2).await?;
                reader.leave().await?;
                let mut publisher = Client::new(&place, "publisher").await?;
                for number in 0..20 {
                    let payload = [number as u8];
                    publisher.publish(place.topic("t"), 1 + number % 2, false, payload).await?;
                }
                let mut reader = connect(options(&place, "reader"), false).await?;
                ensure!(reader.session_present, "no session was there");
                let mut found: Vec<u8> =
                    reader.take(20).await?.iter().map(|message| message.payload[0]).collect();
                found.sort_unstable();
                ensure!(found == (0..20).collect::<Vec<u8>>(), "{found:?}");
                reader.leave().await?;
                Client::new(&place, "reader").await?.leave().await
            }

            pub async fn large(place: Place) -> Outcome {
                let mut client = Client::new(&place, "a").await?;
                client.subscribe(place.topic("#"), 1).await?;
                let body: Vec<u8> = (0..4 << 20).map(|at| (at * 31 % 251) as u8).collect();
                client.publish(place.topic("日本/😀 é"), 1, false, body.clone()).await?;
                let message = &client.take(1).await?[0];
                ensure!(message.payload == body, "other bytes");
                ensure!(message.topic == place.topic("日本/😀 é"), "{}", message.topic);
                Ok(())
            }

            pub async fn burst(place: Place) -> Outcome {
                for qos in 1..3 {
                    let mut publisher = Client::new(&place, &format!("publisher{qos}")).await?;
                    let mut reader = Client::new(&place, &format!("reader{qos}")).await?;
                    reader.subscribe(place.topic("+"), qos).await?;
                    for number in 0..BURST {
                        let payload = number.to_string();
                        let topic = place.topic("t");
                        publisher.inner.publish(topic, LEVELS[qos], false, payload).await?;
                        if number % 20 == 19 {
                            publisher.complete(20).await?;
                        }
                    }
                    for (number, message) in reader.take(BURST).await?.iter().enumerate() {
                        let found = String::from_utf8_lossy(&message.payload);
                        ensure!(found == number.to_string(), "QoS {qos}: {found} at {number}");
                    }
                }
                Ok(())
            }

            pub async fn unsubscribing(place: Place) -> Outcome {
                let mut client = Client::new(&place, "a").await?;
                client.subscribe(place.topic("t"), 1).await?;
                client.inner.unsubscribe(place.topic("t")).await?;
                client.answers(1, |packet| matches!(packet, Packet::UnsubAck(_))).await?;
                client.publish(place.topic("t"), 1, false, "x").await?;
                client.take(0).await?;
                Ok(())
            }
        }
    };
}

version!(v4, [rumqttc], [rumqttc], [rumqttc::mqttbytes::v4],
    keep: |options, clean| {
        options.set_clean_session(clean);
        options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
    },
    will: |options, topic| {
        options.set_last_will(LastWill::new(topic, "gone", QoS::AtLeastOnce, false));
    },
    properties: |publish| PublishProperties::default());

version!(v5, [rumqttc::v5], [rumqttc::v5::mqttbytes], [rumqttc::v5::mqttbytes::v5],
    keep: |options, clean| {
        options.set_clean_start(clean);
        options.set_max_packet_size(Some(PACKET_BYTES_MAX as u32));
        if !clean {
            options.set_session_expiry_interval(Some(60));
        }
    },
    will: |options, topic| {
        options.set_last_will(LastWill::new(topic, "gone", QoS::AtLeastOnce, false, None));
    },
    properties: |publish| publish.properties.unwrap_or_default());
