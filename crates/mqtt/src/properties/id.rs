//! Which properties there are, what their values look like, and where they may be.
//!
//! Invariant: ids are below 64, so that a set of them is the bits of a `u64`.

/// The packet, or the will in a CONNECT, that a block is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum For {
    /// CONNECT.
    Connect,
    /// The will in a CONNECT.
    Will,
    /// CONNACK.
    Connack,
    /// PUBLISH from a client to a server.
    Publish,
    /// PUBLISH from a server to a client.
    Delivery,
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    PublishAck,
    /// SUBSCRIBE.
    Subscribe,
    /// SUBACK or UNSUBACK.
    SubscribeAck,
    /// UNSUBSCRIBE.
    Unsubscribe,
    /// DISCONNECT from a client to a server.
    Disconnect,
    /// DISCONNECT from a server to a client.
    ServerDisconnect,
    /// AUTH.
    Auth,
}

impl For {
    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A byte that is 0 or 1.
    Flag,
    /// A byte that is 0 or 1 and that the specification calls a number.
    Byte,
    Two,
    Four,
    Varint,
    Text,
    Blob,
    Pair,
}

const CONNECT: u16 = For::Connect.bit();
const WILL: u16 = For::Will.bit();
const CONNACK: u16 = For::Connack.bit();
const DELIVERY: u16 = For::Delivery.bit();
const PUBLISH: u16 = For::Publish.bit() | DELIVERY;
const MESSAGE: u16 = PUBLISH | WILL;
const SUBSCRIBE: u16 = For::Subscribe.bit();
const CLIENT_DISCONNECT: u16 = For::Disconnect.bit();
const SERVER_DISCONNECT: u16 = For::ServerDisconnect.bit();
const DISCONNECT: u16 = CLIENT_DISCONNECT | SERVER_DISCONNECT;
const AUTH: u16 = For::Auth.bit();
const ACKS: u16 = CONNACK | For::PublishAck.bit() | For::SubscribeAck.bit() | DISCONNECT | AUTH;
const ALL: u16 = u16::MAX;

macro_rules! properties {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $shape:ident, $places:expr;)+) => {
        /// A property's id.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $($(#[doc = $doc])+ $name = $id,)+
        }

        impl PropertyId {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The property with this number.
            #[inline]
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($id => Some(Self::$name),)+
                    _ => None,
                }
            }

            #[inline]
            pub(crate) const fn shape(self) -> Shape {
                match self {
                    $(Self::$name => Shape::$shape,)+
                }
            }

            const fn places(self) -> u16 {
                match self {
                    $(Self::$name => $places,)+
                }
            }
        }
    };
}

properties! {
    /// Whether the payload is UTF-8.
    PayloadFormatIndicator = 0x01, Flag, MESSAGE;
    /// Seconds until the message is of no use.
    MessageExpiryInterval = 0x02, Four, MESSAGE;
    /// What the payload is.
    ContentType = 0x03, Text, MESSAGE;
    /// The topic for an answer.
    ResponseTopic = 0x08, Text, MESSAGE;
    /// What tells answers apart.
    CorrelationData = 0x09, Blob, MESSAGE;
    /// A number that a subscription gives to what it lets through.
    SubscriptionIdentifier = 0x0B, Varint, DELIVERY | SUBSCRIBE;
    /// Seconds that the session outlives the connection.
    SessionExpiryInterval = 0x11, Four, CONNECT | CONNACK | CLIENT_DISCONNECT;
    /// The client id that the server chose.
    AssignedClientIdentifier = 0x12, Text, CONNACK;
    /// The keep-alive that the server wants.
    ServerKeepAlive = 0x13, Two, CONNACK;
    /// Name of the authentication method.
    AuthenticationMethod = 0x15, Text, CONNECT | CONNACK | AUTH;
    /// What the method says.
    AuthenticationData = 0x16, Blob, CONNECT | CONNACK | AUTH;
    /// Whether reason strings and user properties are wanted.
    RequestProblemInformation = 0x17, Flag, CONNECT;
    /// Seconds from the connection's end to the will.
    WillDelayInterval = 0x18, Four, WILL;
    /// Whether response information is wanted.
    RequestResponseInformation = 0x19, Flag, CONNECT;
    /// What response topics may be made of.
    ResponseInformation = 0x1A, Text, CONNACK;
    /// Another server.
    ServerReference = 0x1C, Text, CONNACK | DISCONNECT;
    /// Why, for people.
    ReasonString = 0x1F, Text, ACKS;
    /// How many messages may be under way.
    ReceiveMaximum = 0x21, Two, CONNECT | CONNACK;
    /// How many topic aliases are taken.
    TopicAliasMaximum = 0x22, Two, CONNECT | CONNACK;
    /// The number that stands for the topic.
    TopicAlias = 0x23, Two, PUBLISH;
    /// The highest quality of service.
    MaximumQos = 0x24, Byte, CONNACK;
    /// Whether messages are retained.
    RetainAvailable = 0x25, Flag, CONNACK;
    /// A name and a value of the application's.
    UserProperty = 0x26, Pair, ALL;
    /// Largest packet that is taken.
    MaximumPacketSize = 0x27, Four, CONNECT | CONNACK;
    /// Whether filters may have wildcards.
    WildcardSubscriptionAvailable = 0x28, Flag, CONNACK;
    /// Whether subscriptions may have identifiers.
    SubscriptionIdentifierAvailable = 0x29, Flag, CONNACK;
    /// Whether subscriptions may be shared.
    SharedSubscriptionAvailable = 0x2A, Flag, CONNACK;
}

impl PropertyId {
    /// Its bit in a set.
    #[inline]
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// Whether it may be in such a packet.
    #[must_use]
    pub const fn is_allowed(self, place: For) -> bool {
        self.places() & place.bit() != 0
    }

    /// Whether it may be there more than once.
    #[must_use]
    pub const fn may_repeat(self, place: For) -> bool {
        match self {
            Self::UserProperty => true,
            Self::SubscriptionIdentifier => matches!(place, For::Delivery),
            _ => false,
        }
    }
}
