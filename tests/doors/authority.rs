//! A small certificate authority for tests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};

use super::save;
use crate::support::Subject;

/// Issues certificates and lists of revoked ones.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
    serial: SerialNumber,
}

impl Pair {
    /// Writes `NAME.crt` and `NAME.key` beside the configuration.
    pub fn save(&self, subject: &Subject, name: &str) {
        save(subject, &format!("{name}.crt"), &self.certificate);
        save(subject, &format!("{name}.key"), &self.key);
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::with(name, CertificateParams::default())
    }

    /// One whose certificate expires in so many days.
    pub fn ending(name: &str, days: i64) -> Self {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = term(days);
        Self::with(name, params)
    }

    fn with(name: &str, mut params: CertificateParams) -> Self {
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for localhost that expires in so many days (less than none: it has).
    pub fn server(&self, days: i64) -> Pair {
        let mut params =
            CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        params.distinguished_name = named("gateway");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, days)
    }

    /// A certificate for another host.
    pub fn named_server(&self, host: &str) -> Pair {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, 100)
    }

    /// A certificate for a client of that common name.
    pub fn client(&self, name: &str) -> Pair {
        self.client_for(name, 365)
    }

    pub fn client_for(&self, name: &str, days: i64) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.distinguished_name.push(DnType::OrganizationName, "Home, Inc.");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, days)
    }

    fn issue(&self, mut params: CertificateParams, days: i64) -> Pair {
        (params.not_before, params.not_after) = term(days);
        let serial = SerialNumber::from_slice(&getrandom::u64().expect("a number").to_be_bytes());
        params.serial_number = Some(serial.clone());
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate").pem();
        Pair { certificate, key: key.serialize_pem(), serial }
    }

    /// The list of revoked certificates, with these on it.
    pub fn revoke(&self, pairs: &[&Pair]) -> String {
        self.revoke_for(pairs, 36_500)
    }

    /// The same, to be replaced in so many days (less than none: it should have been).
    pub fn revoke_for(&self, pairs: &[&Pair], days: i64) -> String {
        let revoked = |pair: &&Pair| RevokedCertParams {
            serial_number: pair.serial.clone(),
            revocation_time: date_time_ymd(2024, 1, 2),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: term(days).1,
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: pairs.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).and_then(|list| list.pem()).expect("a list")
    }
}

/// From some time ago until in so many days and half a one more, so that the whole days are the same for as long as the
/// test runs.
fn term(days: i64) -> (time::OffsetDateTime, time::OffsetDateTime) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let day = 24 * 60 * 60;
    let end = Duration::from_secs((now.as_secs() + day / 2).saturating_add_signed(days * day as i64));
    let begin = end.saturating_sub(Duration::from_secs(400 * day));
    (date_time_ymd(1970, 1, 1) + begin, date_time_ymd(1970, 1, 1) + end)
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}
