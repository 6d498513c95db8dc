//! The flags of MQTT and WebSocket.

use clap::Args;

use crate::settings::Settings;

#[derive(Debug, Default, Args)]
pub(super) struct MqttArgs {
    /// Address for MQTT, or off; may be given several times [default: 127.0.0.1:1883]
    #[arg(long, value_name = "ADDR|off")]
    mqtt: Vec<String>,
    /// Address for MQTT over TLS, or off; may be given several times [default: off]
    #[arg(long, value_name = "ADDR|off")]
    mqtts: Vec<String>,
    /// Address for WebSocket besides the one for HTTP, or off; may be given several times
    /// [default: off]
    #[arg(long, value_name = "ADDR|off")]
    websocket: Vec<String>,
    /// The same with TLS [default: off]
    #[arg(long, value_name = "ADDR|off")]
    websockets: Vec<String>,
    /// Virtual host of MQTT clients that name none [default: /]
    #[arg(long, value_name = "NAME")]
    mqtt_vhost: Option<String>,
    /// User that MQTT clients without a user name are; else they are refused
    #[arg(long, value_name = "USER")]
    mqtt_anonymous: Option<String>,
    /// Virtual host of MQTT clients that come to a port; may be given several times
    #[arg(long, value_name = "PORT=VHOST")]
    mqtt_port_vhosts: Vec<String>,
    /// Most deliveries that an MQTT client has not answered [default: 1024]
    #[arg(long, value_name = "N")]
    mqtt_inflight_max: Option<String>,
    /// Most publishes of an MQTT client that are not answered [default: 1024]
    #[arg(long, value_name = "N")]
    mqtt_receive_max: Option<String>,
    /// Longest time that an MQTT session outlives its connection, or never [default: never]
    #[arg(long, value_name = "SECONDS|never")]
    mqtt_session_expiry_max_s: Option<String>,
    /// Largest MQTT packet that is accepted [default: 16MiB]
    #[arg(long, value_name = "BYTES")]
    mqtt_packet_bytes_max: Option<String>,
    /// Most topic aliases of an MQTT connection in each direction [default: 64]
    #[arg(long, value_name = "N")]
    mqtt_topic_alias_max: Option<String>,
    /// Longest keep-alive of MQTT 5 clients, which are told so; 0 for no limit [default: 0]
    #[arg(long, value_name = "SECONDS")]
    mqtt_keep_alive_max_s: Option<String>,
    /// Seconds between what is told on $SYS topics, 0 for nothing [default: 10]
    #[arg(long, value_name = "SECONDS")]
    mqtt_sys_interval_s: Option<String>,
}

impl MqttArgs {
    /// Puts what was given beside the other settings.
    pub(super) fn put(self, settings: &mut Settings) {
        let lists = [
            ("mqtt", self.mqtt),
            ("mqtts", self.mqtts),
            ("websocket", self.websocket),
            ("websockets", self.websockets),
            ("mqtt_port_vhosts", self.mqtt_port_vhosts),
        ];
        let single = [
            ("mqtt_vhost", self.mqtt_vhost),
            ("mqtt_anonymous", self.mqtt_anonymous),
            ("mqtt_inflight_max", self.mqtt_inflight_max),
            ("mqtt_receive_max", self.mqtt_receive_max),
            ("mqtt_session_expiry_max_s", self.mqtt_session_expiry_max_s),
            ("mqtt_packet_bytes_max", self.mqtt_packet_bytes_max),
            ("mqtt_topic_alias_max", self.mqtt_topic_alias_max),
            ("mqtt_keep_alive_max_s", self.mqtt_keep_alive_max_s),
            ("mqtt_sys_interval_s", self.mqtt_sys_interval_s),
        ];
        let single = single.map(|(key, text)| (key, Vec::from_iter(text)));
        for (key, texts) in lists.into_iter().chain(single) {
            if !texts.is_empty() {
                settings.set(key, format!("--{}", key.replace('_', "-")), texts);
            }
        }
    }
}
