//! Subject alternative names: what a server may be called by those who connect to it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rcgen::SanType;

/// A DNS name or an address under which a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum San {
    /// A host name in ASCII, or `*.` and a domain.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// Why a text is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SanError {
    /// A letter outside ASCII.
    #[error("a DNS name is written in ASCII: give its form that begins with xn--")]
    NotAscii,
    /// Anything else.
    #[error("neither an IP address nor a DNS name (labels of letters, digits, - and _, joined by dots)")]
    Neither,
}

impl FromStr for San {
    type Err = SanError;

    fn from_str(text: &str) -> Result<Self, SanError> {
        if let Ok(address) = text.parse() {
            return Ok(San::Ip(address));
        }
        if !text.is_ascii() {
            return Err(SanError::NotAscii);
        }
        let host = text.strip_prefix("*.").unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A name whose last label is a number is an address with a mistake in it.
        let number = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|c| c.is_ascii_digit()));
        if text.len() > 253 || number || !host.split('.').all(label) {
            return Err(SanError::Neither);
        }
        Ok(San::Dns(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            San::Dns(name) => f.write_str(name),
            San::Ip(address) => address.fmt(f),
        }
    }
}

impl San {
    /// As the library that writes certificates has it.
    pub(super) fn to_type(&self) -> Result<SanType, rcgen::Error> {
        Ok(match self {
            San::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
            San::Ip(address) => SanType::IpAddress(*address),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_host_names_are_told_apart() {
        assert_eq!("192.168.1.5".parse(), Ok(San::Ip([192, 168, 1, 5].into())));
        assert_eq!("::1".parse(), Ok(San::Ip(std::net::Ipv6Addr::LOCALHOST.into())));
        for name in ["localhost", "gateway.example", "*.example.org", "xn--kche-0ra.example", "b8_27.lan"] {
            assert_eq!(name.parse(), Ok(San::Dns(name.into())));
        }
        assert_eq!("Gateway.Example".parse(), Ok(San::Dns("gateway.example".into())));
    }

    #[test]
    fn what_no_client_would_accept_is_refused() {
        assert_eq!("küche.example".parse::<San>(), Err(SanError::NotAscii));
        for text in [
            "",
            ".",
            "a.",
            "a..b",
            "-a",
            "a-.b",
            "a b",
            "*",
            "a.*.b",
            "300.1.1.1",
            "1.2.3",
            "::g",
            "a/b",
            "a:1883",
        ] {
            assert_eq!(text.parse::<San>(), Err(SanError::Neither), "{text:?}");
        }
        assert!("a.".repeat(127).parse::<San>().is_err());
    }
}
