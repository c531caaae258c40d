//! Random valid packets. Their strings are leaked, so that packets can borrow them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{
    Ack, Auth, ConnAck, Connect, Disconnect, Login, Packet, Properties, Property, Publish, QoS, ReasonCode,
    RetainHandling, SubAck, Subscribe, SubscribeFilter, SubscriptionOptions, UnsubAck, Unsubscribe, Version,
    Will,
};
use super::encode_properties;
use super::packet_type::*;
use super::properties::{Place, WILL, places};

fn text() -> impl Strategy<Value = &'static str> {
    "\\PC{0,12}".prop_map(|text| &*text.leak())
}

fn topic() -> impl Strategy<Value = &'static str> {
    "[^+#\0]{1,12}".prop_map(|text| &*text.leak())
}

fn binary() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 100..300)].prop_map(|bytes| &*bytes.leak())
}

fn qos() -> impl Strategy<Value = QoS> {
    select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..])
}

/// Some of the properties that may stand at `place`; none before version 5.
fn properties(version: Version, place: Place) -> BoxedStrategy<Properties<'static>> {
    if version != Version::V5 {
        return Just(Properties::default()).boxed();
    }
    let values = (any::<u32>(), any::<u16>(), 0..=1_u8, topic(), text(), binary());
    (vec(any::<bool>(), 30), values)
        .prop_map(move |(chosen, (int, short, flag, topic, text, binary))| {
            let positive = short.max(1);
            use Property::*;
            let all = [
                PayloadFormatIndicator(flag),
                MessageExpiryInterval(int),
                ContentType(text),
                UserProperty(text, topic),
                ResponseTopic(topic),
                CorrelationData(binary),
                SubscriptionIdentifier((int & 0x0FFF_FFFF).max(1)),
                SessionExpiryInterval(int),
                AssignedClientIdentifier(text),
                ServerKeepAlive(short),
                AuthenticationMethod(text),
                AuthenticationData(binary),
                RequestProblemInformation(flag),
                WillDelayInterval(int),
                RequestResponseInformation(flag),
                ResponseInformation(text),
                ServerReference(text),
                ReasonString(text),
                ReceiveMaximum(positive),
                TopicAliasMaximum(short),
                TopicAlias(positive),
                MaximumQoS(flag),
                RetainAvailable(flag),
                MaximumPacketSize(int.max(1)),
                WildcardSubscriptionAvailable(flag),
                SubscriptionIdentifierAvailable(flag),
                SharedSubscriptionAvailable(flag),
                UserProperty(topic, text),
            ];
            let mut picked: Properties<'static> = all
                .into_iter()
                .zip(chosen)
                .filter(|(property, chosen)| *chosen && allowed(property, place))
                .map(|(property, _)| property)
                .collect();
            if picked.authentication_method().is_none() {
                picked.0.retain(|property| !matches!(property, AuthenticationData(_)));
            }
            picked
        })
        .boxed()
}

fn allowed(property: &Property<'static>, place: Place) -> bool {
    let mut bytes = Vec::new();
    encode_properties(&[*property].into_iter().collect(), &mut bytes);
    places(bytes[0]).is_some_and(|(places, _)| places & place.bit() != 0)
}

fn connect(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let will = (topic(), binary(), qos(), any::<bool>(), properties(version, WILL)).prop_map(
        |(topic, payload, qos, retain, properties)| Will { topic, payload, qos, retain, properties },
    );
    (
        any::<(bool, bool, u16)>(),
        text(),
        proptest::option::of(will),
        proptest::option::of(text()),
        proptest::option::of(binary()),
        properties(version, Place::packet(CONNECT)),
    )
        .prop_map(
            move |((bridge, clean_start, keep_alive), client_id, will, username, password, properties)| {
                let password = password.filter(|_| version == Version::V5 || username.is_some());
                Packet::Connect(Box::new(Connect {
                    version,
                    bridge: bridge && version != Version::V5,
                    clean_start,
                    keep_alive,
                    client_id,
                    will,
                    login: Login { username, password },
                    properties,
                }))
            },
        )
}

fn publish(version: Version) -> impl Strategy<Value = Packet<'static>> {
    let flags = (any::<bool>(), any::<bool>(), qos(), 1..=u16::MAX);
    (flags, topic(), properties(version, Place::packet(PUBLISH)), binary()).prop_map(
        |((dup, retain, qos, id), topic, properties, payload)| {
            let acknowledged = qos != QoS::AtMostOnce;
            let packet_id = acknowledged.then_some(id);
            Packet::Publish(Publish {
                dup: dup && acknowledged,
                qos,
                retain,
                topic,
                packet_id,
                properties,
                payload,
            })
        },
    )
}

fn acknowledgement(version: Version) -> impl Strategy<Value = Packet<'static>> {
    use ReasonCode::*;
    let received: &[ReasonCode] =
        if version == Version::V5 { &[Success, NotAuthorized, QuotaExceeded] } else { &[Success] };
    let released: &[ReasonCode] =
        if version == Version::V5 { &[Success, PacketIdentifierNotFound] } else { &[Success] };
    let ack = |reasons: &'static [ReasonCode], kind| {
        (1..=u16::MAX, select(reasons), properties(version, Place::packet(kind)))
            .prop_map(|(packet_id, reason, properties)| Ack { packet_id, reason, properties })
    };
    prop_oneof![
        ack(received, PUBACK).prop_map(Packet::PubAck),
        ack(received, PUBREC).prop_map(Packet::PubRec),
        ack(released, PUBREL).prop_map(Packet::PubRel),
        ack(released, PUBCOMP).prop_map(Packet::PubComp),
    ]
}

fn subscription(version: Version) -> impl Strategy<Value = Packet<'static>> {
    use ReasonCode::*;
    let v5 = version == Version::V5;
    let handling = select(&[RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never][..]);
    let filter = (text(), qos(), any::<(bool, bool)>(), handling).prop_map(
        move |(filter, qos, (no_local, as_published), handling)| SubscribeFilter {
            filter,
            options: SubscriptionOptions {
                qos,
                no_local: v5 && no_local,
                retain_as_published: v5 && as_published,
                retain_handling: if v5 { handling } else { RetainHandling::Always },
            },
        },
    );
    let granted: &[ReasonCode] = if v5 {
        &[Success, GrantedQoS1, GrantedQoS2, NotAuthorized]
    } else {
        &[Success, GrantedQoS1, GrantedQoS2, UnspecifiedError]
    };
    let ended = select(&[Success, NoSubscriptionExisted, NotAuthorized][..]);
    let id = || 1..=u16::MAX;
    prop_oneof![
        (id(), vec(filter, 1..5), properties(version, Place::packet(SUBSCRIBE))).prop_map(
            |(packet_id, filters, properties)| Packet::Subscribe(Subscribe {
                packet_id,
                filters,
                properties
            })
        ),
        (id(), vec(select(granted), 1..5), properties(version, Place::packet(SUBACK))).prop_map(
            |(packet_id, reasons, properties)| Packet::SubAck(SubAck { packet_id, reasons, properties })
        ),
        (id(), vec(text(), 1..5), properties(version, Place::packet(UNSUBSCRIBE))).prop_map(
            |(packet_id, filters, properties)| {
                Packet::Unsubscribe(Unsubscribe { packet_id, filters, properties })
            }
        ),
        (id(), vec(ended, 1..5), properties(version, Place::packet(UNSUBACK))).prop_map(
            move |(packet_id, reasons, properties)| {
                let reasons = if v5 { reasons } else { Vec::new() };
                Packet::UnsubAck(UnsubAck { packet_id, reasons, properties })
            }
        ),
    ]
}

fn closing(version: Version) -> BoxedStrategy<Packet<'static>> {
    use ReasonCode::*;
    let pings = select(vec![Packet::PingReq, Packet::PingResp]);
    if version != Version::V5 {
        let disconnect = Disconnect { reason: Success, properties: Properties::default() };
        return prop_oneof![pings, Just(Packet::Disconnect(disconnect))].boxed();
    }
    let reasons = select(&[Success, DisconnectWithWill, ServerShuttingDown, AdministrativeAction][..]);
    let disconnect = (reasons, properties(version, Place::packet(DISCONNECT)))
        .prop_map(|(reason, properties)| Packet::Disconnect(Disconnect { reason, properties }));
    let auth = (select(&[Success, ContinueAuthentication][..]), properties(version, Place::packet(AUTH)))
        .prop_map(|(reason, mut properties)| {
            if properties.authentication_method().is_none() {
                properties.push(Property::AuthenticationMethod("method"));
            }
            Packet::Auth(Auth { reason, properties })
        });
    prop_oneof![pings, disconnect, auth].boxed()
}

fn connack(version: Version) -> impl Strategy<Value = Packet<'static>> {
    use ReasonCode::*;
    let reasons = select(&[Success, ClientIdentifierNotValid, ServerUnavailable, NotAuthorized][..]);
    (any::<bool>(), reasons, properties(version, Place::packet(CONNACK))).prop_map(
        move |(session_present, reason, properties)| {
            let session_present = session_present && reason == Success && version != Version::V31;
            Packet::ConnAck(ConnAck { session_present, reason, properties })
        },
    )
}

/// Any valid packet of a version.
pub fn packet() -> impl Strategy<Value = (Version, Packet<'static>)> {
    select(&[Version::V31, Version::V311, Version::V5][..]).prop_flat_map(|version| {
        let packet = prop_oneof![
            2 => connect(version),
            1 => connack(version),
            3 => publish(version),
            2 => acknowledgement(version),
            3 => subscription(version),
            1 => closing(version),
        ];
        (Just(version), packet)
    })
}
