//! The user name in a certificate.

use std::fmt::Write;

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::{parse_x509_certificate, x509::X509Name};

use crate::config::UsernameFrom;

/// Names of the attributes of a subject, as OpenSSL writes them; others are written as numbers.
const ATTRIBUTES: [(&str, &str); 12] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The user name that a verified certificate stands for; `None` if it stands for none. It is empty if the certificate
/// should name a user and does not, or names two.
pub(super) fn user_name(certificate: &CertificateDer<'_>, from: UsernameFrom) -> Option<String> {
    let read = |name: fn(&X509Name<'_>) -> Option<String>| {
        let parsed = parse_x509_certificate(certificate).ok();
        Some(parsed.and_then(|(_, certificate)| name(certificate.subject())).unwrap_or_default())
    };
    match from {
        UsernameFrom::None => None,
        UsernameFrom::CommonName => read(common_name),
        UsernameFrom::Subject => read(|subject| Some(in_words(subject))),
    }
}

/// What a certificate says of itself; empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// The whole subject.
    pub subject: String,
    /// The one common name.
    pub common_name: String,
    /// The serial number in hexadecimal digits.
    pub serial: String,
    /// SHA-256 of the certificate in hexadecimal digits.
    pub fingerprint: String,
}

/// Describes a verified certificate.
pub(super) fn describe(certificate: &CertificateDer<'_>) -> Described {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let fingerprint = hex(&Sha256::digest(certificate));
    let Ok((_, parsed)) = parse_x509_certificate(certificate) else {
        return Described { fingerprint, ..Described::default() };
    };
    let subject = parsed.subject();
    Described {
        subject: in_words(subject),
        common_name: common_name(subject).unwrap_or_default(),
        serial: hex(parsed.raw_serial()),
        fingerprint,
    }
}

/// The one common name.
fn common_name(subject: &X509Name<'_>) -> Option<String> {
    let mut names = subject.iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => name.as_str().ok().map(str::to_owned),
        _ => None,
    }
}

/// The subject as in RFC 4514, which replaced RFC 2253: most specific part first, `CN=lamp,O=Home`. Empty if it is.
fn in_words(subject: &X509Name<'_>) -> String {
    let parts: Vec<_> = subject.iter_rdn().collect();
    let mut text = String::new();
    for part in parts.into_iter().rev() {
        for (index, attribute) in part.iter().enumerate() {
            if !text.is_empty() {
                text.push(if index == 0 { ',' } else { '+' });
            }
            let oid = attribute.attr_type().to_id_string();
            let known = ATTRIBUTES.iter().find(|(known, _)| *known == oid);
            text.push_str(known.map_or(&oid, |(_, name)| name));
            text.push('=');
            match attribute.as_str() {
                Ok(value) => escape(value, &mut text),
                // Not text: its bytes.
                Err(_) => {
                    text.push('#');
                    for byte in attribute.as_slice() {
                        // Writing to a string cannot fail.
                        let _ = write!(text, "{byte:02X}");
                    }
                }
            }
        }
    }
    text
}

/// Appends a value with whatever would be read as syntax escaped.
fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        let edge = (at == 0 && matches!(c, ' ' | '#')) || (at == last && c == ' ');
        if edge || matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=') {
            text.push('\\');
            text.push(c);
        } else if c.is_control() {
            for byte in c.to_string().bytes() {
                let _ = write!(text, "\\{byte:02X}");
            }
        } else {
            text.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    fn certificate(subject: &[(DnType, &str)]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), DnValue::Utf8String((*value).to_owned()));
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().into()
    }

    #[test]
    fn the_common_name_or_the_whole_subject_is_the_user_name() {
        let subject = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Home, sweet \"home\""),
            (DnType::CommonName, "lamp-1"),
        ];
        let lamp = certificate(&subject);
        let name = |from| user_name(&lamp, from);
        assert_eq!(name(UsernameFrom::None), None);
        assert_eq!(name(UsernameFrom::CommonName).as_deref(), Some("lamp-1"));
        assert_eq!(name(UsernameFrom::Subject).as_deref(), Some(r#"CN=lamp-1,O=Home\, sweet \"home\",C=DE"#));
    }

    #[test]
    fn a_certificate_that_names_nobody_gives_an_empty_name() {
        let nobody = certificate(&[]);
        assert_eq!(user_name(&nobody, UsernameFrom::CommonName).as_deref(), Some(""));
        assert_eq!(user_name(&nobody, UsernameFrom::Subject).as_deref(), Some(""));
        let garbage = CertificateDer::from(vec![0x30, 0x80, 1]);
        assert_eq!(user_name(&garbage, UsernameFrom::Subject).as_deref(), Some(""));
    }

    #[test]
    fn what_would_be_read_as_syntax_is_escaped() {
        for (value, written) in
            [("#a ", "\\#a\\ "), (" x", "\\ x"), ("a\nb", "a\\0Ab"), ("a=b", "a\\=b"), ("ü", "ü")]
        {
            let mut text = String::new();
            escape(value, &mut text);
            assert_eq!(text, written);
        }
    }
}
