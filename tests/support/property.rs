//! Properties of MQTT 5 (section 2.2.2 of the specification), for building and for reading packets.

/// The value of a property in its type on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    Text(String),
    Binary(Vec<u8>),
    Pair(String, String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    pub id: u8,
    pub value: Value,
}

pub const PAYLOAD_FORMAT: u8 = 0x01;
pub const MESSAGE_EXPIRY: u8 = 0x02;
pub const CONTENT_TYPE: u8 = 0x03;
pub const RESPONSE_TOPIC: u8 = 0x08;
pub const CORRELATION_DATA: u8 = 0x09;
pub const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
pub const SESSION_EXPIRY: u8 = 0x11;
pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub const SERVER_KEEP_ALIVE: u8 = 0x13;
pub const AUTHENTICATION_METHOD: u8 = 0x15;
pub const REASON_STRING: u8 = 0x1F;
pub const RECEIVE_MAXIMUM: u8 = 0x21;
pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub const TOPIC_ALIAS: u8 = 0x23;
pub const USER_PROPERTY: u8 = 0x26;
pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;

macro_rules! builders {
    ($($name:ident($type:ty) = $id:expr, $make:expr;)*) => {
        $(pub fn $name(value: $type) -> Property {
            #[allow(clippy::redundant_closure_call)]
            Property { id: $id, value: ($make)(value) }
        })*
    };
}

builders! {
    payload_format(u8) = PAYLOAD_FORMAT, Value::Byte;
    message_expiry(u32) = MESSAGE_EXPIRY, Value::Four;
    content_type(&str) = CONTENT_TYPE, |v: &str| Value::Text(v.into());
    response_topic(&str) = RESPONSE_TOPIC, |v: &str| Value::Text(v.into());
    correlation_data(&[u8]) = CORRELATION_DATA, |v: &[u8]| Value::Binary(v.into());
    subscription_identifier(u32) = SUBSCRIPTION_IDENTIFIER, Value::Variable;
    session_expiry(u32) = SESSION_EXPIRY, Value::Four;
    authentication_method(&str) = AUTHENTICATION_METHOD, |v: &str| Value::Text(v.into());
    will_delay(u32) = 0x18, Value::Four;
    request_problem_information(u8) = 0x17, Value::Byte;
    receive_maximum(u16) = RECEIVE_MAXIMUM, Value::Two;
    topic_alias_maximum(u16) = TOPIC_ALIAS_MAXIMUM, Value::Two;
    topic_alias(u16) = TOPIC_ALIAS, Value::Two;
    maximum_packet_size(u32) = MAXIMUM_PACKET_SIZE, Value::Four;
}

pub fn user_property(name: &str, value: &str) -> Property {
    Property { id: USER_PROPERTY, value: Value::Pair(name.into(), value.into()) }
}

/// Encodes a property list with its length in front.
pub fn encode(properties: &[Property]) -> Vec<u8> {
    let mut body = Vec::new();
    for property in properties {
        body.push(property.id);
        match &property.value {
            Value::Byte(v) => body.push(*v),
            Value::Two(v) => body.extend(v.to_be_bytes()),
            Value::Four(v) => body.extend(v.to_be_bytes()),
            Value::Variable(v) => body.extend(variable(*v)),
            Value::Text(v) => body.extend(block(v.as_bytes())),
            Value::Binary(v) => body.extend(block(v)),
            Value::Pair(name, value) => {
                body.extend(block(name.as_bytes()));
                body.extend(block(value.as_bytes()));
            }
        }
    }
    let mut bytes = variable(body.len() as u32);
    bytes.extend(body);
    bytes
}

/// A variable byte integer.
pub fn variable(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Bytes with their length as two bytes in front.
pub fn block(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a string of a test fits in 65535 bytes");
    let mut block = length.to_be_bytes().to_vec();
    block.extend(bytes);
    block
}

/// The properties with this identifier, in their order.
pub fn all(properties: &[Property], id: u8) -> Vec<&Value> {
    properties.iter().filter(|p| p.id == id).map(|p| &p.value).collect()
}

/// The one property with this identifier, if it is there.
pub fn one(properties: &[Property], id: u8) -> Option<&Value> {
    let found = all(properties, id);
    assert!(found.len() <= 1, "property {id:#04x} stands {} times: {properties:?}", found.len());
    found.first().copied()
}
