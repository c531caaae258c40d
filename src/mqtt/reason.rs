//! Reason codes (MQTT 5 section 2.4) and their 3.x counterparts.

/// Defines the reason code table: name, value, and the words a person reads.
macro_rules! reason_codes {
    ($($name:ident = $value:literal, $text:literal;)+) => {
        /// A version 5 reason code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $(#[doc = $text] $name = $value,)+
        }

        impl ReasonCode {
            /// Every code of the specification.
            pub const ALL: &'static [ReasonCode] = &[$(ReasonCode::$name,)+];

            /// The code of a byte; `None` if the specification has no such code.
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($value => Some(ReasonCode::$name),)+
                    _ => None,
                }
            }

            /// The specification's words.
            pub fn text(self) -> &'static str {
                match self {
                    $(ReasonCode::$name => $text,)+
                }
            }
        }
    };
}

reason_codes! {
    Success = 0x00, "Success";
    GrantedQoS1 = 0x01, "Granted QoS 1";
    GrantedQoS2 = 0x02, "Granted QoS 2";
    DisconnectWithWill = 0x04, "Disconnect with will message";
    NoMatchingSubscribers = 0x10, "No matching subscribers";
    NoSubscriptionExisted = 0x11, "No subscription existed";
    ContinueAuthentication = 0x18, "Continue authentication";
    ReAuthenticate = 0x19, "Re-authenticate";
    UnspecifiedError = 0x80, "Unspecified error";
    MalformedPacket = 0x81, "Malformed packet";
    ProtocolError = 0x82, "Protocol error";
    ImplementationSpecificError = 0x83, "Implementation specific error";
    UnsupportedProtocolVersion = 0x84, "Unsupported protocol version";
    ClientIdentifierNotValid = 0x85, "Client identifier not valid";
    BadUserNameOrPassword = 0x86, "Bad user name or password";
    NotAuthorized = 0x87, "Not authorized";
    ServerUnavailable = 0x88, "Server unavailable";
    ServerBusy = 0x89, "Server busy";
    Banned = 0x8A, "Banned";
    ServerShuttingDown = 0x8B, "Server shutting down";
    BadAuthenticationMethod = 0x8C, "Bad authentication method";
    KeepAliveTimeout = 0x8D, "Keep alive timeout";
    SessionTakenOver = 0x8E, "Session taken over";
    TopicFilterInvalid = 0x8F, "Topic filter invalid";
    TopicNameInvalid = 0x90, "Topic name invalid";
    PacketIdentifierInUse = 0x91, "Packet identifier in use";
    PacketIdentifierNotFound = 0x92, "Packet identifier not found";
    ReceiveMaximumExceeded = 0x93, "Receive maximum exceeded";
    TopicAliasInvalid = 0x94, "Topic alias invalid";
    PacketTooLarge = 0x95, "Packet too large";
    MessageRateTooHigh = 0x96, "Message rate too high";
    QuotaExceeded = 0x97, "Quota exceeded";
    AdministrativeAction = 0x98, "Administrative action";
    PayloadFormatInvalid = 0x99, "Payload format invalid";
    RetainNotSupported = 0x9A, "Retain not supported";
    QoSNotSupported = 0x9B, "QoS not supported";
    UseAnotherServer = 0x9C, "Use another server";
    ServerMoved = 0x9D, "Server moved";
    SharedSubscriptionsNotSupported = 0x9E, "Shared subscriptions not supported";
    ConnectionRateExceeded = 0x9F, "Connection rate exceeded";
    MaximumConnectTime = 0xA0, "Maximum connect time";
    SubscriptionIdentifiersNotSupported = 0xA1, "Subscription identifiers not supported";
    WildcardSubscriptionsNotSupported = 0xA2, "Wildcard subscriptions not supported";
}

impl ReasonCode {
    /// Whether it tells of a failure (0x80 and above).
    pub fn is_failure(self) -> bool {
        self as u8 >= 0x80
    }

    /// The code that grants a subscription at `qos`.
    pub fn granted(qos: super::QoS) -> Self {
        match qos {
            super::QoS::AtMostOnce => ReasonCode::Success,
            super::QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
            super::QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
        }
    }

    /// The CONNACK return code of 3.1 and 3.1.1 (section 3.2.2.3) that says the same, or the nearest.
    pub fn to_connack_v3(self) -> u8 {
        match self {
            ReasonCode::Success => 0,
            ReasonCode::UnsupportedProtocolVersion => 1,
            ReasonCode::ClientIdentifierNotValid => 2,
            ReasonCode::BadUserNameOrPassword => 4,
            ReasonCode::NotAuthorized | ReasonCode::Banned | ReasonCode::BadAuthenticationMethod => 5,
            _ => 3,
        }
    }

    /// The reason of a 3.x CONNACK return code; `None` for a reserved one.
    pub fn from_connack_v3(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => ReasonCode::Success,
            1 => ReasonCode::UnsupportedProtocolVersion,
            2 => ReasonCode::ClientIdentifierNotValid,
            3 => ReasonCode::ServerUnavailable,
            4 => ReasonCode::BadUserNameOrPassword,
            5 => ReasonCode::NotAuthorized,
            _ => return None,
        })
    }
}

impl std::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (0x{:02X})", self.text(), *self as u8)
    }
}
