//! Our packets in the words of the other codec, which keeps properties as fields with defaults.

use std::num::{NonZeroU16, NonZeroU32};

use rmqtt_codec::types::{Protocol, Publish as TheirPublish, QoS as TheirQoS};
use rmqtt_codec::{v3, v5};
use tokio_util::bytes::Bytes;

use super::super::super::{
    Ack, Connect, Packet, Properties, Property, Publish, QoS, ReasonCode, RetainHandling, SubscribeFilter,
    Version, Will,
};

fn qos(qos: QoS) -> TheirQoS {
    match qos {
        QoS::AtMostOnce => TheirQoS::AtMostOnce,
        QoS::AtLeastOnce => TheirQoS::AtLeastOnce,
        QoS::ExactlyOnce => TheirQoS::ExactlyOnce,
    }
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The other codec refuses an empty client identifier with a session to keep, which the broker refuses here.
fn client_id_is_fit(connect: &Connect<'_>) -> bool {
    connect.clean_start || !connect.client_id.is_empty()
}

fn publish(publish: &Publish<'_>, properties: Option<v5::PublishProperties>) -> Option<Box<TheirPublish>> {
    Some(Box::new(TheirPublish {
        dup: publish.dup,
        retain: publish.retain,
        qos: qos(publish.qos),
        topic: publish.topic.into(),
        packet_id: publish.packet_id.and_then(NonZeroU16::new),
        payload: bytes(publish.payload),
        properties,
    }))
}

/// In 3.1 and 3.1.1.
pub fn v3(packet: &Packet<'_>) -> Option<v3::Packet> {
    use v3::Packet as Theirs;
    let id = NonZeroU16::new;
    Some(match packet {
        Packet::Connect(connect) => v3_connect(connect)?,
        Packet::ConnAck(connack) => Theirs::ConnectAck(v3::ConnectAck {
            return_code: connack.reason.to_connack_v3().try_into().ok()?,
            session_present: connack.session_present,
        }),
        Packet::Publish(ours) => Theirs::Publish(publish(ours, None)?),
        Packet::PubAck(ack) => Theirs::PublishAck { packet_id: id(ack.packet_id)? },
        Packet::PubRec(ack) => Theirs::PublishReceived { packet_id: id(ack.packet_id)? },
        Packet::PubRel(ack) => Theirs::PublishRelease { packet_id: id(ack.packet_id)? },
        Packet::PubComp(ack) => Theirs::PublishComplete { packet_id: id(ack.packet_id)? },
        Packet::Subscribe(subscribe) => Theirs::Subscribe {
            packet_id: id(subscribe.packet_id)?,
            topic_filters: filters(&subscribe.filters, |filter| qos(filter.options.qos))?,
        },
        Packet::SubAck(suback) => Theirs::SubscribeAck {
            packet_id: id(suback.packet_id)?,
            status: suback.reasons.iter().map(|reason| granted(*reason)).collect(),
        },
        Packet::Unsubscribe(unsubscribe) => Theirs::Unsubscribe {
            packet_id: id(unsubscribe.packet_id)?,
            topic_filters: names(&unsubscribe.filters)?,
        },
        Packet::UnsubAck(unsuback) => Theirs::UnsubscribeAck { packet_id: id(unsuback.packet_id)? },
        Packet::PingReq => Theirs::PingRequest,
        Packet::PingResp => Theirs::PingResponse,
        Packet::Disconnect(_) => Theirs::Disconnect,
        Packet::Auth(_) => return None,
    })
}

/// The other codec knows no bridge bit.
fn v3_connect(connect: &Connect<'_>) -> Option<v3::Packet> {
    if connect.bridge || !client_id_is_fit(connect) {
        return None;
    }
    let last_will = connect.will.as_ref().map(|will| v3::LastWill {
        qos: qos(will.qos),
        retain: will.retain,
        topic: will.topic.into(),
        message: bytes(will.payload),
    });
    Some(v3::Packet::Connect(Box::new(v3::Connect {
        protocol: Protocol(if connect.version == Version::V31 { 3 } else { 4 }),
        clean_session: connect.clean_start,
        keep_alive: connect.keep_alive,
        last_will,
        client_id: connect.client_id.into(),
        username: connect.login.username.map(Into::into),
        password: connect.login.password.map(bytes),
        cert: None,
    })))
}

fn granted(reason: ReasonCode) -> v3::SubscribeReturnCode {
    match reason {
        ReasonCode::Success => v3::SubscribeReturnCode::Success(TheirQoS::AtMostOnce),
        ReasonCode::GrantedQoS1 => v3::SubscribeReturnCode::Success(TheirQoS::AtLeastOnce),
        ReasonCode::GrantedQoS2 => v3::SubscribeReturnCode::Success(TheirQoS::ExactlyOnce),
        _ => v3::SubscribeReturnCode::Failure,
    }
}

/// The other codec refuses an empty filter itself; here that is left to who checks the syntax.
fn filters<F: for<'a> From<&'a str>, T>(
    filters: &[SubscribeFilter<'_>],
    options: impl Fn(&SubscribeFilter<'_>) -> T,
) -> Option<Vec<(F, T)>> {
    filters
        .iter()
        .map(|filter| (!filter.filter.is_empty()).then(|| (filter.filter.into(), options(filter))))
        .collect()
}

fn names<F: for<'a> From<&'a str>>(filters: &[&str]) -> Option<Vec<F>> {
    filters.iter().map(|filter| (!filter.is_empty()).then(|| (*filter).into())).collect()
}

/// In 5.
pub fn v5(packet: &Packet<'_>) -> Option<v5::Packet> {
    use v5::Packet as Theirs;
    let id = NonZeroU16::new;
    Some(match packet {
        Packet::Connect(connect) => v5_connect(connect)?,
        Packet::ConnAck(connack) => {
            let mut theirs = v5::ConnectAck {
                session_present: connack.session_present,
                reason_code: (connack.reason as u8).try_into().ok()?,
                ..Default::default()
            };
            connack_properties(&connack.properties, &mut theirs)?;
            Theirs::ConnectAck(Box::new(theirs))
        }
        Packet::Publish(ours) => Theirs::Publish(publish(ours, Some(publish_properties(&ours.properties)?))?),
        Packet::PubAck(ack) => Theirs::PublishAck(received(ack)?),
        Packet::PubRec(ack) => Theirs::PublishReceived(received(ack)?),
        Packet::PubRel(ack) => Theirs::PublishRelease(released(ack)?),
        Packet::PubComp(ack) => Theirs::PublishComplete(released(ack)?),
        Packet::Subscribe(subscribe) => Theirs::Subscribe(v5::Subscribe {
            packet_id: id(subscribe.packet_id)?,
            id: subscribe.properties.subscription_identifier().and_then(NonZeroU32::new),
            user_properties: user(&subscribe.properties),
            topic_filters: filters(&subscribe.filters, options)?,
        }),
        Packet::SubAck(suback) => Theirs::SubscribeAck(v5::SubscribeAck {
            packet_id: id(suback.packet_id)?,
            properties: user(&suback.properties),
            reason_string: suback.properties.reason_string().map(Into::into),
            status: suback.reasons.iter().map(|code| (*code as u8).try_into().ok()).collect::<Option<_>>()?,
        }),
        Packet::Unsubscribe(unsubscribe) => Theirs::Unsubscribe(v5::Unsubscribe {
            packet_id: id(unsubscribe.packet_id)?,
            user_properties: user(&unsubscribe.properties),
            topic_filters: names(&unsubscribe.filters)?,
        }),
        Packet::UnsubAck(unsuback) => Theirs::UnsubscribeAck(v5::UnsubscribeAck {
            packet_id: id(unsuback.packet_id)?,
            properties: user(&unsuback.properties),
            reason_string: unsuback.properties.reason_string().map(Into::into),
            status: unsuback
                .reasons
                .iter()
                .map(|code| (*code as u8).try_into().ok())
                .collect::<Option<_>>()?,
        }),
        Packet::PingReq => Theirs::PingRequest,
        Packet::PingResp => Theirs::PingResponse,
        Packet::Disconnect(disconnect) => Theirs::Disconnect(v5::Disconnect {
            reason_code: (disconnect.reason as u8).try_into().ok()?,
            session_expiry_interval_secs: disconnect.properties.session_expiry(),
            server_reference: find(&disconnect.properties, |it| match it {
                Property::ServerReference(text) => Some((*text).into()),
                _ => None,
            }),
            reason_string: disconnect.properties.reason_string().map(Into::into),
            user_properties: user(&disconnect.properties),
        }),
        Packet::Auth(auth) => Theirs::Auth(v5::Auth {
            reason_code: (auth.reason as u8).try_into().ok()?,
            auth_method: auth.properties.authentication_method().map(Into::into),
            auth_data: find(&auth.properties, |it| match it {
                Property::AuthenticationData(data) => Some(bytes(data)),
                _ => None,
            }),
            reason_string: auth.properties.reason_string().map(Into::into),
            user_properties: user(&auth.properties),
        }),
    })
}

fn find<T>(properties: &Properties<'_>, wanted: impl Fn(&Property<'_>) -> Option<T>) -> Option<T> {
    properties.iter().find_map(wanted)
}

fn user(properties: &Properties<'_>) -> v5::UserProperties {
    let pair = |property: &Property<'_>| match property {
        Property::UserProperty(name, value) => Some(((*name).into(), (*value).into())),
        _ => None,
    };
    properties.iter().filter_map(pair).collect()
}

fn options(filter: &SubscribeFilter<'_>) -> v5::SubscriptionOptions {
    v5::SubscriptionOptions {
        qos: qos(filter.options.qos),
        no_local: filter.options.no_local,
        retain_as_published: filter.options.retain_as_published,
        retain_handling: match filter.options.retain_handling {
            RetainHandling::Always => v5::RetainHandling::AtSubscribe,
            RetainHandling::IfNew => v5::RetainHandling::AtSubscribeNew,
            RetainHandling::Never => v5::RetainHandling::NoAtSubscribe,
        },
    }
}

fn received(ack: &Ack<'_>) -> Option<v5::PublishAck> {
    Some(v5::PublishAck {
        packet_id: NonZeroU16::new(ack.packet_id)?,
        reason_code: (ack.reason as u8).try_into().ok()?,
        properties: user(&ack.properties),
        reason_string: ack.properties.reason_string().map(Into::into),
    })
}

fn released(ack: &Ack<'_>) -> Option<v5::PublishAck2> {
    Some(v5::PublishAck2 {
        packet_id: NonZeroU16::new(ack.packet_id)?,
        reason_code: (ack.reason as u8).try_into().ok()?,
        properties: user(&ack.properties),
        reason_string: ack.properties.reason_string().map(Into::into),
    })
}

fn v5_connect(connect: &Connect<'_>) -> Option<v5::Packet> {
    if !client_id_is_fit(connect) {
        return None;
    }
    let mut theirs = v5::Connect {
        clean_start: connect.clean_start,
        keep_alive: connect.keep_alive,
        user_properties: user(&connect.properties),
        last_will: match &connect.will {
            Some(will) => Some(last_will(will)?),
            None => None,
        },
        client_id: connect.client_id.into(),
        username: connect.login.username.map(Into::into),
        password: connect.login.password.map(bytes),
        ..Default::default()
    };
    for property in connect.properties.iter() {
        match *property {
            Property::SessionExpiryInterval(seconds) => theirs.session_expiry_interval_secs = seconds,
            Property::ReceiveMaximum(most) => theirs.receive_max = NonZeroU16::new(most),
            Property::MaximumPacketSize(most) => theirs.max_packet_size = NonZeroU32::new(most),
            Property::TopicAliasMaximum(most) => theirs.topic_alias_max = most,
            Property::RequestResponseInformation(flag) => theirs.request_response_info = flag == 1,
            Property::RequestProblemInformation(flag) => theirs.request_problem_info = flag == 1,
            Property::AuthenticationMethod(text) => theirs.auth_method = Some(text.into()),
            Property::AuthenticationData(data) => theirs.auth_data = Some(bytes(data)),
            Property::UserProperty(..) => {}
            _ => return None,
        }
    }
    Some(v5::Packet::Connect(Box::new(theirs)))
}

/// The other codec takes a message expiry of 0 for an error.
fn last_will(will: &Will<'_>) -> Option<v5::LastWill> {
    let mut theirs = v5::LastWill {
        qos: qos(will.qos),
        retain: will.retain,
        topic: will.topic.into(),
        message: bytes(will.payload),
        will_delay_interval_sec: will.properties.will_delay(),
        correlation_data: None,
        message_expiry_interval: None,
        content_type: will.properties.content_type().map(Into::into),
        user_properties: user(&will.properties),
        is_utf8_payload: None,
        response_topic: will.properties.response_topic().map(Into::into),
    };
    for property in will.properties.iter() {
        match *property {
            Property::CorrelationData(data) => theirs.correlation_data = Some(bytes(data)),
            Property::PayloadFormatIndicator(flag) => theirs.is_utf8_payload = Some(flag == 1),
            Property::MessageExpiryInterval(seconds) => {
                theirs.message_expiry_interval = Some(NonZeroU32::new(seconds)?);
            }
            _ => {}
        }
    }
    Some(theirs)
}

fn publish_properties(properties: &Properties<'_>) -> Option<v5::PublishProperties> {
    let mut theirs = v5::PublishProperties { user_properties: user(properties), ..Default::default() };
    for property in properties.iter() {
        match *property {
            Property::PayloadFormatIndicator(flag) => theirs.is_utf8_payload = flag == 1,
            Property::MessageExpiryInterval(seconds) => {
                theirs.message_expiry_interval = Some(NonZeroU32::new(seconds)?);
            }
            Property::TopicAlias(alias) => theirs.topic_alias = NonZeroU16::new(alias),
            Property::ResponseTopic(topic) => theirs.response_topic = Some(topic.into()),
            Property::CorrelationData(data) => theirs.correlation_data = Some(bytes(data)),
            Property::SubscriptionIdentifier(id) => theirs.subscription_ids.push(NonZeroU32::new(id)?),
            Property::ContentType(text) => theirs.content_type = Some(text.into()),
            Property::UserProperty(..) => {}
            _ => return None,
        }
    }
    Some(theirs)
}

fn connack_properties(properties: &Properties<'_>, theirs: &mut v5::ConnectAck) -> Option<()> {
    theirs.user_properties = user(properties);
    for property in properties.iter() {
        match *property {
            Property::SessionExpiryInterval(seconds) => theirs.session_expiry_interval_secs = Some(seconds),
            Property::ReceiveMaximum(most) => theirs.receive_max = NonZeroU16::new(most)?,
            Property::MaximumQoS(most) => theirs.max_qos = most.try_into().ok()?,
            Property::RetainAvailable(flag) => theirs.retain_available = flag == 1,
            Property::MaximumPacketSize(most) => theirs.max_packet_size = Some(most),
            Property::AssignedClientIdentifier(id) => theirs.assigned_client_id = Some(id.into()),
            Property::TopicAliasMaximum(most) => theirs.topic_alias_max = most,
            Property::ReasonString(text) => theirs.reason_string = Some(text.into()),
            Property::WildcardSubscriptionAvailable(flag) => {
                theirs.wildcard_subscription_available = flag == 1
            }
            Property::SubscriptionIdentifierAvailable(flag) => {
                theirs.subscription_identifiers_available = flag == 1;
            }
            Property::SharedSubscriptionAvailable(flag) => theirs.shared_subscription_available = flag == 1,
            Property::ServerKeepAlive(seconds) => theirs.server_keepalive_sec = Some(seconds),
            Property::ResponseInformation(text) => theirs.response_info = Some(text.into()),
            Property::ServerReference(text) => theirs.server_reference = Some(text.into()),
            Property::AuthenticationMethod(text) => theirs.auth_method = Some(text.into()),
            Property::AuthenticationData(data) => theirs.auth_data = Some(bytes(data)),
            Property::UserProperty(..) => {}
            _ => return None,
        }
    }
    Some(())
}
