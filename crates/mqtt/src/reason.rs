//! Reason codes of MQTT 5, which packets may carry them, and what MQTT 3 has instead.
//!
//! Invariant: a code has the same number in every packet; numbers that the specification names
//! twice (0: success, normal disconnection, granted quality 0) are one code here.

use crate::frame::PacketType;

macro_rules! reason_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)+) => {
        /// A reason code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[doc = $doc])+ $name = $code,)+
        }

        impl ReasonCode {
            /// The code with this number, if there is one.
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// What the specification calls it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

reason_codes! {
    /// Success; in DISCONNECT a normal one, in SUBACK quality 0 granted.
    Success = 0x00, "Success";
    /// SUBACK: quality 1 granted.
    GrantedQos1 = 0x01, "Granted QoS 1";
    /// SUBACK: quality 2 granted.
    GrantedQos2 = 0x02, "Granted QoS 2";
    /// DISCONNECT: the will is to be published.
    DisconnectWithWill = 0x04, "Disconnect with Will Message";
    /// PUBACK, PUBREC: nobody is subscribed.
    NoMatchingSubscribers = 0x10, "No matching subscribers";
    /// UNSUBACK: there was no such subscription.
    NoSubscriptionExisted = 0x11, "No subscription existed";
    /// AUTH: the next step.
    ContinueAuthentication = 0x18, "Continue authentication";
    /// AUTH of a client: once more, from the start.
    ReAuthenticate = 0x19, "Re-authenticate";
    /// No better code, or none that should be told.
    UnspecifiedError = 0x80, "Unspecified error";
    /// A packet that can not be parsed.
    MalformedPacket = 0x81, "Malformed Packet";
    /// A packet that must not be, or not here.
    ProtocolError = 0x82, "Protocol Error";
    /// Valid, and not accepted by this implementation.
    ImplementationSpecific = 0x83, "Implementation specific error";
    /// CONNACK: this protocol level is not spoken here.
    UnsupportedProtocolVersion = 0x84, "Unsupported Protocol Version";
    /// CONNACK: the client id is not accepted.
    ClientIdentifierNotValid = 0x85, "Client Identifier not valid";
    /// CONNACK: wrong user or password.
    BadUserNameOrPassword = 0x86, "Bad User Name or Password";
    /// Not allowed to do that.
    NotAuthorized = 0x87, "Not authorized";
    /// CONNACK: the server can not be used.
    ServerUnavailable = 0x88, "Server unavailable";
    /// The server is busy.
    ServerBusy = 0x89, "Server busy";
    /// CONNACK: the client is banned.
    Banned = 0x8A, "Banned";
    /// DISCONNECT: the server stops.
    ServerShuttingDown = 0x8B, "Server shutting down";
    /// CONNACK: the authentication method is not known. (One table of the specification has it for
    /// DISCONNECT, too; that of DISCONNECT has not, and clients refuse it.)
    BadAuthenticationMethod = 0x8C, "Bad authentication method";
    /// DISCONNECT: nothing came for one and a half times the keep-alive.
    KeepAliveTimeout = 0x8D, "Keep Alive timeout";
    /// DISCONNECT: another connection uses the client id.
    SessionTakenOver = 0x8E, "Session taken over";
    /// The filter is not accepted.
    TopicFilterInvalid = 0x8F, "Topic Filter invalid";
    /// The topic name is not accepted.
    TopicNameInvalid = 0x90, "Topic Name invalid";
    /// PUBACK, PUBREC, SUBACK, UNSUBACK: the packet id is in use.
    PacketIdentifierInUse = 0x91, "Packet Identifier in use";
    /// PUBREL, PUBCOMP: the packet id is not known.
    PacketIdentifierNotFound = 0x92, "Packet Identifier not found";
    /// DISCONNECT: more messages without acknowledgement than agreed.
    ReceiveMaximumExceeded = 0x93, "Receive Maximum exceeded";
    /// DISCONNECT: a topic alias that is zero, or over the maximum.
    TopicAliasInvalid = 0x94, "Topic Alias invalid";
    /// The packet is larger than agreed.
    PacketTooLarge = 0x95, "Packet too large";
    /// DISCONNECT: more came than can be taken.
    MessageRateTooHigh = 0x96, "Message rate too high";
    /// A limit of the implementation or of its administrator.
    QuotaExceeded = 0x97, "Quota exceeded";
    /// DISCONNECT: an administrator did it.
    AdministrativeAction = 0x98, "Administrative action";
    /// The payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99, "Payload format invalid";
    /// Retained messages are not supported.
    RetainNotSupported = 0x9A, "Retain not supported";
    /// The quality of service is not supported.
    QosNotSupported = 0x9B, "QoS not supported";
    /// Another server should be used, for now.
    UseAnotherServer = 0x9C, "Use another server";
    /// Another server should be used from now on.
    ServerMoved = 0x9D, "Server moved";
    /// Shared subscriptions are not supported.
    SharedSubscriptionsNotSupported = 0x9E, "Shared Subscriptions not supported";
    /// Too many connections in this time.
    ConnectionRateExceeded = 0x9F, "Connection rate exceeded";
    /// DISCONNECT: the connection has lasted as long as it may.
    MaximumConnectTime = 0xA0, "Maximum connect time";
    /// Subscription identifiers are not supported.
    SubscriptionIdentifiersNotSupported = 0xA1, "Subscription Identifiers not supported";
    /// Wildcards in filters are not supported.
    WildcardSubscriptionsNotSupported = 0xA2, "Wildcard Subscriptions not supported";
}

impl ReasonCode {
    /// Its number.
    #[inline]
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// Whether it tells of a failure: 0x80 and above.
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.byte() >= 0x80
    }

    /// Whether packets of this type may carry it. For DISCONNECT and AUTH this is what either side
    /// may send; see [`Self::is_of_client`].
    #[must_use]
    pub const fn is_of(self, packet_type: PacketType) -> bool {
        let byte = self.byte();
        match packet_type {
            PacketType::Connack => matches!(
                byte,
                0 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F
            ),
            PacketType::Puback | PacketType::Pubrec => matches!(
                byte,
                0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
            ),
            PacketType::Pubrel | PacketType::Pubcomp => matches!(byte, 0 | 0x92),
            PacketType::Suback => matches!(
                byte,
                0..=2 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2
            ),
            PacketType::Unsuback => {
                matches!(byte, 0 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91)
            }
            PacketType::Disconnect => matches!(
                byte,
                0 | 4 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x90 | 0x93..=0xA2
            ),
            PacketType::Auth => matches!(byte, 0 | 0x18 | 0x19),
            _ => false,
        }
    }

    /// Whether a client may send it in DISCONNECT or AUTH; the rest of their codes is the server's.
    #[must_use]
    pub const fn is_of_client(self, packet_type: PacketType) -> bool {
        match packet_type {
            PacketType::Disconnect => matches!(
                self.byte(),
                0 | 4 | 0x80..=0x83 | 0x90 | 0x93..=0x99
            ),
            PacketType::Auth => matches!(self.byte(), 0x18 | 0x19),
            _ => self.is_of(packet_type),
        }
    }

    /// Whether a server may send it in DISCONNECT or AUTH.
    #[must_use]
    pub const fn is_of_server(self, packet_type: PacketType) -> bool {
        let client_only = matches!(self, Self::DisconnectWithWill | Self::ReAuthenticate);
        !client_only && self.is_of(packet_type)
    }

    /// The return code of an MQTT 3 CONNACK that comes nearest. Codes that MQTT 3 has nothing for
    /// become 3, server unavailable.
    #[must_use]
    pub const fn connack_return_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized | Self::Banned | Self::BadAuthenticationMethod => 5,
            _ => 3,
        }
    }

    /// What a return code of an MQTT 3 CONNACK means; above 5 there is none.
    #[must_use]
    pub const fn from_connack_return_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Success),
            1 => Some(Self::UnsupportedProtocolVersion),
            2 => Some(Self::ClientIdentifierNotValid),
            3 => Some(Self::ServerUnavailable),
            4 => Some(Self::BadUserNameOrPassword),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }
}

impl std::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), self.byte())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_number() {
        let known = (0..=u8::MAX).filter(|byte| {
            let code = ReasonCode::from_byte(*byte);
            code.is_some_and(|code| code.byte() == *byte && !code.name().is_empty())
        });
        assert_eq!(known.count(), 43);
        assert_eq!(
            ReasonCode::QuotaExceeded.to_string(),
            "Quota exceeded (0x97)"
        );
    }

    #[test]
    fn each_packet_has_its_codes() {
        // How many codes the specification's tables have for each packet.
        for (packet_type, either, client, server) in [
            (PacketType::Connack, 22, 22, 22),
            (PacketType::Puback, 9, 9, 9),
            (PacketType::Pubrec, 9, 9, 9),
            (PacketType::Pubrel, 2, 2, 2),
            (PacketType::Pubcomp, 2, 2, 2),
            (PacketType::Suback, 12, 12, 12),
            (PacketType::Unsuback, 7, 7, 7),
            (PacketType::Disconnect, 29, 14, 28),
            (PacketType::Auth, 3, 2, 2),
            (PacketType::Publish, 0, 0, 0),
        ] {
            let codes = || (0..=u8::MAX).filter_map(ReasonCode::from_byte);
            let count = |of: fn(ReasonCode, PacketType) -> bool| {
                codes().filter(|code| of(*code, packet_type)).count()
            };
            assert_eq!(count(ReasonCode::is_of), either, "{packet_type:?}");
            assert_eq!(count(ReasonCode::is_of_client), client, "{packet_type:?}");
            assert_eq!(count(ReasonCode::is_of_server), server, "{packet_type:?}");
        }
    }

    #[test]
    fn return_codes_of_mqtt_3_go_both_ways() {
        for code in 0..=5 {
            let reason = ReasonCode::from_connack_return_code(code).unwrap();
            assert_eq!(reason.connack_return_code(), code);
        }
        assert_eq!(ReasonCode::from_connack_return_code(6), None);
        for (reason, code) in [
            (ReasonCode::QuotaExceeded, 3),
            (ReasonCode::Banned, 5),
            (ReasonCode::BadAuthenticationMethod, 5),
        ] {
            assert_eq!(reason.connack_return_code(), code, "{reason}");
        }
    }
}
