//! Where a web service is, and what is sent along: addresses and headers.

use std::net::Ipv6Addr;
use std::path::Path;

use hyper::Uri;
use toml::de::DeValue;

use super::error::quoted;
use super::scalar::{Fault, Scalar};
use super::text::{show_text, text};

/// An address of a web service, which may be left out.
pub(super) enum OptionalUrl {}

impl Scalar for OptionalUrl {
    type Value = Option<String>;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<Option<String>, Fault> {
        const HELP: &str = "http:// or https://, a host and a path, without a name or password in it";
        let url = text(value, "https://auth.example/user")?;
        match is_url(url) {
            true => Ok(Some(url.to_owned())),
            false => Err(Fault::new(format!("is not an address: {}", quoted(url)), HELP)),
        }
    }

    fn show(value: &Option<String>) -> String {
        show_text(value.as_deref().unwrap_or_default())
    }

    const EXAMPLE: Option<&'static str> = Some("https://auth.example/path");
}

/// Whether a request can be sent there.
fn is_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    let host = authority.host();
    let Some(port) = authority.as_str().strip_prefix(host) else { return false };
    let in_brackets = host.strip_prefix('[').map(|host| host.strip_suffix(']').unwrap_or_default());
    // The library drops what stands behind a #.
    !text.contains('#')
        && matches!(uri.scheme_str(), Some("http" | "https"))
        && !host.is_empty()
        && in_brackets.is_none_or(|host| host.parse::<Ipv6Addr>().is_ok())
        && (port.is_empty() || authority.port_u16().is_some_and(|port| port > 0))
}

/// Headers that follow from the address and the body: with another value the service would read another request.
const OURS: [&str; 12] = [
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Expect",
    "Host",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// A header of a request: a name, a colon and a value. It may hold a secret, so its value is not repeated in errors.
pub(super) enum HeaderLine {}

impl Scalar for HeaderLine {
    type Value = String;

    fn parse(value: &DeValue<'_>, _: &Path) -> Result<String, Fault> {
        let line = text(value, "X-Key: secret")?;
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let Some((name, value)) = line.split_once(':').filter(|(name, value)| {
            !name.is_empty() && name.chars().all(token) && value.bytes().all(|b| (32..127).contains(&b))
        }) else {
            let help = "a name, a colon and a value, as \"X-Key: secret\"";
            return Err(Fault::new("holds what is no header", help));
        };
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            let what = format!("holds {}, which follows from the address and the body", quoted(name));
            return Err(Fault::new(what, "leave it out"));
        }
        if value.trim().is_empty() {
            return Err(Fault::new(format!("holds {} without a value", quoted(name)), "give it one"));
        }
        Ok(line.to_owned())
    }

    fn show(value: &String) -> String {
        show_text(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scalar::parse;
    use super::*;

    /// Bug: `http://[::1` passed, and every question failed.
    #[test]
    fn an_address_is_one_that_a_request_can_be_sent_to() {
        for right in [
            "http://127.0.0.1:8080/lampi/auth",
            "https://am.example/introspect?realm=edge",
            "http://[::1]:8080/x",
            "http://[fe80::1]",
            "https://h",
        ] {
            assert!(parse::<OptionalUrl>(&format!("{right:?}")).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "/auth",
            "ftp://h/x",
            "http://",
            "https://u:p@h/x",
            "https://u@h/x",
            "h:80",
            "http://[::1",
            "http://::1]",
            "http://[localhost]/",
            "http://[::1]x/",
            "http://h:99999/",
            "http://h:0/",
            "http://h:x/",
            "http://h:/",
            "http://h/a b",
            "http://h/#x",
            "http://h/\n",
        ] {
            assert!(parse::<OptionalUrl>(&format!("{wrong:?}")).is_err(), "{wrong}");
        }
    }

    /// Bug: `Content-Length: 5` was sent besides the right one.
    #[test]
    fn a_header_that_says_how_the_request_is_written_is_not_given() {
        for right in ["X-Key: secret", "authorization: Bearer x", "X-Content-Length: 5", "A:b"] {
            assert!(parse::<HeaderLine>(&format!("{right:?}")).is_ok(), "{right}");
        }
        for wrong in [
            "Content-Length: 5",
            "content-length: 5",
            "Transfer-Encoding: chunked",
            "Host: other",
            "Connection: close",
            "Content-Type: text/plain",
            "X-Key",
            ": x",
            "X Key: x",
            "X-Key:",
            "X-Key: a\nb",
            "X-Key: ä",
        ] {
            let said = parse::<HeaderLine>(&format!("{wrong:?}")).unwrap_err();
            assert!(!said.contains("other"), "{said}");
        }
    }
}
