//! One table of named packets, used by every test of the codec.
//!
//! Bytes are written as words: `30` hexadecimal bytes, `'text'` literal text, `<text>` text with its two-byte
//! length, `*` the length of all that follows, `[ … ]` a block preceded by its length.

use super::super::{
    Ack, Auth, ConnAck, Connect, Disconnect, Login, Packet, Properties, Property, Publish, QoS, ReasonCode,
    RetainHandling, SubAck, Subscribe, SubscribeFilter, SubscriptionOptions, UnsubAck, Unsubscribe, Version,
    Will,
};

/// A packet and what must become of it.
pub struct Row {
    pub name: &'static str,
    pub version: Option<Version>,
    pub bytes: Vec<u8>,
    pub expect: Expect,
}

pub enum Expect {
    /// Decodes to this, and this encodes to the same bytes.
    Exactly(Packet<'static>),
    /// Decodes to this, but is written otherwise.
    Decodes(Packet<'static>),
    /// Is refused with an error of this kind.
    Refused(Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Malformed,
    Protocol,
    TooLarge,
    UnsupportedVersion,
    TopicName,
}

/// The limit that the rows are decoded with.
pub const LIMIT: usize = 1024;

/// Bytes of the notation above.
pub fn bytes(notation: &str) -> Vec<u8> {
    let mut words = notation.split_whitespace();
    block(&mut words)
}

fn block<'a>(words: &mut impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "]" => return out,
            "[" | "*" => {
                let inner = block(words);
                let mut length = inner.len();
                while length > 127 {
                    out.push(length as u8 | 0x80);
                    length >>= 7;
                }
                out.push(length as u8);
                out.extend(inner);
                if word == "*" {
                    return out;
                }
            }
            _ => {
                let text = word.get(1..word.len() - 1).unwrap_or_default().as_bytes();
                match word.as_bytes()[0] {
                    b'\'' => out.extend(text),
                    b'<' => {
                        out.extend((text.len() as u16).to_be_bytes());
                        out.extend(text);
                    }
                    _ => out.extend(
                        (0..word.len()).step_by(2).map(|i| u8::from_str_radix(&word[i..i + 2], 16).unwrap()),
                    ),
                }
            }
        }
    }
    out
}

fn properties(list: &[Property<'static>]) -> Properties<'static> {
    list.iter().copied().collect()
}

fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        bridge: false,
        clean_start: true,
        keep_alive: 60,
        client_id: "dev",
        will: None,
        login: Login::default(),
        properties: Properties::default(),
    }
}

fn boxed(connect: Connect<'static>) -> Packet<'static> {
    Packet::Connect(Box::new(connect))
}

fn login(username: Option<&'static str>, password: Option<&'static [u8]>) -> Login<'static> {
    Login { username, password }
}

fn will(qos: QoS, retain: bool, list: &[Property<'static>]) -> Option<Will<'static>> {
    Some(Will { topic: "w", payload: b"bye", qos, retain, properties: properties(list) })
}

fn connack(session_present: bool, reason: ReasonCode, list: &[Property<'static>]) -> Packet<'static> {
    Packet::ConnAck(ConnAck { session_present, reason, properties: properties(list) })
}

fn publish() -> Publish<'static> {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "a/b",
        packet_id: None,
        properties: Properties::default(),
        payload: b"hi",
    }
}

fn published(list: &[Property<'static>]) -> Packet<'static> {
    Packet::Publish(Publish { properties: properties(list), ..publish() })
}

fn ack(packet_id: u16, reason: ReasonCode, list: &[Property<'static>]) -> Ack<'static> {
    Ack { packet_id, reason, properties: properties(list) }
}

fn filter(filter: &'static str, qos: QoS) -> SubscribeFilter<'static> {
    SubscribeFilter { filter, options: SubscriptionOptions { qos, ..Default::default() } }
}

fn subscribe(filters: &[SubscribeFilter<'static>], list: &[Property<'static>]) -> Packet<'static> {
    Packet::Subscribe(Subscribe { packet_id: 10, filters: filters.to_vec(), properties: properties(list) })
}

fn suback(reasons: &[ReasonCode], list: &[Property<'static>]) -> Packet<'static> {
    Packet::SubAck(SubAck { packet_id: 10, reasons: reasons.to_vec(), properties: properties(list) })
}

fn unsubscribe(filters: &[&'static str], list: &[Property<'static>]) -> Packet<'static> {
    Packet::Unsubscribe(Unsubscribe {
        packet_id: 10,
        filters: filters.to_vec(),
        properties: properties(list),
    })
}

fn unsuback(reasons: &[ReasonCode], list: &[Property<'static>]) -> Packet<'static> {
    Packet::UnsubAck(UnsubAck { packet_id: 10, reasons: reasons.to_vec(), properties: properties(list) })
}

fn disconnect(reason: ReasonCode, list: &[Property<'static>]) -> Packet<'static> {
    Packet::Disconnect(Disconnect { reason, properties: properties(list) })
}

fn auth(reason: ReasonCode, list: &[Property<'static>]) -> Packet<'static> {
    Packet::Auth(Auth { reason, properties: properties(list) })
}

/// Every row.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    connect_rows(&mut rows);
    refused_connect_rows(&mut rows);
    connack_rows(&mut rows);
    publish_rows(&mut rows);
    ack_rows(&mut rows);
    subscribe_rows(&mut rows);
    unsubscribe_rows(&mut rows);
    closing_rows(&mut rows);
    framing_rows(&mut rows);
    property_rows(&mut rows);
    rows
}

const V31: Option<Version> = Some(Version::V31);
const V311: Option<Version> = Some(Version::V311);
const V5: Option<Version> = Some(Version::V5);

/// Adds rows `name, version, notation => outcome, packet or kind of error;`.
macro_rules! rows {
    ($rows:ident; $($name:literal, $version:expr, $bytes:expr => $outcome:ident $value:expr;)+) => {
        $($rows.push(Row {
            name: $name,
            version: $version,
            bytes: bytes(&$bytes),
            expect: Expect::$outcome($value),
        });)+
    };
}

use Kind::{Malformed, Protocol, TooLarge, TopicName, UnsupportedVersion};
use Property as P;
use QoS::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ReasonCode as R;

fn connect_rows(rows: &mut Vec<Row>) {
    rows! { rows;
        "CONNECT 3.1", None, "10 11 0006 'MQIsdp' 03 02 003C 0003 'dev'"
            => Exactly boxed(connect(Version::V31));
        "CONNECT 3.1.1", None, "10 0F 0004 'MQTT' 04 02 003C 0003 'dev'"
            => Exactly boxed(connect(Version::V311));
        "CONNECT 5", None, "10 10 0004 'MQTT' 05 02 003C 00 0003 'dev'"
            => Exactly boxed(connect(Version::V5));
        "CONNECT 3.1 of a bridge", None, "10 * <MQIsdp> 83 02 003C <dev>"
            => Exactly boxed(Connect { bridge: true, ..connect(Version::V31) });
        "CONNECT 3.1.1 of a bridge", None, "10 * <MQTT> 84 02 003C <dev>"
            => Exactly boxed(Connect { bridge: true, ..connect(Version::V311) });
        "CONNECT without clean session", None, "10 * <MQTT> 04 00 003C <dev>"
            => Exactly boxed(Connect { clean_start: false, ..connect(Version::V311) });
        "CONNECT with keep alive 0", None, "10 * <MQTT> 04 02 0000 <dev>"
            => Exactly boxed(Connect { keep_alive: 0, ..connect(Version::V311) });
        "CONNECT with the longest keep alive", None, "10 * <MQTT> 05 02 FFFF [ ] <dev>"
            => Exactly boxed(Connect { keep_alive: 65535, ..connect(Version::V5) });
        "CONNECT with an empty client identifier", None, "10 * <MQTT> 05 02 003C [ ] <>"
            => Exactly boxed(Connect { client_id: "", ..connect(Version::V5) });
        "CONNECT with a client identifier of many scripts", None, "10 * <MQTT> 04 02 003C <Gerät-機器-😀>"
            => Exactly boxed(Connect { client_id: "Gerät-機器-😀", ..connect(Version::V311) });
        "CONNECT with U+FEFF kept in the client identifier [MQTT-1.5.4-3]", None, "10 * <MQTT> 05 02 003C [ ] 0003 EFBBBF"
            => Exactly boxed(Connect { client_id: "\u{FEFF}", ..connect(Version::V5) });
        "CONNECT with user name", None, "10 * <MQTT> 04 82 003C <dev> <ann>"
            => Exactly boxed(Connect { login: login(Some("ann"), None), ..connect(Version::V311) });
        "CONNECT with user name and password", None, "10 * <MQTT> 04 C2 003C <dev> <ann> <pw>"
            => Exactly boxed(Connect { login: login(Some("ann"), Some(b"pw")), ..connect(Version::V311) });
        "CONNECT 3.1 with user name and password", None, "10 * <MQIsdp> 03 C2 003C <dev> <ann> <pw>"
            => Exactly boxed(Connect { login: login(Some("ann"), Some(b"pw")), ..connect(Version::V31) });
        "CONNECT with empty user name and password", None, "10 * <MQTT> 04 C2 003C <dev> <> <>"
            => Exactly boxed(Connect { login: login(Some(""), Some(b"")), ..connect(Version::V311) });
        "CONNECT with a password that is not text", None, "10 * <MQTT> 04 C2 003C <dev> <ann> 0003 00FF80"
            => Exactly boxed(Connect { login: login(Some("ann"), Some(b"\x00\xFF\x80")), ..connect(Version::V311) });
        "CONNECT 5 with a password alone", None, "10 * <MQTT> 05 42 003C [ ] <dev> <token>"
            => Exactly boxed(Connect { login: login(None, Some(b"token")), ..connect(Version::V5) });
        "CONNECT 3.1 whose user name flag is set but whose user name is missing", None, "10 * <MQIsdp> 03 82 003C <dev>"
            => Decodes boxed(connect(Version::V31));
        "CONNECT 3.1 whose password flag is set but whose password is missing", None, "10 * <MQIsdp> 03 C2 003C <dev> <ann>"
            => Decodes boxed(Connect { login: login(Some("ann"), None), ..connect(Version::V31) });
        "CONNECT with will", None, "10 * <MQTT> 04 06 003C <dev> <w> <bye>"
            => Exactly boxed(Connect { will: will(AtMostOnce, false, &[]), ..connect(Version::V311) });
        "CONNECT 3.1 with retained will at QoS 1", None, "10 * <MQIsdp> 03 2E 003C <dev> <w> <bye>"
            => Exactly boxed(Connect { will: will(AtLeastOnce, true, &[]), ..connect(Version::V31) });
        "CONNECT 5 with retained will at QoS 2, user name and password", None, "10 * <MQTT> 05 F6 003C [ ] <dev> [ ] <w> <bye> <ann> <pw>"
            => Exactly boxed(Connect {
                will: will(ExactlyOnce, true, &[]), login: login(Some("ann"), Some(b"pw")), ..connect(Version::V5)
            });
        "CONNECT with an empty will payload", None, "10 * <MQTT> 04 06 003C <dev> <w> <>"
            => Exactly boxed(Connect {
                will: Some(Will { payload: b"", ..will(AtMostOnce, false, &[]).unwrap() }), ..connect(Version::V311)
            });
        "CONNECT 5 with every will property", None,
            "10 * <MQTT> 05 06 003C [ ] <dev> [ 18 00000005 01 01 02 0000000A 03 <t> 08 <r/t> 09 <cd> 26 <k> <v> ] <w> <bye>"
            => Exactly boxed(Connect { will: will(AtMostOnce, false, &[
                P::WillDelayInterval(5), P::PayloadFormatIndicator(1), P::MessageExpiryInterval(10), P::ContentType("t"),
                P::ResponseTopic("r/t"), P::CorrelationData(b"cd"), P::UserProperty("k", "v"),
            ]), ..connect(Version::V5) });
        "CONNECT 5 with every property", None,
            "10 * <MQTT> 05 02 003C [ 11 FFFFFFFF 21 0014 27 00001000 22 000A 19 01 17 00 26 <k> <v> 26 <k> <w> 15 <SCRAM> 16 <x> ] <dev>"
            => Exactly boxed(Connect { properties: properties(&[
                P::SessionExpiryInterval(u32::MAX), P::ReceiveMaximum(20), P::MaximumPacketSize(4096),
                P::TopicAliasMaximum(10), P::RequestResponseInformation(1), P::RequestProblemInformation(0),
                P::UserProperty("k", "v"), P::UserProperty("k", "w"), P::AuthenticationMethod("SCRAM"),
                P::AuthenticationData(b"x"),
            ]), ..connect(Version::V5) });
        "CONNECT 5 with properties of more than 127 bytes", None,
            format!("10 * <MQTT> 05 02 003C [ 26 <k> <{}> ] <dev>", LONG)
            => Exactly boxed(Connect { properties: properties(&[P::UserProperty("k", LONG)]), ..connect(Version::V5) });
        "a second CONNECT, which the caller refuses [MQTT-3.1.0-2]", V5, "10 * <MQTT> 04 02 003C <dev>"
            => Exactly boxed(connect(Version::V311));
        "CONNECT 3.1.1 with an overlong remaining length", None, "10 8F00 <MQTT> 04 02 003C <dev>"
            => Decodes boxed(connect(Version::V311));
    }
}

/// 130 characters.
const LONG: &str = concat!(
    "0123456789012345678901234567890123456789012345678901234567890123456789",
    "012345678901234567890123456789012345678901234567890123456789"
);

fn refused_connect_rows(rows: &mut Vec<Row>) {
    rows! { rows;
        "CONNECT 5 with an overlong remaining length [MQTT-1.5.5-1]", None, "10 9000 <MQTT> 05 02 003C 00 <dev>" => Refused Malformed;
        "CONNECT with fixed header flags [MQTT-2.1.3-1]", None, "11 * <MQTT> 04 02 003C <dev>" => Refused Malformed;
        "CONNECT of nothing", None, "10 00" => Refused Malformed;
        "CONNECT of a protocol name alone", None, "10 * <MQTT>" => Refused Malformed;
        "CONNECT that ends after the flags", None, "10 * <MQTT> 04 02" => Refused Malformed;
        "CONNECT that ends in the keep alive", None, "10 * <MQTT> 04 02 00" => Refused Malformed;
        "CONNECT without client identifier", None, "10 * <MQTT> 04 02 003C" => Refused Malformed;
        "CONNECT whose client identifier points past the end", None, "10 * <MQTT> 04 02 003C 0004 'dev'" => Refused Malformed;
        "CONNECT whose protocol name points past the end", None, "10 * FFFF 'MQTT' 04 02 003C <dev>" => Refused Malformed;
        "CONNECT of another protocol [MQTT-3.1.2-1]", None, "10 * <HTTP> 04 02 003C <dev>" => Refused UnsupportedVersion;
        "CONNECT with the name in lower case", None, "10 * <mqtt> 04 02 003C <dev>" => Refused UnsupportedVersion;
        "CONNECT with level 6 [MQTT-3.1.2-2]", None, "10 * <MQTT> 06 02 003C <dev>" => Refused UnsupportedVersion;
        "CONNECT with level 0", None, "10 * <MQTT> 00 02 003C <dev>" => Refused UnsupportedVersion;
        "CONNECT with level 3 under the new name", None, "10 * <MQTT> 03 02 003C <dev>" => Refused UnsupportedVersion;
        "CONNECT with level 4 under the old name", None, "10 * <MQIsdp> 04 02 003C <dev>" => Refused UnsupportedVersion;
        "CONNECT 5 with the bridge bit", None, "10 * <MQTT> 85 02 003C 00 <dev>" => Refused UnsupportedVersion;
        "CONNECT with the reserved flag [MQTT-3.1.2-3]", None, "10 * <MQTT> 04 03 003C <dev>" => Refused Malformed;
        "CONNECT 5 with the reserved flag [MQTT-3.1.2-3]", None, "10 * <MQTT> 05 03 003C [ ] <dev>" => Refused Malformed;
        "CONNECT with will QoS but no will [MQTT-3.1.2-11]", None, "10 * <MQTT> 04 0A 003C <dev>" => Refused Malformed;
        "CONNECT with will retain but no will [MQTT-3.1.2-13]", None, "10 * <MQTT> 05 22 003C [ ] <dev>" => Refused Malformed;
        "CONNECT with will QoS 3 [MQTT-3.1.2-12]", None, "10 * <MQTT> 04 1E 003C <dev> <w> <bye>" => Refused Malformed;
        "CONNECT with a will flag but no will topic", None, "10 * <MQTT> 04 06 003C <dev>" => Refused Malformed;
        "CONNECT without the will payload", None, "10 * <MQTT> 04 06 003C <dev> <w>" => Refused Malformed;
        "CONNECT with a wildcard in the will topic [MQTT-3.3.2-2]", None, "10 * <MQTT> 04 06 003C <dev> <w/#> <bye>" => Refused TopicName;
        "CONNECT 5 with a plus in the will topic [MQTT-3.3.2-2]", None, "10 * <MQTT> 05 06 003C [ ] <dev> [ ] <+/w> <bye>" => Refused TopicName;
        "CONNECT with an empty will topic [MQTT-4.7.3-1]", None, "10 * <MQTT> 05 06 003C [ ] <dev> [ ] <> <bye>" => Refused TopicName;
        "CONNECT with a null character in the will topic [MQTT-1.5.4-2]", None, "10 * <MQTT> 04 06 003C <dev> 0002 7700 <bye>" => Refused Malformed;
        "CONNECT 3.1.1 with a password alone [MQTT-3.1.2-22 of 3.1.1]", None, "10 * <MQTT> 04 42 003C <dev> <pw>" => Refused Malformed;
        "CONNECT 3.1 with a password alone", None, "10 * <MQIsdp> 03 42 003C <dev> <pw>" => Refused Malformed;
        "CONNECT 3.1.1 whose user name is missing", None, "10 * <MQTT> 04 82 003C <dev>" => Refused Malformed;
        "CONNECT 5 whose password is missing", None, "10 * <MQTT> 05 C2 003C [ ] <dev> <ann>" => Refused Malformed;
        "CONNECT 3.1 whose user name is cut", None, "10 * <MQIsdp> 03 82 003C <dev> 00" => Refused Malformed;
        "CONNECT with a user name nobody announced", None, "10 * <MQTT> 04 02 003C <dev> <ann>" => Refused Malformed;
        "CONNECT 5 with a byte too many", None, "10 * <MQTT> 05 02 003C [ ] <dev> 00" => Refused Malformed;
        "CONNECT with a null character in the client identifier [MQTT-1.5.4-2]", None, "10 * <MQTT> 04 02 003C 0003 640065" => Refused Malformed;
        "CONNECT with a surrogate in the client identifier [MQTT-1.5.4-1]", None, "10 * <MQTT> 05 02 003C [ ] 0003 EDA080" => Refused Malformed;
        "CONNECT with an overlong UTF-8 form in the user name [MQTT-1.5.4-1]", None, "10 * <MQTT> 04 82 003C <dev> 0002 C080" => Refused Malformed;
        "CONNECT with a character above U+10FFFF", None, "10 * <MQTT> 04 02 003C 0004 F4908080" => Refused Malformed;
        "CONNECT with a cut UTF-8 sequence", None, "10 * <MQTT> 04 02 003C 0002 E282" => Refused Malformed;
        "CONNECT 5 without a property length", None, "10 * <MQTT> 05 02 003C" => Refused Malformed;
        "CONNECT 5 whose properties point past the end", None, "10 * <MQTT> 05 02 003C 7F <dev>" => Refused Malformed;
        "CONNECT 5 with an overlong property length [MQTT-1.5.5-1]", None, "10 * <MQTT> 05 02 003C 8000 <dev>" => Refused Malformed;
        "CONNECT 5 with a property length of five bytes", None, "10 * <MQTT> 05 02 003C 8080808001 <dev>" => Refused Malformed;
        "CONNECT 5 with receive maximum 0", None, "10 * <MQTT> 05 02 003C [ 21 0000 ] <dev>" => Refused Protocol;
        "CONNECT 5 with maximum packet size 0", None, "10 * <MQTT> 05 02 003C [ 27 00000000 ] <dev>" => Refused Protocol;
        "CONNECT 5 with request problem information 2", None, "10 * <MQTT> 05 02 003C [ 17 02 ] <dev>" => Refused Protocol;
        "CONNECT 5 with request response information 255", None, "10 * <MQTT> 05 02 003C [ 19 FF ] <dev>" => Refused Protocol;
        "CONNECT 5 with authentication data but no method", None, "10 * <MQTT> 05 02 003C [ 16 <x> ] <dev>" => Refused Protocol;
        "CONNECT 5 with two session expiry intervals", None, "10 * <MQTT> 05 02 003C [ 11 00000001 11 00000001 ] <dev>" => Refused Protocol;
        "CONNECT 5 with a will delay among its own properties", None, "10 * <MQTT> 05 02 003C [ 18 00000001 ] <dev>" => Refused Malformed;
        "CONNECT 5 with a topic alias among will properties", None, "10 * <MQTT> 05 06 003C [ ] <dev> [ 23 0001 ] <w> <bye>" => Refused Malformed;
        "CONNECT 5 with a session expiry among will properties", None, "10 * <MQTT> 05 06 003C [ ] <dev> [ 11 00000001 ] <w> <bye>" => Refused Malformed;
        "CONNECT 5 with two will delays", None, "10 * <MQTT> 05 06 003C [ ] <dev> [ 18 00000001 18 00000001 ] <w> <bye>" => Refused Protocol;
        "CONNECT 5 with a wildcard in the will's response topic [MQTT-3.3.2-14]", None, "10 * <MQTT> 05 06 003C [ ] <dev> [ 08 <r/+> ] <w> <bye>" => Refused Protocol;
    }
}

fn connack_rows(rows: &mut Vec<Row>) {
    rows! { rows;
        "CONNACK 3.1", V31, "20 02 00 00" => Exactly connack(false, R::Success, &[]);
        "CONNACK 3.1 whose reserved byte is set", V31, "20 02 01 00" => Decodes connack(false, R::Success, &[]);
        "CONNACK 3.1.1", V311, "20 02 00 00" => Exactly connack(false, R::Success, &[]);
        "CONNACK 3.1.1 with a session", V311, "20 02 01 00" => Exactly connack(true, R::Success, &[]);
        "CONNACK 3.1.1 unacceptable version", V311, "20 02 00 01" => Exactly connack(false, R::UnsupportedProtocolVersion, &[]);
        "CONNACK 3.1.1 identifier rejected", V311, "20 02 00 02" => Exactly connack(false, R::ClientIdentifierNotValid, &[]);
        "CONNACK 3.1.1 server unavailable", V311, "20 02 00 03" => Exactly connack(false, R::ServerUnavailable, &[]);
        "CONNACK 3.1.1 bad user name or password", V311, "20 02 00 04" => Exactly connack(false, R::BadUserNameOrPassword, &[]);
        "CONNACK 3.1 not authorized", V31, "20 02 00 05" => Exactly connack(false, R::NotAuthorized, &[]);
        "CONNACK 5", V5, "20 03 00 00 00" => Exactly connack(false, R::Success, &[]);
        "CONNACK 5 banned", V5, "20 * 00 8A [ 1F <no> ]" => Exactly connack(false, R::Banned, &[P::ReasonString("no")]);
        "CONNACK 5 with every property", V5,
            "20 * 01 00 [ 11 0000000A 21 000A 24 01 25 00 27 00000100 12 <id> 22 0005 1F <r> 26 <k> <v> 28 01 29 00 2A 01 13 003C 1A <i> 1C <s> 15 <m> 16 <d> ]"
            => Exactly connack(true, R::Success, &[
                P::SessionExpiryInterval(10), P::ReceiveMaximum(10), P::MaximumQoS(1), P::RetainAvailable(0),
                P::MaximumPacketSize(256), P::AssignedClientIdentifier("id"), P::TopicAliasMaximum(5), P::ReasonString("r"),
                P::UserProperty("k", "v"), P::WildcardSubscriptionAvailable(1), P::SubscriptionIdentifierAvailable(0),
                P::SharedSubscriptionAvailable(1), P::ServerKeepAlive(60), P::ResponseInformation("i"),
                P::ServerReference("s"), P::AuthenticationMethod("m"), P::AuthenticationData(b"d"),
            ]);
        "CONNACK before CONNECT [MQTT-3.1.0-1]", None, "20 02 00 00" => Refused Protocol;
        "CONNACK with reserved flags [MQTT-3.2.2-1]", V311, "20 02 02 00" => Refused Malformed;
        "CONNACK 5 with reserved flags [MQTT-3.2.2-1]", V5, "20 03 80 00 00" => Refused Malformed;
        "CONNACK 3.1.1 with a reserved return code", V311, "20 02 00 06" => Refused Protocol;
        "CONNACK that refuses and has a session [MQTT-3.2.2-6]", V5, "20 03 01 87 00" => Refused Protocol;
        "CONNACK 5 with a reason of another packet", V5, "20 03 00 11 00" => Refused Protocol;
        "CONNACK 5 with a reason that does not exist", V5, "20 03 00 55 00" => Refused Protocol;
        "CONNACK 5 without properties", V5, "20 02 00 00" => Refused Malformed;
        "CONNACK 3.1.1 with a byte too many", V311, "20 03 00 00 00" => Refused Malformed;
        "CONNACK of one byte", V311, "20 01 00" => Refused Malformed;
        "CONNACK 5 with maximum QoS 2", V5, "20 * 00 00 [ 24 02 ]" => Refused Protocol;
        "CONNACK 5 with a will delay", V5, "20 * 00 00 [ 18 00000001 ]" => Refused Malformed;
    }
}

fn publish_rows(rows: &mut Vec<Row>) {
    rows! { rows;
        "PUBLISH QoS 0", V311, "30 07 0003 'a/b' 6869" => Exactly published(&[]);
        "PUBLISH 3.1 QoS 0", V31, "30 07 0003 'a/b' 6869" => Exactly published(&[]);
        "PUBLISH 5 QoS 0", V5, "30 08 0003 'a/b' 00 6869" => Exactly published(&[]);
        "PUBLISH retained", V311, "31 * <a/b> 'hi'" => Exactly Packet::Publish(Publish { retain: true, ..publish() });
        "PUBLISH with an empty payload", V311, "31 * <a/b>" => Exactly Packet::Publish(Publish { retain: true, payload: b"", ..publish() });
        "PUBLISH 5 with an empty payload", V5, "30 * <a/b> [ ]" => Exactly Packet::Publish(Publish { payload: b"", ..publish() });
        "PUBLISH QoS 1", V311, "32 * <a/b> 0001 'hi'"
            => Exactly Packet::Publish(Publish { qos: AtLeastOnce, packet_id: Some(1), ..publish() });
        "PUBLISH QoS 1 repeated", V311, "3A * <a/b> 0102 'hi'"
            => Exactly Packet::Publish(Publish { dup: true, qos: AtLeastOnce, packet_id: Some(258), ..publish() });
        "PUBLISH QoS 2 with the highest identifier", V5, "34 * <a/b> FFFF [ ] 'hi'"
            => Exactly Packet::Publish(Publish { qos: ExactlyOnce, packet_id: Some(65535), ..publish() });
        "PUBLISH QoS 2 repeated and retained", V31, "3D * <a/b> 0007 'hi'"
            => Exactly Packet::Publish(Publish { dup: true, retain: true, qos: ExactlyOnce, packet_id: Some(7), ..publish() });
        "PUBLISH to a topic that begins with a character of several bytes", V311, "30 * <Ä/b> 'hi'"
            => Exactly Packet::Publish(Publish { topic: "Ä/b", ..publish() });
        "PUBLISH to a topic of a slash", V311, "30 * </> 'hi'" => Exactly Packet::Publish(Publish { topic: "/", ..publish() });
        "PUBLISH to a topic that begins with a dollar", V5, "30 * <$SYS/x> [ ] 'hi'"
            => Exactly Packet::Publish(Publish { topic: "$SYS/x", ..publish() });
        "PUBLISH with a payload that is not text", V311, "30 * <a/b> 00FF23"
            => Exactly Packet::Publish(Publish { payload: b"\x00\xFF#", ..publish() });
        "PUBLISH whose remaining length takes two bytes", V311, format!("30 * <a/b> '{LONG}'")
            => Exactly Packet::Publish(Publish { payload: LONG.as_bytes(), ..publish() });
        "PUBLISH 5 with an alias", V5, "30 * <a/b> [ 23 0001 ] 'hi'" => Exactly published(&[P::TopicAlias(1)]);
        "PUBLISH 5 with an alias instead of a topic", V5, "30 * <> [ 23 FFFF ] 'hi'"
            => Exactly Packet::Publish(Publish { topic: "", properties: properties(&[P::TopicAlias(65535)]), ..publish() });
        "PUBLISH 5 with every property", V5,
            "30 * <a/b> [ 01 00 02 0000003C 23 0002 08 <r/t> 09 0002 00FF 26 <k> <v> 26 <> <> 0B 01 0B FFFFFF7F 03 <text> ] 'hi'"
            => Exactly published(&[
                P::PayloadFormatIndicator(0), P::MessageExpiryInterval(60), P::TopicAlias(2), P::ResponseTopic("r/t"),
                P::CorrelationData(b"\x00\xFF"), P::UserProperty("k", "v"), P::UserProperty("", ""),
                P::SubscriptionIdentifier(1), P::SubscriptionIdentifier(268_435_455), P::ContentType("text"),
            ]);
        "PUBLISH 5 says UTF-8 but is not, which the codec leaves alone", V5, "30 * <a/b> [ 01 01 ] 'hi'"
            => Exactly published(&[P::PayloadFormatIndicator(1)]);
        "PUBLISH with an overlong remaining length in 3.1.1", V311, "30 8700 0003 'a/b' 6869" => Decodes published(&[]);
        "PUBLISH with QoS 3 [MQTT-3.3.1-4]", V311, "36 * <a/b> 0001 'hi'" => Refused Malformed;
        "PUBLISH 5 with QoS 3 [MQTT-3.3.1-4]", V5, "36 * <a/b> 0001 [ ] 'hi'" => Refused Malformed;
        "PUBLISH with QoS 0 and DUP [MQTT-3.3.1-2]", V311, "38 * <a/b> 'hi'" => Refused Malformed;
        "PUBLISH with identifier 0 [MQTT-2.2.1-3]", V311, "32 * <a/b> 0000 'hi'" => Refused Protocol;
        "PUBLISH before CONNECT [MQTT-3.1.0-1]", None, "30 07 0003 'a/b' 6869" => Refused Protocol;
        "PUBLISH of nothing", V311, "30 00" => Refused Malformed;
        "PUBLISH 5 of nothing", V5, "30 00" => Refused Malformed;
        "PUBLISH whose topic points past the end", V311, "30 * 0004 'a/b'" => Refused Malformed;
        "PUBLISH without its identifier", V311, "32 * <a/b>" => Refused Malformed;
        "PUBLISH with half an identifier", V311, "32 * <a/b> 00" => Refused Malformed;
        "PUBLISH 5 without a property length", V5, "30 * <a/b>" => Refused Malformed;
        "PUBLISH 5 whose properties point past the end", V5, "30 * <a/b> 05 23 0001" => Refused Malformed;
        "PUBLISH 5 whose property is cut by the property length", V5, "30 * <a/b> 02 23 0001 'hi'" => Refused Malformed;
        "PUBLISH 5 whose property length is cut", V5, "30 * <a/b> 80" => Refused Malformed;
        "PUBLISH to a plus [MQTT-3.3.2-2]", V311, "30 * <a/+> 'hi'" => Refused TopicName;
        "PUBLISH to a hash [MQTT-3.3.2-2]", V5, "30 * <#> [ ] 'hi'" => Refused TopicName;
        "PUBLISH to a wildcard inside a level [MQTT-3.3.2-2]", V31, "30 * <a+b> 'hi'" => Refused TopicName;
        "PUBLISH 3.1.1 to an empty topic [MQTT-4.7.3-1]", V311, "30 * <> 'hi'" => Refused TopicName;
        "PUBLISH 5 to an empty topic without an alias", V5, "30 * <> [ ] 'hi'" => Refused Protocol;
        "PUBLISH to a null character [MQTT-4.7.3-2]", V311, "30 * 0001 00 'hi'" => Refused Malformed;
        "PUBLISH to ill-formed UTF-8 [MQTT-1.5.4-1]", V311, "30 * 0001 FF 'hi'" => Refused Malformed;
        "PUBLISH 5 with alias 0 [MQTT-3.3.2-8]", V5, "30 * <a/b> [ 23 0000 ] 'hi'" => Refused Protocol;
        "PUBLISH 5 with two aliases", V5, "30 * <a/b> [ 23 0001 23 0001 ] 'hi'" => Refused Protocol;
        "PUBLISH 5 with subscription identifier 0", V5, "30 * <a/b> [ 0B 00 ] 'hi'" => Refused Protocol;
        "PUBLISH 5 with an overlong subscription identifier [MQTT-1.5.5-1]", V5, "30 * <a/b> [ 0B 8100 ] 'hi'" => Refused Malformed;
        "PUBLISH 5 with payload format 2", V5, "30 * <a/b> [ 01 02 ] 'hi'" => Refused Protocol;
        "PUBLISH 5 with a wildcard in the response topic [MQTT-3.3.2-14]", V5, "30 * <a/b> [ 08 <r/#> ] 'hi'" => Refused Protocol;
        "PUBLISH 5 with a null character in the content type", V5, "30 * <a/b> [ 03 0001 00 ] 'hi'" => Refused Malformed;
        "PUBLISH 5 with a session expiry", V5, "30 * <a/b> [ 11 00000001 ] 'hi'" => Refused Malformed;
        "PUBLISH 5 with a property that does not exist", V5, "30 * <a/b> [ 04 00 ] 'hi'" => Refused Malformed;
        "PUBLISH 5 with property 0", V5, "30 * <a/b> [ 00 ] 'hi'" => Refused Malformed;
        "PUBLISH 5 with property 127", V5, "30 * <a/b> [ 7F 00 ] 'hi'" => Refused Malformed;
        "PUBLISH 5 with an overlong property identifier", V5, "30 * <a/b> [ 8100 00 ] 'hi'" => Refused Malformed;
        "PUBLISH 5 with two content types", V5, "30 * <a/b> [ 03 <t> 03 <t> ] 'hi'" => Refused Protocol;
        "PUBLISH 5 with a user property that lacks its value", V5, "30 * <a/b> [ 26 <k> ] 'hi'" => Refused Malformed;
    }
}

fn ack_rows(rows: &mut Vec<Row>) {
    let full = [P::ReasonString("r"), P::UserProperty("k", "v")];
    rows! { rows;
        "PUBACK 3.1.1", V311, "40 02 0001" => Exactly Packet::PubAck(ack(1, R::Success, &[]));
        "PUBREC 3.1", V31, "50 02 0002" => Exactly Packet::PubRec(ack(2, R::Success, &[]));
        "PUBREL 3.1.1", V311, "62 02 0003" => Exactly Packet::PubRel(ack(3, R::Success, &[]));
        "PUBREL 3.1 repeated", V31, "6A 02 0003" => Decodes Packet::PubRel(ack(3, R::Success, &[]));
        "PUBCOMP 3.1.1", V311, "70 02 FFFF" => Exactly Packet::PubComp(ack(65535, R::Success, &[]));
        "PUBACK 5 in two bytes", V5, "40 02 0001" => Exactly Packet::PubAck(ack(1, R::Success, &[]));
        "PUBACK 5 in three bytes", V5, "40 03 0001 87" => Exactly Packet::PubAck(ack(1, R::NotAuthorized, &[]));
        "PUBACK 5 in three bytes though successful", V5, "40 03 0001 00" => Decodes Packet::PubAck(ack(1, R::Success, &[]));
        "PUBACK 5 in four bytes", V5, "40 04 0001 10 00" => Decodes Packet::PubAck(ack(1, R::NoMatchingSubscribers, &[]));
        "PUBACK 5 with properties", V5, "40 * 0001 97 [ 1F <r> 26 <k> <v> ]" => Exactly Packet::PubAck(ack(1, R::QuotaExceeded, &full));
        "PUBACK 5 successful with properties", V5, "40 * 0001 00 [ 1F <r> 26 <k> <v> ]" => Exactly Packet::PubAck(ack(1, R::Success, &full));
        "PUBREC 5 with properties", V5, "50 * 0001 91 [ 1F <r> 26 <k> <v> ]" => Exactly Packet::PubRec(ack(1, R::PacketIdentifierInUse, &full));
        "PUBREL 5 with properties", V5, "62 * 0001 92 [ 1F <r> 26 <k> <v> ]" => Exactly Packet::PubRel(ack(1, R::PacketIdentifierNotFound, &full));
        "PUBCOMP 5 in three bytes", V5, "70 03 0001 92" => Exactly Packet::PubComp(ack(1, R::PacketIdentifierNotFound, &[]));
        "PUBCOMP 5 with properties", V5, "70 * 0001 00 [ 1F <r> 26 <k> <v> ]" => Exactly Packet::PubComp(ack(1, R::Success, &full));
        "PUBACK with flags [MQTT-2.1.3-1]", V311, "42 02 0001" => Refused Malformed;
        "PUBREL without its flags [MQTT-3.6.1-1]", V311, "60 02 0001" => Refused Malformed;
        "PUBREL 3.1.1 with DUP [MQTT-3.6.1-1]", V311, "6A 02 0001" => Refused Malformed;
        "PUBREL 5 with all flags [MQTT-3.6.1-1]", V5, "6F 02 0001" => Refused Malformed;
        "PUBREL 3.1 with retain", V31, "63 02 0001" => Refused Malformed;
        "PUBACK with identifier 0", V311, "40 02 0000" => Refused Protocol;
        "PUBREL 5 with identifier 0", V5, "62 02 0000" => Refused Protocol;
        "PUBACK of nothing", V311, "40 00" => Refused Malformed;
        "PUBREC of one byte", V5, "50 01 00" => Refused Malformed;
        "PUBACK 3.1.1 with a reason", V311, "40 03 0001 00" => Refused Malformed;
        "PUBACK 5 with a reason of another packet", V5, "40 03 0001 92" => Refused Protocol;
        "PUBREC 5 with a reason of another packet", V5, "50 03 0001 01" => Refused Protocol;
        "PUBREL 5 with a reason of another packet", V5, "62 03 0001 87" => Refused Protocol;
        "PUBCOMP 5 with a reason that does not exist", V5, "70 03 0001 42" => Refused Protocol;
        "PUBACK 5 with two reason strings", V5, "40 * 0001 00 [ 1F <r> 1F <r> ]" => Refused Protocol;
        "PUBACK 5 with an alias", V5, "40 * 0001 00 [ 23 0001 ]" => Refused Malformed;
        "PUBACK 5 whose properties point past the end", V5, "40 * 0001 00 09 1F <r>" => Refused Malformed;
        "PUBACK 5 with bytes after the properties", V5, "40 * 0001 00 [ ] 00" => Refused Malformed;
    }
}

fn subscribe_rows(rows: &mut Vec<Row>) {
    let options = SubscriptionOptions {
        qos: ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
    };
    rows! { rows;
        "SUBSCRIBE 3.1.1", V311, "82 08 000A 0003 'a/b' 01" => Exactly subscribe(&[filter("a/b", AtLeastOnce)], &[]);
        "SUBSCRIBE 3.1", V31, "82 * 000A <a/#> 02" => Exactly subscribe(&[filter("a/#", ExactlyOnce)], &[]);
        "SUBSCRIBE 3.1 repeated", V31, "8A * 000A <a/#> 02" => Decodes subscribe(&[filter("a/#", ExactlyOnce)], &[]);
        "SUBSCRIBE to several filters", V311, "82 * 000A <a> 00 <+/b> 01 <c/#> 02"
            => Exactly subscribe(&[filter("a", AtMostOnce), filter("+/b", AtLeastOnce), filter("c/#", ExactlyOnce)], &[]);
        "SUBSCRIBE 5", V5, "82 * 000A [ ] <a/b> 01" => Exactly subscribe(&[filter("a/b", AtLeastOnce)], &[]);
        "SUBSCRIBE 5 with every option", V5, "82 * 000A [ ] <a/b> 2E" => Exactly subscribe(&[SubscribeFilter { filter: "a/b", options }], &[]);
        "SUBSCRIBE 5 with retain handling 1", V5, "82 * 000A [ ] <a/b> 10" => Exactly subscribe(&[SubscribeFilter {
            filter: "a/b", options: SubscriptionOptions { retain_handling: RetainHandling::IfNew, ..Default::default() },
        }], &[]);
        "SUBSCRIBE 5 with every property", V5, "82 * 000A [ 0B 8001 26 <k> <v> ] <a/b> 00"
            => Exactly subscribe(&[filter("a/b", AtMostOnce)], &[P::SubscriptionIdentifier(128), P::UserProperty("k", "v")]);
        "SUBSCRIBE 5 to a shared subscription", V5, "82 * 000A [ ] <$share/g/a> 01" => Exactly subscribe(&[filter("$share/g/a", AtLeastOnce)], &[]);
        "SUBSCRIBE to a filter whose syntax others check", V311, "82 * 000A <a/#/b> 00 <> 00"
            => Exactly subscribe(&[filter("a/#/b", AtMostOnce), filter("", AtMostOnce)], &[]);
        "SUBACK 3.1.1", V311, "90 * 000A 00 01 02 80" => Exactly suback(&[R::Success, R::GrantedQoS1, R::GrantedQoS2, R::UnspecifiedError], &[]);
        "SUBACK 3.1", V31, "90 * 000A 01" => Exactly suback(&[R::GrantedQoS1], &[]);
        "SUBACK 5", V5, "90 * 000A [ 1F <r> 26 <k> <v> ] 02 87 8F"
            => Exactly suback(&[R::GrantedQoS2, R::NotAuthorized, R::TopicFilterInvalid], &[P::ReasonString("r"), P::UserProperty("k", "v")]);
        "SUBSCRIBE without its flags [MQTT-3.8.1-1]", V311, "80 * 000A <a/b> 01" => Refused Malformed;
        "SUBSCRIBE 5 with DUP [MQTT-3.8.1-1]", V5, "8A * 000A [ ] <a/b> 01" => Refused Malformed;
        "SUBSCRIBE with identifier 0 [MQTT-2.2.1-3]", V311, "82 * 0000 <a/b> 01" => Refused Protocol;
        "SUBSCRIBE without filters [MQTT-3.8.3-2]", V311, "82 02 000A" => Refused Protocol;
        "SUBSCRIBE 5 without filters [MQTT-3.8.3-2]", V5, "82 * 000A [ ]" => Refused Protocol;
        "SUBSCRIBE of nothing", V5, "82 00" => Refused Malformed;
        "SUBSCRIBE without options", V311, "82 * 000A <a/b>" => Refused Malformed;
        "SUBSCRIBE whose second filter lacks its options", V5, "82 * 000A [ ] <a> 00 <b>" => Refused Malformed;
        "SUBSCRIBE whose filter points past the end", V311, "82 * 000A 0005 'a/b' 01" => Refused Malformed;
        "SUBSCRIBE with QoS 3 [MQTT-3.8.3-4 of 3.1.1]", V311, "82 * 000A <a/b> 03" => Refused Malformed;
        "SUBSCRIBE 5 with QoS 3", V5, "82 * 000A [ ] <a/b> 03" => Refused Protocol;
        "SUBSCRIBE 3.1.1 with an option of version 5", V311, "82 * 000A <a/b> 04" => Refused Malformed;
        "SUBSCRIBE 5 with a reserved option bit [MQTT-3.8.3-5]", V5, "82 * 000A [ ] <a/b> 40" => Refused Malformed;
        "SUBSCRIBE 5 with both reserved option bits [MQTT-3.8.3-5]", V5, "82 * 000A [ ] <a/b> C1" => Refused Malformed;
        "SUBSCRIBE 5 with retain handling 3", V5, "82 * 000A [ ] <a/b> 30" => Refused Protocol;
        "SUBSCRIBE 5 with no local on a shared subscription [MQTT-3.8.3-4]", V5, "82 * 000A [ ] <$share/g/a> 04" => Refused Protocol;
        "SUBSCRIBE 5 with subscription identifier 0", V5, "82 * 000A [ 0B 00 ] <a/b> 00" => Refused Protocol;
        "SUBSCRIBE 5 with two subscription identifiers", V5, "82 * 000A [ 0B 01 0B 02 ] <a/b> 00" => Refused Protocol;
        "SUBSCRIBE 5 with a reason string", V5, "82 * 000A [ 1F <r> ] <a/b> 00" => Refused Malformed;
        "SUBSCRIBE with a null character in the filter [MQTT-4.7.3-2]", V311, "82 * 000A 0003 610062 00" => Refused Malformed;
        "SUBACK without codes", V311, "90 02 000A" => Refused Protocol;
        "SUBACK 3.1.1 with a reason of version 5", V311, "90 * 000A 87" => Refused Protocol;
        "SUBACK 5 with a reason of another packet", V5, "90 * 000A [ ] 11" => Refused Protocol;
        "SUBACK 5 with a subscription identifier", V5, "90 * 000A [ 0B 01 ] 00" => Refused Malformed;
        "SUBACK with identifier 0", V311, "90 * 0000 00" => Refused Protocol;
    }
}

fn unsubscribe_rows(rows: &mut Vec<Row>) {
    rows! { rows;
        "UNSUBSCRIBE 3.1.1", V311, "A2 07 000A 0003 'a/b'" => Exactly unsubscribe(&["a/b"], &[]);
        "UNSUBSCRIBE 3.1 repeated", V31, "AA 07 000A 0003 'a/b'" => Decodes unsubscribe(&["a/b"], &[]);
        "UNSUBSCRIBE from several filters", V311, "A2 * 000A <a/b> <#>" => Exactly unsubscribe(&["a/b", "#"], &[]);
        "UNSUBSCRIBE 5", V5, "A2 * 000A [ 26 <k> <v> ] <a/b>" => Exactly unsubscribe(&["a/b"], &[P::UserProperty("k", "v")]);
        "UNSUBACK 3.1.1", V311, "B0 02 000A" => Exactly unsuback(&[], &[]);
        "UNSUBACK 3.1", V31, "B0 02 000A" => Exactly unsuback(&[], &[]);
        "UNSUBACK 5", V5, "B0 * 000A [ 1F <r> ] 00 11 87" => Exactly unsuback(&[R::Success, R::NoSubscriptionExisted, R::NotAuthorized], &[P::ReasonString("r")]);
        "UNSUBSCRIBE without its flags [MQTT-3.10.1-1]", V311, "A0 * 000A <a/b>" => Refused Malformed;
        "UNSUBSCRIBE without filters [MQTT-3.10.3-2]", V311, "A2 02 000A" => Refused Protocol;
        "UNSUBSCRIBE 5 without filters [MQTT-3.10.3-2]", V5, "A2 * 000A [ ]" => Refused Protocol;
        "UNSUBSCRIBE with identifier 0 [MQTT-2.2.1-3]", V311, "A2 * 0000 <a/b>" => Refused Protocol;
        "UNSUBSCRIBE whose filter points past the end", V311, "A2 * 000A 0004 'a/b'" => Refused Malformed;
        "UNSUBSCRIBE with half a length", V311, "A2 * 000A <a/b> 00" => Refused Malformed;
        "UNSUBSCRIBE 5 with a subscription identifier", V5, "A2 * 000A [ 0B 01 ] <a/b>" => Refused Malformed;
        "UNSUBACK 3.1.1 with a code", V311, "B0 03 000A 00" => Refused Malformed;
        "UNSUBACK 5 without codes", V5, "B0 * 000A [ ]" => Refused Protocol;
        "UNSUBACK 5 with a reason of another packet", V5, "B0 * 000A [ ] 01" => Refused Protocol;
    }
}

fn closing_rows(rows: &mut Vec<Row>) {
    rows! { rows;
        "PINGREQ", V311, "C0 00" => Exactly Packet::PingReq;
        "PINGRESP", V5, "D0 00" => Exactly Packet::PingResp;
        "PINGREQ with a body", V311, "C0 01 00" => Refused Malformed;
        "PINGRESP with flags [MQTT-2.1.3-1]", V5, "D1 00" => Refused Malformed;
        "PINGREQ before CONNECT [MQTT-3.1.0-1]", None, "C0 00" => Refused Protocol;
        "DISCONNECT 3.1", V31, "E0 00" => Exactly disconnect(R::Success, &[]);
        "DISCONNECT 3.1.1", V311, "E0 00" => Exactly disconnect(R::Success, &[]);
        "DISCONNECT 5 of nothing", V5, "E0 00" => Exactly disconnect(R::Success, &[]);
        "DISCONNECT 5 of a reason", V5, "E0 01 04" => Exactly disconnect(R::DisconnectWithWill, &[]);
        "DISCONNECT 5 without properties", V5, "E0 02 8B 00" => Decodes disconnect(R::ServerShuttingDown, &[]);
        "DISCONNECT 5 with every property", V5, "E0 * 9D [ 11 00000005 1F <r> 26 <k> <v> 1C <other> ]"
            => Exactly disconnect(R::ServerMoved, &[
                P::SessionExpiryInterval(5), P::ReasonString("r"), P::UserProperty("k", "v"), P::ServerReference("other"),
            ]);
        "DISCONNECT 3.1.1 with a body", V311, "E0 01 00" => Refused Malformed;
        "DISCONNECT with flags [MQTT-3.14.1-1]", V5, "E2 00" => Refused Malformed;
        "DISCONNECT 5 with a reason of another packet", V5, "E0 01 18" => Refused Protocol;
        "DISCONNECT 5 with a reason that does not exist", V5, "E0 01 03" => Refused Protocol;
        "DISCONNECT 5 with two session expiry intervals", V5, "E0 * 00 [ 11 00000005 11 00000005 ]" => Refused Protocol;
        "DISCONNECT 5 with a receive maximum", V5, "E0 * 00 [ 21 0005 ]" => Refused Malformed;
        "DISCONNECT 5 with bytes after the properties", V5, "E0 * 00 [ ] 00" => Refused Malformed;
        "AUTH success of nothing", V5, "F0 00" => Exactly auth(R::Success, &[]);
        "AUTH success written out", V5, "F0 02 00 00" => Decodes auth(R::Success, &[]);
        "AUTH continue", V5, "F0 * 18 [ 15 <m> 16 <d> 1F <r> 26 <k> <v> ]" => Exactly auth(R::ContinueAuthentication, &[
            P::AuthenticationMethod("m"), P::AuthenticationData(b"d"), P::ReasonString("r"), P::UserProperty("k", "v"),
        ]);
        "AUTH again", V5, "F0 * 19 [ 15 <m> ]" => Exactly auth(R::ReAuthenticate, &[P::AuthenticationMethod("m")]);
        "AUTH in 3.1.1", V311, "F0 00" => Refused Malformed;
        "AUTH in 3.1", V31, "F0 00" => Refused Malformed;
        "AUTH before CONNECT [MQTT-3.1.0-1]", None, "F0 00" => Refused Protocol;
        "AUTH with flags [MQTT-3.15.1-1]", V5, "F1 00" => Refused Malformed;
        "AUTH without a method", V5, "F0 02 18 00" => Refused Protocol;
        "AUTH of a reason alone", V5, "F0 01 19" => Refused Protocol;
        "AUTH with data but no method", V5, "F0 * 00 [ 16 <d> ]" => Refused Protocol;
        "AUTH with a reason of another packet", V5, "F0 * 87 [ 15 <m> ]" => Refused Protocol;
    }
}

fn framing_rows(rows: &mut Vec<Row>) {
    rows! { rows;
        "packet type 0", V311, "00 00" => Refused Malformed;
        "packet type 0 in version 5", V5, "00 00" => Refused Malformed;
        "packet type 0 before CONNECT", None, "00 00" => Refused Protocol;
        "an HTTP request", None, "'GET' 20 '/' 20 'HTTP/1.1'" => Refused Protocol;
        "a TLS hello", None, "16 03 01 02 00 01" => Refused Malformed;
        "a remaining length of five bytes", V311, "30 8080808001" => Refused Malformed;
        "a remaining length of five bytes before its fifth has come", V5, "30 FFFFFFFF" => Refused Malformed;
        "an overlong remaining length in version 5 [MQTT-1.5.5-1]", V5, "C0 8000" => Refused Malformed;
        "an overlong remaining length of four bytes in version 5 [MQTT-1.5.5-1]", V5, "C0 80808000" => Refused Malformed;
        "an overlong remaining length in 3.1.1", V311, "C0 80808000" => Decodes Packet::PingReq;
        "a PUBLISH over the limit, refused by its header", V5, "30 FE07" => Refused TooLarge;
        "a PUBLISH of 256 MiB, refused by its header", V311, "30 FFFFFF7F" => Refused TooLarge;
        "a CONNECT over the limit, refused by its header", None, "10 FFFF7F" => Refused TooLarge;
    }
}

/// Each property in a place where it may not stand, so that the table of places is checked row by row.
fn property_rows(rows: &mut Vec<Row>) {
    rows! { rows;
        "payload format in CONNECT", None, "10 * <MQTT> 05 02 003C [ 01 01 ] <dev>" => Refused Malformed;
        "message expiry in CONNACK", V5, "20 * 00 00 [ 02 00000001 ]" => Refused Malformed;
        "content type in SUBSCRIBE", V5, "82 * 000A [ 03 <t> ] <a> 00" => Refused Malformed;
        "response topic in PUBACK", V5, "40 * 0001 00 [ 08 <t> ]" => Refused Malformed;
        "correlation data in DISCONNECT", V5, "E0 * 00 [ 09 <t> ]" => Refused Malformed;
        "subscription identifier in a will", None, "10 * <MQTT> 05 06 003C [ ] <dev> [ 0B 01 ] <w> <bye>" => Refused Malformed;
        "assigned client identifier in CONNECT", None, "10 * <MQTT> 05 02 003C [ 12 <t> ] <dev>" => Refused Malformed;
        "server keep alive in CONNECT", None, "10 * <MQTT> 05 02 003C [ 13 0001 ] <dev>" => Refused Malformed;
        "authentication method in DISCONNECT", V5, "E0 * 00 [ 15 <t> ]" => Refused Malformed;
        "authentication data in PUBLISH", V5, "30 * <a> [ 16 <t> ]" => Refused Malformed;
        "request problem information in CONNACK", V5, "20 * 00 00 [ 17 01 ]" => Refused Malformed;
        "request response information in CONNACK", V5, "20 * 00 00 [ 19 01 ]" => Refused Malformed;
        "response information in CONNECT", None, "10 * <MQTT> 05 02 003C [ 1A <t> ] <dev>" => Refused Malformed;
        "server reference in CONNECT", None, "10 * <MQTT> 05 02 003C [ 1C <t> ] <dev>" => Refused Malformed;
        "reason string in PUBLISH", V5, "30 * <a> [ 1F <t> ]" => Refused Malformed;
        "reason string in UNSUBSCRIBE", V5, "A2 * 000A [ 1F <t> ] <a>" => Refused Malformed;
        "receive maximum in PUBREC", V5, "50 * 0001 00 [ 21 0001 ]" => Refused Malformed;
        "topic alias maximum in AUTH", V5, "F0 * 18 [ 15 <m> 22 0001 ]" => Refused Malformed;
        "topic alias in CONNACK", V5, "20 * 00 00 [ 23 0001 ]" => Refused Malformed;
        "maximum QoS in CONNECT", None, "10 * <MQTT> 05 02 003C [ 24 01 ] <dev>" => Refused Malformed;
        "retain available in CONNECT", None, "10 * <MQTT> 05 02 003C [ 25 01 ] <dev>" => Refused Malformed;
        "maximum packet size in UNSUBACK", V5, "B0 * 000A [ 27 00000001 ] 00" => Refused Malformed;
        "wildcard subscription available in CONNECT", None, "10 * <MQTT> 05 02 003C [ 28 01 ] <dev>" => Refused Malformed;
        "subscription identifier available in PUBREL", V5, "62 * 0001 00 [ 29 01 ]" => Refused Malformed;
        "shared subscription available in PUBCOMP", V5, "70 * 0001 00 [ 2A 01 ]" => Refused Malformed;
    }
}
