//! Where a remote broker is.

use std::{fmt, net::IpAddr, path::Path};

use toml::de::DeValue;

use crate::config::error::quoted;
use crate::config::scalar::{Fault, Scalar};

/// How a remote broker is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// MQTT over TCP.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
    /// MQTT over WebSocket.
    Ws,
    /// MQTT over WebSocket over TLS.
    Wss,
}

impl Scheme {
    const ALL: [(&str, Scheme, u16); 4] = [
        ("mqtt", Scheme::Mqtt, 1883),
        ("mqtts", Scheme::Mqtts, 8883),
        ("ws", Scheme::Ws, 80),
        ("wss", Scheme::Wss, 443),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, scheme, _)| *scheme == self).map_or("", |(name, ..)| name)
    }

    /// Whether it is encrypted.
    pub fn has_tls(self) -> bool {
        matches!(self, Scheme::Mqtts | Scheme::Wss)
    }

    /// Whether it is WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Scheme::Ws | Scheme::Wss)
    }
}

/// The address of a remote broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAddress {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Host name or IP address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path of the WebSocket, from its slash on; empty for MQTT over TCP.
    pub path: String,
}

impl RemoteAddress {
    fn read(written: &str) -> Option<Self> {
        let (scheme, rest) = written.split_once("://")?;
        let (_, scheme, default_port) = *Scheme::ALL.iter().find(|(name, ..)| *name == scheme)?;
        let (place, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().ok().filter(|port: &u16| *port > 0)?)
            }
            _ => (place, default_port),
        };
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|host| host.parse::<std::net::Ipv6Addr>().is_ok())?,
            None => host,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        let path_is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
        let path = match (scheme.is_websocket(), path) {
            (false, "" | "/") => "",
            (false, _) => return None,
            (true, "" | "/") => "/mqtt",
            (true, path) => path,
        };
        (!host.is_empty() && host.chars().all(plain) && path_is_plain).then(|| RemoteAddress {
            scheme,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    /// Whether it leads to this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }

    /// Host and port, with the brackets that an IPv6 address needs.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)
    }
}

/// One address or several.
pub(super) enum Addresses {}

impl Scalar for Addresses {
    type Value = Vec<RemoteAddress>;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Vec<RemoteAddress>, Fault> {
        const HELP: &str = "mqtt://HOST:PORT, mqtts://HOST:PORT, ws://HOST:PORT/PATH or wss://HOST:PORT/PATH, or a list of these; \
             a password belongs into password_file";
        let one = |value: &DeValue<'_>| {
            let written = value.as_str().ok_or_else(|| Fault::wrong_type("an address", value, HELP))?;
            RemoteAddress::read(written)
                // It may hold a password.
                .ok_or_else(|| Fault::new(format!("is no address: {}", quoted(&without_user(written))), HELP))
        };
        let Some(list) = value.as_array() else { return Ok(vec![one(value)?]) };
        let addresses = list.iter().map(|item| one(item.get_ref())).collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() || addresses.len() > 16 {
            return Err(Fault::new("has no address, or more than 16", HELP));
        }
        Ok(addresses)
    }

    fn show(addresses: &Vec<RemoteAddress>) -> String {
        format!("{:?}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    const EXAMPLE: Option<&'static str> = Some("mqtts://cloud.example:8883");
}

/// The address without what stands before an `@`.
fn without_user(written: &str) -> String {
    match (written.split_once("://"), written.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => written.to_owned(),
    }
}
