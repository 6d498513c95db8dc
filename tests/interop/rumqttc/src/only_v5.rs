//! What only version 5 has: properties, options of subscriptions, groups, aliases, late wills.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, LastWill, LastWillProperties, Packet, PublishProperties, RetainForwardRule,
    SubscribeProperties,
};

use crate::client::QUIET;
use crate::client::v5::{Client, connect, options as usual};
use crate::{Outcome, Place, ensure};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
    pairs.iter().map(owned).collect()
}

pub async fn properties(place: Place) -> Outcome {
    let mut client = Client::new(&place, "a").await?;
    let identifier = SubscribeProperties {
        id: Some(4711),
        user_properties: Vec::new(),
    };
    let filter = place.topic("t");
    client
        .inner
        .subscribe_with_properties(filter, QoS::ExactlyOnce, identifier)
        .await?;
    client
        .answers(1, |packet| matches!(packet, Packet::SubAck(_)))
        .await?;
    let sent = PublishProperties {
        payload_format_indicator: Some(1),
        content_type: Some("text/plain".into()),
        response_topic: Some("answers".into()),
        correlation_data: Some(vec![0, 255].into()),
        user_properties: pairs(&[("k", "v"), ("k", "w"), ("ü", "日本")]),
        ..Default::default()
    };
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let topic = place.topic("t");
        client
            .inner
            .publish_with_properties(topic, qos, false, "text", sent.clone())
            .await?;
    }
    for message in client.take(3).await? {
        let mut wanted = sent.clone();
        wanted.subscription_identifiers = vec![4711];
        ensure!(message.properties == wanted, "{:?}", message.properties);
    }
    Ok(())
}

pub async fn options(place: Place) -> Outcome {
    let (mut one, mut two) = (
        Client::new(&place, "a").await?,
        Client::new(&place, "b").await?,
    );
    let mut filter = Filter::new(place.topic("t"), QoS::AtLeastOnce);
    filter.nolocal = true;
    one.inner.subscribe_many([filter.clone()]).await?;
    one.answers(1, |packet| matches!(packet, Packet::SubAck(_)))
        .await?;
    filter.nolocal = false;
    filter.preserve_retain = true;
    two.inner.subscribe_many([filter.clone()]).await?;
    two.answers(1, |packet| matches!(packet, Packet::SubAck(_)))
        .await?;
    one.publish(place.topic("t"), 1, true, "x").await?;
    one.take(0).await?;
    ensure!(two.take(1).await?[0].retain, "the retain flag is gone");
    for (rule, count) in [
        (RetainForwardRule::OnEverySubscribe, 1),
        (RetainForwardRule::OnNewSubscribe, 0),
        (RetainForwardRule::Never, 0),
    ] {
        filter.retain_forward_rule = rule;
        two.inner.subscribe_many([filter.clone()]).await?;
        two.take(count).await?;
    }
    one.publish(place.topic("t"), 1, true, "").await
}

pub async fn group(place: Place) -> Outcome {
    let mut readers = Vec::new();
    for name in ["a", "b"] {
        let mut reader = Client::new(&place, name).await?;
        let filter = format!("$share/g/{}", place.topic("t"));
        reader.subscribe(filter, 1).await?;
        readers.push(reader);
    }
    let mut publisher = Client::new(&place, "publisher").await?;
    for number in 0..40u8 {
        publisher
            .publish(place.topic("t"), 1, false, [number])
            .await?;
    }
    let mut found = Vec::new();
    for reader in &mut readers {
        let before = found.len();
        while let Some(message) = reader.next(QUIET).await {
            found.push(message.payload[0]);
        }
        ensure!(found.len() > before, "one of them has nothing");
    }
    found.sort_unstable();
    ensure!(found == (0..40).collect::<Vec<u8>>(), "{found:?}");
    Ok(())
}

pub async fn aliases(place: Place) -> Outcome {
    let mut set_up = usual(&place, "a");
    set_up.set_topic_alias_max(Some(2));
    let mut client = connect(set_up, true).await?;
    client.subscribe(place.topic("+"), 1).await?;
    let alias = PublishProperties {
        topic_alias: Some(1),
        ..Default::default()
    };
    for topic in [place.topic("t"), String::new()] {
        client
            .inner
            .publish_with_properties(topic, QoS::AtLeastOnce, false, "x", alias.clone())
            .await?;
        client.complete(1).await?;
    }
    let found = client.take(2).await?;
    ensure!(found[0].topic == place.topic("t"), "{}", found[0].topic);
    Ok(())
}

pub async fn will_delay(place: Place) -> Outcome {
    let mut watcher = Client::new(&place, "watcher").await?;
    watcher.subscribe(place.topic("will"), 1).await?;
    let late = LastWillProperties {
        delay_interval: Some(1),
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: Some("x/y".into()),
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    let will = LastWill::new(
        place.topic("will"),
        "gone",
        QoS::AtLeastOnce,
        false,
        Some(late),
    );
    let mut set_up = usual(&place, "client");
    set_up.set_last_will(will);
    drop(connect(set_up, false).await?);
    watcher.take(0).await?;
    let message = watcher.take(1).await?;
    let content_type = message[0].properties.content_type.as_deref();
    ensure!(content_type == Some("x/y"), "{content_type:?}");
    Ok(())
}
