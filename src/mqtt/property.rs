//! Version 5 properties (MQTT 5 section 2.2.2) as a list in the order of the wire.

/// One property. The order of the wire is kept, which user properties need [MQTT-3.3.2-18].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the specification's, section 2.2.2.2")]
pub enum Property<'a> {
    PayloadFormatIndicator(u8),
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionIdentifier(u32),
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(u8),
    WillDelayInterval(u32),
    RequestResponseInformation(u8),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    MaximumQoS(u8),
    RetainAvailable(u8),
    UserProperty(&'a str, &'a str),
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(u8),
    SubscriptionIdentifierAvailable(u8),
    SharedSubscriptionAvailable(u8),
}

/// The properties of one packet, in the order of the wire. Empty costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a>(pub Vec<Property<'a>>);

/// Defines a getter that returns the first property of one kind.
macro_rules! getter {
    ($($name:ident: $variant:ident -> $type:ty),+ $(,)?) => {
        $(
            #[doc = concat!("The value of `", stringify!($variant), "`, if present.")]
            pub fn $name(&self) -> Option<$type> {
                self.0.iter().find_map(|p| match p {
                    Property::$variant(value) => Some(*value),
                    _ => None,
                })
            }
        )+
    };
}

impl<'a> Properties<'a> {
    getter! {
        message_expiry: MessageExpiryInterval -> u32,
        session_expiry: SessionExpiryInterval -> u32,
        subscription_identifier: SubscriptionIdentifier -> u32,
        assigned_client_identifier: AssignedClientIdentifier -> &'a str,
        server_keep_alive: ServerKeepAlive -> u16,
        authentication_method: AuthenticationMethod -> &'a str,
        request_problem_information: RequestProblemInformation -> u8,
        will_delay: WillDelayInterval -> u32,
        reason_string: ReasonString -> &'a str,
        receive_maximum: ReceiveMaximum -> u16,
        topic_alias_maximum: TopicAliasMaximum -> u16,
        topic_alias: TopicAlias -> u16,
        maximum_packet_size: MaximumPacketSize -> u32,
        response_topic: ResponseTopic -> &'a str,
        content_type: ContentType -> &'a str,
    }

    /// Adds a property.
    pub fn push(&mut self, property: Property<'a>) {
        self.0.push(property);
    }

    /// Iterates in the order of the wire.
    pub fn iter(&self) -> impl Iterator<Item = &Property<'a>> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<Property<'a>> for Properties<'a> {
    fn from_iter<T: IntoIterator<Item = Property<'a>>>(iter: T) -> Self {
        Properties(iter.into_iter().collect())
    }
}
