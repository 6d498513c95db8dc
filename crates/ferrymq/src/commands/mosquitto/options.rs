//! Mosquitto's options that are about no listener, and what they are here.

use super::lines::Line;
use super::settings::Settings;

/// What an option is here.
enum Means {
    /// A setting, with the number that stands for no limit there and the bounds here.
    Number(&'static str, Unlimited, std::ops::RangeInclusive<u64>),
    /// A time in seconds.
    Time(&'static str),
    /// Nothing has to be done for it.
    Nothing,
    /// It is not offered, or otherwise: what to do.
    Other(&'static str),
}

/// What 0 is.
enum Unlimited {
    /// No limit there: this number here.
    Is(u64),
    /// No limit there, and the default here.
    Default,
}

const BRIDGE: &str = "bridges to other brokers are not offered";
const BACK_ENDS: &str = "plug-ins are not offered: `auth_backends` asks an HTTP service or takes \
                         tokens";
const PSK: &str = "keys that are shared beforehand are not offered: use certificates";

/// Options of a bridge, which stand behind a line `connection`.
const OF_BRIDGES: &[&str] = &[
    "connection",
    "address",
    "addresses",
    "topic",
    "cleansession",
    "clientid",
    "remote_clientid",
    "remote_username",
    "remote_password",
    "username",
    "password",
    "local_clientid",
    "local_username",
    "local_password",
    "local_cleansession",
    "notifications",
    "notifications_local_only",
    "notification_topic",
    "keepalive_interval",
    "start_type",
    "restart_timeout",
    "idle_timeout",
    "threshold",
    "try_private",
    "round_robin",
];

fn means(word: &str) -> Means {
    use Means::{Nothing, Number, Other, Time};
    match word {
        "max_inflight_messages" => Number("mqtt_inflight_max", Unlimited::Is(65_535), 1..=65_535),
        "max_topic_alias" => Number("mqtt_topic_alias_max", Unlimited::Is(0), 0..=65_535),
        "max_packet_size" => Number(
            "mqtt_packet_bytes_max",
            Unlimited::Is(268_435_460),
            1_024..=268_435_460,
        ),
        "message_size_limit" => Number("message_bytes_max", Unlimited::Default, 1..=512 << 20),
        "memory_limit" => Number("memory_high", Unlimited::Default, 1 << 20..=1 << 50),
        "persistent_client_expiration" => Time("mqtt_session_expiry_max_s"),
        "pid_file"
        | "user"
        | "autosave_interval"
        | "autosave_on_changes"
        | "set_tcp_nodelay"
        | "connection_messages"
        | "log_timestamp"
        | "log_timestamp_format"
        | "log_facility"
        | "websockets_log_level"
        | "websockets_headers_size"
        | "allow_duplicate_messages"
        | "persistence_file" => Nothing,
        "max_queued_messages" | "max_queued_bytes" => Other(
            "a policy says it: `ferrymq policies set sessions ^mqtt-subscription- \
             max-length=N --apply-to queues`, or max-length-bytes",
        ),
        "queue_qos0_messages" => Other("messages of QoS 0 wait for sessions like others"),
        "max_connections" => Other("`ferrymq limits` sets it for a virtual host or a user"),
        "persistence_location" => Other(
            "`data_dir` is for that; what is stored there is not read: sessions and retained \
                   messages begin anew",
        ),
        "log_dest" => Other("the log goes to standard error"),
        "log_type" => Other("`log` says how much is logged"),
        "tls_version" => Other("`tls_version_min` is `1.2` or `1.3`"),
        "ciphers" | "ciphers_tls1.3" | "dhparamfile" => Other("none but strong ones are spoken"),
        "crlfile" => Other("lists of revoked certificates are not offered"),
        "capath" => Other("`tls_client_ca` is one file: put the authorities into it"),
        "plugin" | "auth_plugin" | "auth_plugin_deny_special_chars" => Other(BACK_ENDS),
        "psk_file" | "psk_hint" => Other(PSK),
        "mount_point" => Other("`mqtt_port_vhosts` gives a listener a virtual host of its own"),
        word if OF_BRIDGES.contains(&word) || word.starts_with("bridge_") => Other(BRIDGE),
        word if word.starts_with("plugin_opt_") || word.starts_with("auth_opt_") => {
            Other(BACK_ENDS)
        }
        _ => Other("it has no equivalent"),
    }
}

/// Takes a line about anything but listeners, users and rights.
pub(super) fn take(line: &Line, settings: &mut Settings) {
    let note = |why: &str| format!("{}: `{}`: {why}", line.place, line.text());
    // What is so anyway.
    let default = [
        ("persistence", "true"),
        ("retain_available", "true"),
        ("max_qos", "2"),
        ("upgrade_outgoing_qos", "false"),
        ("allow_zero_length_clientid", "true"),
        ("check_retain_source", "true"),
        ("per_listener_settings", "false"),
        ("use_username_as_clientid", "false"),
    ];
    if default.contains(&(line.word.as_str(), line.rest.as_str())) {
        return;
    }
    let refused = match means(&line.word) {
        Means::Nothing => None,
        Means::Other(why) => Some(why.to_owned()),
        Means::Number(key, unlimited, bounds) => match (line.rest.parse::<u64>(), unlimited) {
            (Err(_), _) => Some("it is not a number: left out".to_owned()),
            (Ok(0), Unlimited::Default) => Some(format!("`{key}` has a limit always")),
            (Ok(0), Unlimited::Is(number)) => {
                settings.set_number(key, number);
                None
            }
            (Ok(number), _) => {
                let taken = number.clamp(*bounds.start(), *bounds.end());
                settings.set_number(key, taken);
                (taken != number).then(|| format!("`{key}` is {taken}, the nearest there is"))
            }
        },
        Means::Time(key) => match seconds(&line.rest) {
            Some(seconds) => {
                settings.set_number(key, seconds);
                None
            }
            None => Some("it is not a time such as 14d: left out".to_owned()),
        },
    };
    if let Some(why) = refused {
        settings.note(note(&why));
    }
}

/// Seconds of a time such as `2m`; Mosquitto's months have 30 days.
fn seconds(text: &str) -> Option<u64> {
    const HOUR: u64 = 60 * 60;
    let unit = text.chars().last()?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 24 * 7,
        'm' => 24 * 30,
        'y' => 24 * 365,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].trim().parse().ok()?;
    let seconds = number.checked_mul(hours * HOUR)?;
    Some(seconds.min(u64::from(u32::MAX) - 1))
}
