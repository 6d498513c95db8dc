//! Which MQTT a connection speaks, and the qualities of service.
//!
//! Invariant: the order of versions and of qualities is that of their numbers.

/// The protocol version, which a CONNECT brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V3,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V4,
    /// MQTT 5: protocol name `MQTT`, level 5.
    V5,
}

impl Version {
    /// The protocol level in CONNECT.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V3 => 3,
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }

    /// The protocol name in CONNECT.
    #[must_use]
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Self::V3 => "MQIsdp",
            Self::V4 | Self::V5 => "MQTT",
        }
    }

    /// Whether packets have properties and reason codes.
    #[must_use]
    pub const fn is_5(self) -> bool {
        matches!(self, Self::V5)
    }
}

/// Quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// 0: at most once, not acknowledged.
    #[default]
    AtMostOnce = 0,
    /// 1: at least once, PUBACK.
    AtLeastOnce = 1,
    /// 2: exactly once, PUBREC, PUBREL and PUBCOMP.
    ExactlyOnce = 2,
}

impl Qos {
    /// The quality with this number; 3 and above have none.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}
