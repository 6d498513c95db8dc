//! The configuration: settings as text become values that fit together.
//!
//! Invariants
//! - Every value was checked; an error says where the text stands and what would be right.

use std::net::SocketAddr;
use std::path::PathBuf;

use ferry_broker::{PASSPORT_BYTES_DEFAULT, SyncPolicy};
use ferry_gateway::GatewayConfig;
use tracing_subscriber::EnvFilter;

use crate::logging::LogFormat;
use crate::mqtt::mqtt;
use crate::security::Security;
use crate::settings::{Setting, SettingError, Settings};
use crate::size;

const DATA_DIR_DEFAULT: &str = "./ferrymq-data";
const AMQP_DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 5672);
const HTTP_DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 15672);
const PROMETHEUS_DEFAULT: ([u8; 4], u16) = ([127, 0, 0, 1], 15692);
const MEMORY_FRACTION_DEFAULT: f64 = 0.4;
const LOG_DEFAULT: &str = "info";

const WORKERS_MAX: usize = 1024;
/// Less than this leaves no room for a single message and the queues around it.
const MEMORY_BYTES_MIN: u64 = 1 << 20;
const FRAME_BYTES: std::ops::RangeInclusive<u64> = 4096..=1 << 30;
const MESSAGE_BYTES: std::ops::RangeInclusive<u64> = 1..=512 << 20;
const OUTBOX_BYTES: std::ops::RangeInclusive<u64> = 4096..=1 << 30;
const PASSPORT_BYTES: std::ops::RangeInclusive<u64> = 0..=1 << 40;

/// When publishers wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MemoryHigh {
    Bytes(u64),
    /// Of the memory that may be used.
    Fraction(f64),
}

/// How a node runs.
#[derive(Debug)]
pub(crate) struct Config {
    pub data_dir: PathBuf,
    pub http: Option<SocketAddr>,
    /// Where metrics and health are, and nothing else.
    pub prometheus: Option<SocketAddr>,
    pub sync: SyncPolicy,
    pub memory_high: MemoryHigh,
    pub passport_bytes: u64,
    /// Where spans go.
    #[cfg(feature = "otel")]
    pub otel_endpoint: Option<crate::otel::Endpoint>,
    pub workers: usize,
    pub log: String,
    pub log_format: LogFormat,
    /// The doors, with the addresses for AMQP.
    pub gateway: GatewayConfig,
    /// TLS, proxies and log-ins.
    pub security: Security,
}

impl Config {
    pub fn new(settings: &Settings) -> Result<Config, SettingError> {
        let default = GatewayConfig::default();
        let sized = |key, range| value(settings, key, |text| bytes(text, range));
        let security = Security::new(settings)?;
        let gateway = GatewayConfig {
            amqp: amqp(settings)?,
            mqtt: mqtt(settings, security.tls.is_some())?,
            frame_bytes_max: sized("frame_bytes_max", FRAME_BYTES)?
                .map_or(default.frame_bytes_max, |bytes| bytes as u32),
            channel_max: value(settings, "channel_max", number)?.unwrap_or(default.channel_max),
            heartbeat_s: value(settings, "heartbeat_s", number)?.unwrap_or(default.heartbeat_s),
            message_bytes_max: sized("message_bytes_max", MESSAGE_BYTES)?
                .unwrap_or(default.message_bytes_max),
            outbox_bytes_max: sized("outbox_bytes_max", OUTBOX_BYTES)?
                .map_or(default.outbox_bytes_max, |bytes| bytes as usize),
            ..default
        };
        #[cfg(not(feature = "otel"))]
        value(settings, "otel_endpoint", no_otel)?;
        let address_of = |key| value(settings, key, address);
        let config = Config {
            data_dir: value(settings, "data_dir", data_dir)?
                .unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT)),
            http: address_of("http")?.unwrap_or_else(|| Some(SocketAddr::from(HTTP_DEFAULT))),
            prometheus: address_of("prometheus")?
                .unwrap_or_else(|| Some(SocketAddr::from(PROMETHEUS_DEFAULT))),
            sync: value(settings, "sync", sync)?.unwrap_or_default(),
            memory_high: value(settings, "memory_high", memory_high)?
                .unwrap_or(MemoryHigh::Fraction(MEMORY_FRACTION_DEFAULT)),
            passport_bytes: sized("passport_bytes", PASSPORT_BYTES)?
                .unwrap_or(PASSPORT_BYTES_DEFAULT),
            #[cfg(feature = "otel")]
            otel_endpoint: value(settings, "otel_endpoint", otel_endpoint)?.flatten(),
            workers: value(settings, "workers", workers)?.unwrap_or_else(processors),
            log: value(settings, "log", log)?.unwrap_or_else(|| LOG_DEFAULT.to_owned()),
            log_format: value(settings, "log_format", log_format)?.unwrap_or_default(),
            gateway,
            security,
        };
        let gateway_closed = config.gateway.amqp.is_empty() && config.gateway.mqtt.is_closed();
        if gateway_closed && config.http.is_none() && config.security.is_closed() {
            let origin = "amqp, http and mqtt".to_owned();
            let why = "all are off: the node would listen on nothing".to_owned();
            return Err(SettingError::Wrong { origin, why });
        }
        Ok(config)
    }
}

/// Threads that run at the same time on this machine.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A setting with a single value, if it is set.
pub(crate) fn value<T>(
    settings: &Settings,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, SettingError> {
    let Some(setting) = settings.get(key) else {
        return Ok(None);
    };
    match setting.texts.as_slice() {
        [text] => parse(text).map(Some).map_err(|why| setting.wrong(why)),
        texts => Err(setting.wrong(format!("takes one value, not {}", texts.len()))),
    }
}

fn amqp(settings: &Settings) -> Result<Vec<SocketAddr>, SettingError> {
    match addresses(settings, "amqp")? {
        Some(addresses) => Ok(addresses),
        None => Ok(vec![SocketAddr::from(AMQP_DEFAULT)]),
    }
}

/// A setting with several addresses, or `off`, if it is set.
pub(crate) fn addresses(
    settings: &Settings,
    key: &str,
) -> Result<Option<Vec<SocketAddr>>, SettingError> {
    let Some(setting) = settings.get(key) else {
        return Ok(None);
    };
    let parse = |text: &String| address(text).map_err(|why| setting.wrong(why));
    let addresses: Vec<_> = setting.texts.iter().map(parse).collect::<Result<_, _>>()?;
    check_amqp(setting, &addresses)?;
    Ok(Some(addresses.into_iter().flatten().collect()))
}

fn check_amqp(setting: &Setting, addresses: &[Option<SocketAddr>]) -> Result<(), SettingError> {
    if addresses.is_empty() {
        return Err(setting.wrong("the list is empty; `off` is how to listen on nothing"));
    }
    if addresses.len() > 1 && addresses.contains(&None) {
        return Err(setting.wrong("`off` stands alone, not beside addresses"));
    }
    Ok(())
}

/// `off`, or an address; `localhost` is this machine's IPv4 address for itself.
pub(crate) fn address(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    let local = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    let parsed = local.as_deref().unwrap_or(text).parse();
    parsed.map(Some).map_err(|_| {
        format!("`{text}` is not an address such as 127.0.0.1:5672, [::1]:5672 or 0.0.0.0:5672")
    })
}

fn data_dir(text: &str) -> Result<PathBuf, String> {
    match text.is_empty() {
        true => Err("the name of the directory is empty".to_owned()),
        false => Ok(PathBuf::from(text)),
    }
}

fn sync(text: &str) -> Result<SyncPolicy, String> {
    let why = || format!("`{text}` is not sync, written or memory");
    SyncPolicy::from_name(text).ok_or_else(why)
}

fn memory_high(text: &str) -> Result<MemoryHigh, String> {
    if let Ok(fraction) = text.parse::<f64>()
        && fraction > 0.0
        && fraction <= 1.0
        && text != "1"
    {
        return Ok(MemoryHigh::Fraction(fraction));
    }
    match size::parse(text) {
        Some(bytes) if bytes >= MEMORY_BYTES_MIN => Ok(MemoryHigh::Bytes(bytes)),
        Some(_) => Err(format!(
            "`{text}` is under the least, {}",
            size::show(MEMORY_BYTES_MIN)
        )),
        None => Err(format!(
            "`{text}` is neither bytes such as 512MiB nor a fraction such as 0.4"
        )),
    }
}

/// `off`, or the URL of a collector.
#[cfg(feature = "otel")]
fn otel_endpoint(text: &str) -> Result<Option<crate::otel::Endpoint>, String> {
    if text == "off" {
        return Ok(None);
    }
    let why =
        || format!("`{text}` is not a URL such as http://127.0.0.1:4318; https is not offered");
    crate::otel::Endpoint::parse(text).map(Some).ok_or_else(why)
}

#[cfg(not(feature = "otel"))]
fn no_otel(text: &str) -> Result<(), String> {
    match text {
        "off" => Ok(()),
        _ => Err("this build has no OpenTelemetry: build it with the feature otel".to_owned()),
    }
}

fn workers(text: &str) -> Result<usize, String> {
    let why = || format!("`{text}` is not a number from 1 to {WORKERS_MAX}");
    let fits = |count: &usize| (1..=WORKERS_MAX).contains(count);
    text.parse().ok().filter(fits).ok_or_else(why)
}

fn number(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number from 0 to {}", u16::MAX))
}

pub(crate) fn bytes(text: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let (least, most) = (size::show(*range.start()), size::show(*range.end()));
    let why = || format!("`{text}` is not a size from {least} to {most}");
    size::parse(text)
        .filter(|bytes| range.contains(bytes))
        .ok_or_else(why)
}

fn log(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` is neither a level such as info nor a list such as \
                          info,ferry_gateway=debug"
        )),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    let why = || format!("`{text}` is not text or json");
    LogFormat::from_name(text).ok_or_else(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&'static str, &str)]) -> Result<Config, String> {
        let mut settings = Settings::default();
        for (key, text) in pairs {
            let texts = text.split_whitespace().map(str::to_owned).collect();
            settings.set(key, format!("--{key}"), texts);
        }
        Config::new(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn without_settings_a_node_serves_this_machine() {
        let config = with(&[]).unwrap();
        assert_eq!(config.data_dir, PathBuf::from("./ferrymq-data"));
        assert_eq!(config.gateway.amqp, ["127.0.0.1:5672".parse().unwrap()]);
        assert_eq!(config.http, Some("127.0.0.1:15672".parse().unwrap()));
        assert_eq!(config.prometheus, Some("127.0.0.1:15692".parse().unwrap()));
        assert_eq!(config.log_format, LogFormat::Text);
        assert_eq!(config.sync, SyncPolicy::Sync);
        assert_eq!(config.memory_high, MemoryHigh::Fraction(0.4));
        assert_eq!(
            (config.workers, config.log.as_str()),
            (processors(), "info")
        );
        assert_eq!(
            (config.gateway.channel_max, config.gateway.heartbeat_s),
            (2047, 60)
        );
    }

    #[test]
    fn addresses_are_read() {
        let amqp = |text| with(&[("amqp", text)]).map(|config| config.gateway.amqp);
        let addresses = |texts: &[&str]| {
            Ok(texts
                .iter()
                .map(|text| text.parse::<SocketAddr>().unwrap())
                .collect::<Vec<_>>())
        };
        assert_eq!(
            amqp("[::1]:1 0.0.0.0:2"),
            addresses(&["[::1]:1", "0.0.0.0:2"])
        );
        assert_eq!(amqp("localhost:0"), addresses(&["127.0.0.1:0"]));
        assert_eq!(amqp("off"), addresses(&[]));
        for wrong in [
            "5672",
            "127.0.0.1",
            "host:1",
            "127.0.0.1:65536",
            "OFF",
            "off 0.0.0.0:1",
            "",
        ] {
            assert!(amqp(wrong).is_err(), "{wrong}");
        }
        assert_eq!(with(&[("http", "off")]).unwrap().http, None);
        assert_eq!(with(&[("prometheus", "off")]).unwrap().prometheus, None);
        assert!(
            with(&[("http", "off"), ("amqp", "off"), ("mqtt", "off")])
                .unwrap_err()
                .contains("all are off")
        );
        assert!(
            with(&[("http", "[::1]:1 [::1]:2")])
                .unwrap_err()
                .contains("takes one value")
        );
    }

    #[test]
    fn memory_is_bytes_or_a_fraction() {
        let high = |text| {
            with(&[("memory_high", text)])
                .map(|config| config.memory_high)
                .ok()
        };
        for (text, expected) in [
            ("0.4", Some(MemoryHigh::Fraction(0.4))),
            ("1.0", Some(MemoryHigh::Fraction(1.0))),
            ("512MiB", Some(MemoryHigh::Bytes(512 << 20))),
            ("1048576", Some(MemoryHigh::Bytes(1 << 20))),
            ("1", None),
            ("0", None),
            ("0.0", None),
            ("1.5", None),
            ("-0.4", None),
            ("nan", None),
            ("lots", None),
        ] {
            assert_eq!(high(text), expected, "{text}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_its_place() {
        for (key, text, part) in [
            ("sync", "always", "`always` is not sync, written or memory"),
            ("workers", "0", "`0` is not a number from 1 to 1024"),
            (
                "channel_max",
                "65536",
                "`65536` is not a number from 0 to 65535",
            ),
            ("heartbeat_s", "1s", "`1s` is not a number"),
            (
                "frame_bytes_max",
                "4095",
                "`4095` is not a size from 4.0 KiB to 1.0 GiB",
            ),
            (
                "message_bytes_max",
                "1GiB",
                "`1GiB` is not a size from 1 B to 512.0 MiB",
            ),
            ("outbox_bytes_max", "1k", "`1k` is not a size from 4.0 KiB"),
            ("log", "loud=very", "`loud=very` is neither a level"),
            ("mqtt", "x", "`x` is not an address"),
            ("prometheus", "15692", "`15692` is not an address"),
            ("log_format", "xml", "`xml` is not text or json"),
        ] {
            let error = with(&[(key, text)]).unwrap_err();
            assert!(
                error.starts_with(&format!("--{key}: ")) && error.contains(part),
                "{error}"
            );
        }
        let config = with(&[("workers", "3"), ("frame_bytes_max", "8k")]).unwrap();
        assert_eq!((config.workers, config.gateway.frame_bytes_max), (3, 8192));
    }
}
