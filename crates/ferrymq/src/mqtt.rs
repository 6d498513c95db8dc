//! Settings of MQTT and WebSocket: texts become values that fit together.
//!
//! Invariants
//! - Every value was checked; an error says where the text stands and what would be right.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use ferry_gateway::MqttConfig;

use crate::config::{addresses, bytes, value};
use crate::security::{list, text};
use crate::settings::{SettingError, Settings};

const MQTT_DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 1883);
/// The word for a session that no time ends.
const NEVER: &str = "never";
/// Names of users and virtual hosts have so many bytes at most.
const NAME_BYTES_MAX: usize = 255;

/// How MQTT is listened for. `has_tls` is whether there is a certificate.
pub(crate) fn mqtt(settings: &Settings, has_tls: bool) -> Result<MqttConfig, SettingError> {
    let default = MqttConfig::default();
    let sealed = |key| {
        let found = addresses(settings, key)?.unwrap_or_default();
        match settings.get(key) {
            Some(setting) if !found.is_empty() && !has_tls => {
                Err(setting.wrong("needs `tls_cert` and `tls_key`"))
            }
            _ => Ok(found),
        }
    };
    let port_vhosts = list(settings, "mqtt_port_vhosts", port_vhost)?;
    let ports: Vec<_> = port_vhosts.iter().map(|(port, _)| *port).collect();
    if let Some((_, port)) = ports
        .iter()
        .enumerate()
        .find(|(at, port)| ports[..*at].contains(port))
    {
        let setting = settings.get("mqtt_port_vhosts").expect("it has values");
        return Err(setting.wrong(format!("the port {port} stands twice")));
    }
    let number = |key, range: RangeInclusive<u16>| value(settings, key, |text| number(text, range));
    let packet =
        u64::from(*MqttConfig::PACKET_BYTES.start())..=u64::from(*MqttConfig::PACKET_BYTES.end());
    let packet = value(settings, "mqtt_packet_bytes_max", |text| {
        bytes(text, packet)
    })?;
    let expiry = value(settings, "mqtt_session_expiry_max_s", seconds)?;
    Ok(MqttConfig {
        addresses: addresses(settings, "mqtt")?
            .unwrap_or_else(|| vec![SocketAddr::from(MQTT_DEFAULT)]),
        tls_addresses: sealed("mqtts")?,
        websocket: addresses(settings, "websocket")?.unwrap_or_default(),
        websockets: sealed("websockets")?,
        vhost: value(settings, "mqtt_vhost", name)?.unwrap_or(default.vhost),
        anonymous: value(settings, "mqtt_anonymous", name)?,
        port_vhosts,
        inflight_max: number("mqtt_inflight_max", MqttConfig::INFLIGHT)?
            .unwrap_or(default.inflight_max),
        receive_max: number("mqtt_receive_max", MqttConfig::RECEIVE)?
            .unwrap_or(default.receive_max),
        session_expiry_max_s: expiry.unwrap_or(default.session_expiry_max_s),
        packet_bytes_max: packet.map_or(default.packet_bytes_max, |bytes| bytes as u32),
        topic_alias_max: number("mqtt_topic_alias_max", 0..=u16::MAX)?
            .unwrap_or(default.topic_alias_max),
        keep_alive_max_s: number("mqtt_keep_alive_max_s", 0..=u16::MAX)?
            .unwrap_or(default.keep_alive_max_s),
        sys_interval_s: number("mqtt_sys_interval_s", 0..=u16::MAX)?
            .map_or(default.sys_interval_s, u32::from),
    })
}

fn name(name: &str) -> Result<String, String> {
    match name.len() > NAME_BYTES_MAX {
        true => Err(format!("has more than {NAME_BYTES_MAX} bytes")),
        false => text(name),
    }
}

fn port_vhost(text: &str) -> Result<(u16, String), String> {
    let parts = text.split_once('=');
    let parts = parts.and_then(|(port, vhost)| {
        let port = port.trim().parse().ok().filter(|port| *port != 0)?;
        Some((port, name(vhost.trim()).ok()?))
    });
    parts.ok_or_else(|| format!("`{text}` is not a port, `=`, and a virtual host behind it"))
}

fn number(text: &str, range: RangeInclusive<u16>) -> Result<u16, String> {
    let (least, most) = (*range.start(), *range.end());
    let parsed = text.parse().ok().filter(|number| range.contains(number));
    parsed.ok_or_else(|| format!("`{text}` is not a number from {least} to {most}"))
}

fn seconds(text: &str) -> Result<u32, String> {
    if text == NEVER {
        return Ok(u32::MAX);
    }
    let most = u32::MAX - 1;
    let parsed = text.parse().ok().filter(|seconds| *seconds <= most);
    parsed.ok_or_else(|| format!("`{text}` is neither {NEVER} nor seconds from 0 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&'static str, &str)]) -> Result<MqttConfig, String> {
        let mut settings = Settings::default();
        for (key, text) in pairs {
            let texts = text.split('|').map(str::to_owned).collect();
            settings.set(key, format!("--{key}"), texts);
        }
        mqtt(&settings, false).map_err(|error| error.to_string())
    }

    #[test]
    fn without_settings_mqtt_serves_this_machine() {
        let expected = MqttConfig {
            addresses: vec!["127.0.0.1:1883".parse().unwrap()],
            ..MqttConfig::default()
        };
        assert_eq!(with(&[]).unwrap(), expected);
        assert_eq!((expected.vhost.as_str(), expected.anonymous), ("/", None));
        assert!(with(&[("mqtt", "off")]).unwrap().is_closed());
    }

    #[test]
    fn settings_are_read() {
        let config = with(&[
            ("mqtt", "0.0.0.0:1|[::1]:2"),
            ("websocket", "localhost:3"),
            ("mqtt_vhost", "devices"),
            ("mqtt_anonymous", "anyone"),
            ("mqtt_port_vhosts", "1=one|2= a=b "),
            ("mqtt_inflight_max", "1"),
            ("mqtt_receive_max", "65535"),
            ("mqtt_session_expiry_max_s", "0"),
            ("mqtt_packet_bytes_max", "1k"),
            ("mqtt_topic_alias_max", "0"),
            ("mqtt_keep_alive_max_s", "600"),
            ("mqtt_sys_interval_s", "0"),
        ]);
        let expected = MqttConfig {
            addresses: vec!["0.0.0.0:1".parse().unwrap(), "[::1]:2".parse().unwrap()],
            tls_addresses: Vec::new(),
            websocket: vec!["127.0.0.1:3".parse().unwrap()],
            vhost: "devices".to_owned(),
            anonymous: Some("anyone".to_owned()),
            port_vhosts: vec![(1, "one".to_owned()), (2, "a=b".to_owned())],
            inflight_max: 1,
            receive_max: 65535,
            session_expiry_max_s: 0,
            packet_bytes_max: 1024,
            topic_alias_max: 0,
            keep_alive_max_s: 600,
            sys_interval_s: 0,
            ..MqttConfig::default()
        };
        assert_eq!(config.unwrap(), expected);
        let never = with(&[("mqtt_session_expiry_max_s", "never")]).unwrap();
        assert_eq!(never.session_expiry_max_s, u32::MAX);
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_place() {
        let long = "x".repeat(256);
        for (key, text, part) in [
            ("mqtt", "1883", "`1883` is not an address"),
            ("mqtt", "off|127.0.0.1:1", "`off` stands alone"),
            ("mqtts", "127.0.0.1:8883", "needs `tls_cert` and `tls_key`"),
            ("websocket", "x", "`x` is not an address"),
            (
                "websockets",
                "127.0.0.1:1",
                "needs `tls_cert` and `tls_key`",
            ),
            ("mqtt_vhost", "", "is empty"),
            ("mqtt_vhost", &long, "more than 255 bytes"),
            ("mqtt_anonymous", "", "is empty"),
            ("mqtt_port_vhosts", "1883", "is not a port"),
            ("mqtt_port_vhosts", "0=v", "is not a port"),
            ("mqtt_port_vhosts", "65536=v", "is not a port"),
            ("mqtt_port_vhosts", "1883=", "is not a port"),
            ("mqtt_port_vhosts", "1=a|2=b|1=c", "the port 1 stands twice"),
            ("mqtt_inflight_max", "0", "is not a number from 1 to 65535"),
            (
                "mqtt_receive_max",
                "65536",
                "is not a number from 1 to 65535",
            ),
            (
                "mqtt_topic_alias_max",
                "-1",
                "is not a number from 0 to 65535",
            ),
            (
                "mqtt_keep_alive_max_s",
                "65536",
                "is not a number from 0 to 65535",
            ),
            (
                "mqtt_sys_interval_s",
                "never",
                "is not a number from 0 to 65535",
            ),
            (
                "mqtt_session_expiry_max_s",
                "4294967295",
                "neither never nor seconds",
            ),
            (
                "mqtt_session_expiry_max_s",
                "1h",
                "neither never nor seconds",
            ),
            (
                "mqtt_packet_bytes_max",
                "1023",
                "is not a size from 1.0 KiB to 256.0 MiB",
            ),
            ("mqtt_packet_bytes_max", "268435461", "is not a size from"),
        ] {
            let error = with(&[(key, text)]).unwrap_err();
            assert!(
                error.starts_with(&format!("--{key}: ")) && error.contains(part),
                "{error}"
            );
        }
    }
}
