//! What a certificate says, read from its file.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::entry::serial_text;

/// What a certificate may be used for in TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// To show a server's identity.
    Server,
    /// To show a client's identity; a bridge is one.
    Client,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Use::Server => "server",
            Use::Client => "client",
        })
    }
}

/// A certificate's contents. Times are in seconds since 1970.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// Distinguished name of the holder.
    pub subject: String,
    /// Distinguished name of who signed.
    pub issuer: String,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// Whether it may sign others.
    pub ca: bool,
    /// What it may be used for.
    pub uses: Vec<Use>,
    /// Subject alternative names.
    pub sans: Vec<String>,
    /// Algorithm and size of the public key.
    pub key: String,
    /// First second it is valid.
    #[serde(serialize_with = "as_date")]
    pub not_before: i64,
    /// Last second it is valid.
    #[serde(serialize_with = "as_date")]
    pub not_after: i64,
    /// SHA-256 of the whole certificate, in hexadecimal.
    pub fingerprint: String,
    #[serde(skip)]
    public_key: Vec<u8>,
}

impl Certificate {
    /// Every certificate of a PEM file (or the one of a DER file), in its order.
    ///
    /// # Errors
    /// In words, if it holds none or one that cannot be read.
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Certificate>, String> {
        if bytes.first() == Some(&0x30) {
            return Ok(vec![Certificate::from_der(bytes)?]);
        }
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for block in Pem::iter_from_buffer(bytes) {
            let block = block.map_err(|error| format!("its PEM form is damaged ({error})"))?;
            match block.label.as_str() {
                "CERTIFICATE" => found.push(Certificate::from_der(&block.contents)?),
                other => others.push(other.to_lowercase()),
            }
        }
        match (found.is_empty(), others.is_empty()) {
            (false, _) => Ok(found),
            (true, true) => Err("it holds no certificate".to_owned()),
            (true, false) => Err(format!("it holds no certificate but: {}", others.join(", "))),
        }
    }

    /// Reads one certificate.
    ///
    /// # Errors
    /// In words, if it is none.
    pub fn from_der(der: &[u8]) -> Result<Certificate, String> {
        let (rest, x509) =
            X509Certificate::from_der(der).map_err(|error| format!("it is no certificate ({error})"))?;
        if !rest.is_empty() {
            return Err(format!("{} bytes follow the certificate", rest.len()));
        }
        let usage = x509.extended_key_usage().ok().flatten().map(|usage| usage.value);
        let mut uses = Vec::new();
        for (used, allowed) in [
            (Use::Server, usage.is_some_and(|usage| usage.server_auth || usage.any)),
            (Use::Client, usage.is_some_and(|usage| usage.client_auth || usage.any)),
        ] {
            if allowed {
                uses.push(used);
            }
        }
        let sans = x509.subject_alternative_name().ok().flatten();
        Ok(Certificate {
            subject: x509.subject().to_string(),
            issuer: x509.issuer().to_string(),
            serial: serial_text(x509.raw_serial().strip_prefix(&[0]).unwrap_or(x509.raw_serial())),
            ca: x509.is_ca(),
            uses,
            sans: sans.map(|sans| sans.value.general_names.iter().map(shown).collect()).unwrap_or_default(),
            key: key(x509.public_key()),
            not_before: x509.validity().not_before.timestamp(),
            not_after: x509.validity().not_after.timestamp(),
            fingerprint: serial_text(&Sha256::digest(der)),
            public_key: x509.public_key().raw.to_vec(),
        })
    }

    /// The public key, as a DER SubjectPublicKeyInfo.
    pub(super) fn public_key(&self) -> &[u8] {
        &self.public_key
    }
}

/// Whether the certificate `der` was signed with the key of the certificate `by`.
pub(super) fn is_signed_by(der: &[u8], by: &Certificate) -> bool {
    let (Ok((_, certificate)), Ok((_, key))) =
        (X509Certificate::from_der(der), SubjectPublicKeyInfo::from_der(&by.public_key))
    else {
        return false;
    };
    certificate.verify_signature(Some(&key)).is_ok()
}

/// The first block of a PEM file with this label, else the file itself if it is DER.
pub(super) fn first_block(bytes: &[u8], labels: &[&str]) -> Option<Vec<u8>> {
    if bytes.first() == Some(&0x30) {
        return Some(bytes.to_vec());
    }
    Pem::iter_from_buffer(bytes)
        .map_while(Result::ok)
        .find(|block| labels.contains(&block.label.as_str()))
        .map(|block| block.contents)
}

fn shown(name: &GeneralName) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => IpAddr::from(v4).to_string(),
            (_, Ok(v6)) => IpAddr::from(v6).to_string(),
            _ => format!("{name}"),
        },
        other => format!("{other}"),
    }
}

fn key(spki: &SubjectPublicKeyInfo) -> String {
    match spki.parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("ECDSA P-{}", point.key_size()),
        _ => match spki.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".to_owned(),
            other => other.to_owned(),
        },
    }
}

/// A time in seconds since 1970 as RFC 3339 has it, in UTC.
pub fn date(seconds: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(at) => format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            at.month() as u8,
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        ),
        Err(_) => format!("{seconds} s since 1970"),
    }
}

/// Whole days from `now` to the time; negative when it has passed.
pub fn days_left(not_after: i64, now: OffsetDateTime) -> i64 {
    not_after.saturating_sub(now.unix_timestamp()).div_euclid(86_400)
}

pub(super) fn as_date<S: serde::Serializer>(seconds: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&date(*seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_told_in_words() {
        for (bytes, words) in [
            (&b""[..], "no certificate"),
            (b"hello", "no certificate"),
            (b"\x30\x03\x02\x01\x01", "no certificate ("),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate ("),
            (b"-----BEGIN CERTIFICATE-----\nAAAA", "damaged"),
            (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "but: private key"),
        ] {
            let error = Certificate::read_all(bytes).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn dates_are_rfc_3339_and_days_are_counted_down_past_zero() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(1_782_864_000), "2026-07-01T00:00:00Z");
        assert!(date(i64::MAX).contains("since 1970"));
        let now = OffsetDateTime::from_unix_timestamp(1_000_000).unwrap();
        assert_eq!(days_left(1_000_000 + 86_400, now), 1);
        assert_eq!(days_left(1_000_000 + 86_399, now), 0);
        assert_eq!(days_left(1_000_000 - 1, now), -1);
        assert_eq!(days_left(i64::MIN, now), i64::MIN / 86_400 - 1);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let _ = Certificate::read_all(&bytes);
            let _ = Certificate::from_der(&bytes);
            let _ = first_block(&bytes, &["CERTIFICATE REQUEST"]);
        }
    }
}
