//! Builders for the packets a client sends, in the three protocol versions.

use super::property::{self, Property, block, variable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V31 = 3,
    V311 = 4,
    V5 = 5,
}

pub const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// A whole packet: first byte, remaining length, body.
pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(variable(body.len() as u32));
    bytes.extend(body);
    bytes
}

/// CONNECT. Clean, keep alive 60 s, no login and no will unless told otherwise.
#[derive(Clone, Debug)]
pub struct Connect {
    pub version: Version,
    pub client_id: String,
    pub clean: bool,
    pub keep_alive: u16,
    pub will: Option<Will>,
    pub user: Option<String>,
    pub password: Option<Vec<u8>>,
    pub properties: Vec<Property>,
}

impl Connect {
    pub fn new(version: Version, client_id: &str) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            clean: true,
            keep_alive: 60,
            will: None,
            user: None,
            password: None,
            properties: Vec::new(),
        }
    }

    pub fn v311(client_id: &str) -> Self {
        Self::new(Version::V311, client_id)
    }

    pub fn v5(client_id: &str) -> Self {
        Self::new(Version::V5, client_id)
    }

    /// A session that outlives the connection: clean session / clean start 0, and in v5 an expiry of an hour.
    pub fn keep_session(mut self) -> Self {
        self.clean = false;
        if self.version == Version::V5 {
            self.properties.push(property::session_expiry(3600));
        }
        self
    }

    pub fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.user = Some(user.into());
        self.password = Some(password.into());
        self
    }

    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.into());
        self
    }

    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        let name: &[u8] = if self.version == Version::V31 { b"MQIsdp" } else { b"MQTT" };
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        flags |= u8::from(self.password.is_some()) << 6 | u8::from(self.user.is_some()) << 7;
        let mut body = block(name);
        body.extend([self.version as u8, flags]);
        body.extend(self.keep_alive.to_be_bytes());
        if self.version == Version::V5 {
            body.extend(property::encode(&self.properties));
        }
        body.extend(block(self.client_id.as_bytes()));
        if let Some(will) = &self.will {
            if self.version == Version::V5 {
                body.extend(property::encode(&will.properties));
            }
            body.extend(block(will.topic.as_bytes()));
            body.extend(block(&will.payload));
        }
        if let Some(user) = &self.user {
            body.extend(block(user.as_bytes()));
        }
        if let Some(password) = &self.password {
            body.extend(block(password));
        }
        frame(0x10, &body)
    }
}

#[derive(Clone, Debug)]
pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub properties: Vec<Property>,
}

impl Will {
    pub fn new(topic: &str, payload: &str) -> Self {
        Self { topic: topic.into(), payload: payload.into(), qos: 0, retain: false, properties: Vec::new() }
    }

    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }
}

/// PUBLISH, as sent and as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    pub dup: bool,
    pub qos: u8,
    pub retain: bool,
    pub topic: String,
    pub id: Option<u16>,
    pub properties: Vec<Property>,
    pub payload: Vec<u8>,
}

impl Publish {
    /// QoS 0, not retained, empty.
    pub fn to(topic: &str) -> Self {
        Self {
            dup: false,
            qos: 0,
            retain: false,
            topic: topic.into(),
            id: None,
            properties: Vec::new(),
            payload: Vec::new(),
        }
    }

    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    pub fn id(mut self, id: u16) -> Self {
        self.id = Some(id);
        self
    }

    pub fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub fn payload(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.payload = payload.as_ref().to_vec();
        self
    }

    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("the payloads of the tests are text")
    }

    pub fn encode(&self, version: Version) -> Vec<u8> {
        let mut body = block(self.topic.as_bytes());
        if self.qos > 0 {
            body.extend(self.id.expect("QoS 1 and 2 carry a packet identifier").to_be_bytes());
        }
        if version == Version::V5 {
            body.extend(property::encode(&self.properties));
        }
        body.extend(&self.payload);
        frame(0x30 | u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain), &body)
    }
}

pub const NO_LOCAL: u8 = 0x04;
pub const RETAIN_AS_PUBLISHED: u8 = 0x08;
/// Retain handling 1: retained messages only if the subscription is new.
pub const RETAINED_IF_NEW: u8 = 0x10;
/// Retain handling 2: no retained messages.
pub const RETAINED_NEVER: u8 = 0x20;

/// SUBSCRIBE: filters with their option byte (in 3.x the QoS).
#[derive(Clone, Debug, Default)]
pub struct Subscribe {
    pub filters: Vec<(String, u8)>,
    pub properties: Vec<Property>,
}

impl Subscribe {
    pub fn to(filter: &str, options: u8) -> Self {
        Self::default().and(filter, options)
    }

    pub fn and(mut self, filter: &str, options: u8) -> Self {
        self.filters.push((filter.into(), options));
        self
    }

    pub fn with(mut self, property: Property) -> Self {
        self.properties.push(property);
        self
    }

    pub fn encode(&self, version: Version, id: u16) -> Vec<u8> {
        let mut body = id.to_be_bytes().to_vec();
        if version == Version::V5 {
            body.extend(property::encode(&self.properties));
        }
        for (filter, options) in &self.filters {
            body.extend(block(filter.as_bytes()));
            body.push(*options);
        }
        frame(0x82, &body)
    }
}

pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        body.extend(block(filter.as_bytes()));
    }
    frame(0xA2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP in the short form (success).
pub fn ack(kind: u8, id: u16) -> Vec<u8> {
    frame(if kind == PUBREL { 0x62 } else { kind << 4 }, &id.to_be_bytes())
}

pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;

pub const PINGREQ: [u8; 2] = [0xC0, 0];
/// DISCONNECT, normal; valid in every version.
pub const DISCONNECT: [u8; 2] = [0xE0, 0];

/// DISCONNECT of v5 with a reason code and properties.
pub fn disconnect_v5(code: u8, properties: &[Property]) -> Vec<u8> {
    let mut body = vec![code];
    body.extend(property::encode(properties));
    frame(0xE0, &body)
}
