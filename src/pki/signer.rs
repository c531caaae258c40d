//! The authority's key at work: what it signs, and with which extensions.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::certificate::Use;
use super::entry::{Entry, Index, serial_bytes};
use super::{Name, PkiError, San};

/// How long before its making a certificate begins, since the clocks of devices are slow and fast.
const BEFORE: Duration = Duration::HOUR;

/// A key with the certificate it signs under.
pub(super) struct Signer {
    issuer: Issuer<'static, KeyPair>,
}

/// First and last second of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// From an hour before `now`, for so many days from `now`. In whole seconds, as certificates have it.
    pub fn days(now: OffsetDateTime, days: u32) -> Validity {
        let now = now.replace_nanosecond(0).unwrap_or(now);
        let not_after = now.checked_add(Duration::days(days.into())).unwrap_or(now);
        Validity { not_before: now - BEFORE, not_after }
    }
}

impl Signer {
    /// `certificate` in DER.
    pub fn new(certificate: &[u8], key: KeyPair) -> Result<Signer, rcgen::Error> {
        Ok(Signer { issuer: Issuer::from_ca_cert_der(&certificate.into(), key)? })
    }

    /// Signs for the holder of a public key, PEM.
    pub fn sign(
        &self,
        entry: &Entry,
        sans: &[San],
        validity: Validity,
        key: &impl PublicKeyData,
    ) -> Result<String, PkiError> {
        let mut params = parameters(&entry.name, validity, serial(&entry.serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = entry.uses.iter().map(|used| purpose(*used)).collect();
        params.subject_alt_names = sans.iter().map(San::to_type).collect::<Result<_, _>>()?;
        Ok(params.signed_by(key, &self.issuer)?.pem())
    }

    /// Signs the list of what was revoked and has not ended yet, PEM. It names `until` as the time of the next
    /// one: the authority's own end, since it is made anew only when something is revoked.
    pub fn sign_list(
        &self,
        index: &Index,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<String, PkiError> {
        let revoked = index.certificates.iter().filter(|entry| entry.not_after >= now.unix_timestamp());
        let revoked_certs = revoked
            .filter_map(|entry| {
                let revocation_time = OffsetDateTime::from_unix_timestamp(entry.revoked?).unwrap_or(now);
                let serial_number = serial(&entry.serial);
                Some(RevokedCertParams {
                    serial_number,
                    revocation_time,
                    reason_code: None,
                    invalidity_date: None,
                })
            })
            .collect();
        let list = CertificateRevocationListParams {
            this_update: now - BEFORE,
            next_update: until,
            crl_number: SerialNumber::from(index.crl_number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }
}

/// The certificate that a new authority signs for itself, PEM.
pub(super) fn sign_own(
    name: &Name,
    validity: Validity,
    serial_number: &str,
    key: &KeyPair,
) -> Result<String, PkiError> {
    let mut params = parameters(name.as_str(), validity, serial(serial_number));
    // It signs for devices and for no other authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem())
}

fn parameters(name: &str, validity: Validity, serial_number: SerialNumber) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial_number);
    params.not_before = validity.not_before;
    params.not_after = validity.not_after;
    params
}

fn purpose(used: Use) -> ExtendedKeyUsagePurpose {
    match used {
        Use::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Use::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }
}

/// The number of a serial's text, which the index has checked.
fn serial(text: &str) -> SerialNumber {
    SerialNumber::from(serial_bytes(text).unwrap_or_default())
}

/// A new serial number: 126 random bits, so that none is given twice and none can be foretold.
pub(super) fn new_serial() -> Result<String, PkiError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    // Positive, and of the same length for all.
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(super::entry::serial_text(&bytes))
}
