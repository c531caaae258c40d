//! Issuing, renewing and revoking.

use std::path::PathBuf;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SubjectPublicKeyInfo};
use time::OffsetDateTime;

use super::certificate::{Certificate, first_block};
use super::entry::Entry;
use super::folder::{PRIVATE, PUBLIC};
use super::signer::{Validity, new_serial};
use super::{Authority, Name, PkiError, Request, San, Use};

/// What is to be issued.
#[derive(Debug)]
pub struct Order {
    /// What for; at least one.
    pub uses: Vec<Use>,
    /// What a server is called.
    pub sans: Vec<San>,
    /// Days it is valid, at most as long as the authority.
    pub days: u32,
    /// A device's request; without one a key is made here.
    pub request: Option<Request>,
    /// Whether files that are there already are replaced.
    pub force: bool,
}

/// What was issued.
#[derive(Debug, serde::Serialize)]
pub struct Issued {
    /// To whom.
    pub name: String,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// File of the certificate.
    pub certificate: PathBuf,
    /// File of the key, if it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Last second it is valid, in seconds since 1970.
    #[serde(serialize_with = "super::certificate::as_date")]
    pub not_after: i64,
    /// Whether it ends with the authority and not after the days that were asked for.
    pub shortened: bool,
    /// Whether an earlier certificate of that name is still valid.
    pub replaces: bool,
}

impl Authority {
    /// Issues a certificate, with a new key unless a device brought its own.
    ///
    /// # Errors
    /// If files of that name are there and are not to be replaced, or cannot be written.
    pub fn issue(&mut self, name: &Name, order: &Order, now: OffsetDateTime) -> Result<Issued, PkiError> {
        let (crt, key_file) = (format!("{name}.crt"), format!("{name}.key"));
        let exists = |file: &str, advice| PkiError::Exists { path: self.issued.path(file), advice };
        if !order.force && self.issued.has(&crt)? {
            return Err(exists(
                &crt,
                "`latchgate pki renew` gives it new dates; to replace certificate and key: --force",
            ));
        }
        if self.issued.has(&key_file)? {
            match (&order.request, order.force) {
                (Some(_), _) => {
                    return Err(exists(&key_file, "it is not the key of this request; move it away first"));
                }
                (None, false) => return Err(exists(&key_file, "to replace it with a new key: --force")),
                (None, true) => {}
            }
        }
        let sans: Vec<String> = order.sans.iter().map(San::to_string).collect();
        let entry = self.entry(name.as_str(), &order.uses, sans, order.days, now)?;
        match &order.request {
            Some(request) => self.sign(entry, &order.sans, order.days, &request.key, None, now),
            None => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                self.sign(entry, &order.sans, order.days, &key, Some(&key.serialize_pem()), now)
            }
        }
    }

    /// Signs again for the key of the certificate that is in place: same names and uses, new dates. Without
    /// `days` it is valid as long as it was.
    ///
    /// # Errors
    /// If there is no such certificate, it was revoked, or it is not one of this authority.
    pub fn renew(&mut self, name: &Name, days: Option<u32>, now: OffsetDateTime) -> Result<Issued, PkiError> {
        let crt = format!("{name}.crt");
        let path = self.issued.path(&crt);
        let broken = |why: &str| PkiError::broken(&path, why);
        let bytes = self.issued.read(&crt)?.ok_or_else(|| PkiError::Unknown { name: name.to_string() })?;
        let der = first_block(&bytes, &["CERTIFICATE"]).unwrap_or_default();
        let old = Certificate::from_der(&der).map_err(|why| broken(&why))?;
        let known = self.index.find(&old.serial).filter(|entry| entry.name == name.as_str());
        let Some(known) = known.filter(|_| self.signed(&der)).cloned() else {
            return Err(broken("it was not issued to that name by this authority"));
        };
        if known.revoked.is_some() {
            return Err(PkiError::Revoked { name: name.to_string() });
        }
        let before = (known.not_after - known.not_before).div_euclid(86_400);
        let days = days.unwrap_or(before.clamp(1, i64::from(u32::MAX)) as u32);
        let sans = known.sans.iter().map(|san| san.parse::<San>()).collect::<Result<Vec<_>, _>>();
        let sans = sans.map_err(|_| broken("its names in the index are damaged"))?;
        let key = SubjectPublicKeyInfo::from_der(old.public_key())?;
        let entry = self.entry(name.as_str(), &known.uses, known.sans, days, now)?;
        self.sign(entry, &sans, days, &key, None, now)
    }

    /// Revokes the certificates of a name that have not ended: all, or only those that another has `replaced`.
    /// The list of what was revoked is written anew. Returns how many it were.
    ///
    /// # Errors
    /// If there is nothing to revoke, or the files cannot be written.
    pub fn revoke(&mut self, name: &Name, replaced: bool, now: OffsetDateTime) -> Result<usize, PkiError> {
        let signer = self.signer(now)?;
        let keep = if replaced { self.in_place(name.as_str())? } else { None };
        let at = now.unix_timestamp();
        let mut known = false;
        let mut revoked = 0;
        for entry in self.index.certificates.iter_mut().filter(|entry| entry.name == name.as_str()) {
            known = true;
            if entry.revoked.is_none() && entry.not_after >= at && keep.as_ref() != Some(&entry.serial) {
                entry.revoked = Some(at);
                revoked += 1;
            }
        }
        match (known, revoked) {
            (false, _) => Err(PkiError::Unknown { name: name.to_string() }),
            (true, 0) => {
                let which = if replaced { "replaced" } else { "valid" };
                Err(PkiError::NothingToRevoke { name: name.to_string(), which })
            }
            _ => self.write_list(&signer, now).map(|()| revoked),
        }
    }

    /// The serial number of the certificate in the name's file, if it is one.
    pub(super) fn in_place(&self, name: &str) -> Result<Option<String>, PkiError> {
        let bytes = self.issued.read(&format!("{name}.crt"))?;
        let found = bytes.and_then(|bytes| Certificate::read_all(&bytes).ok()?.into_iter().next());
        Ok(found.map(|certificate| certificate.serial))
    }

    /// A new entry, valid for so many days but no longer than the authority.
    fn entry(
        &self,
        name: &str,
        uses: &[Use],
        sans: Vec<String>,
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Entry, PkiError> {
        let validity = Validity::days(now, days);
        Ok(Entry {
            serial: new_serial()?,
            name: name.to_owned(),
            uses: uses.to_vec(),
            sans,
            not_before: validity.not_before.unix_timestamp(),
            not_after: validity.not_after.unix_timestamp().min(self.certificate().not_after),
            revoked: None,
        })
    }

    /// Signs, and writes index, key and certificate in this order: what exists can be revoked.
    fn sign(
        &mut self,
        entry: Entry,
        sans: &[San],
        days: u32,
        key: &impl PublicKeyData,
        private: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Issued, PkiError> {
        let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(now);
        let validity = Validity { not_before: time(entry.not_before), not_after: time(entry.not_after) };
        let pem = self.signer(now)?.sign(&entry, sans, validity, key)?;
        let (crt, key_file) = (format!("{}.crt", entry.name), format!("{}.key", entry.name));
        let at = now.unix_timestamp();
        let earlier = self.index.certificates.iter().filter(|other| other.name == entry.name);
        let issued = Issued {
            name: entry.name.clone(),
            serial: entry.serial.clone(),
            certificate: self.issued.path(&crt),
            key: private.map(|_| self.issued.path(&key_file)),
            not_after: entry.not_after,
            shortened: entry.not_after < Validity::days(now, days).not_after.unix_timestamp(),
            replaces: earlier.filter(|other| other.revoked.is_none()).any(|other| other.not_after >= at),
        };
        self.index.certificates.push(entry);
        self.index.write(&self.folder)?;
        if let Some(private) = private {
            self.issued.put(&key_file, PRIVATE, private.as_bytes())?;
        }
        self.issued.put(&crt, PUBLIC, pem.as_bytes())?;
        Ok(issued)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
