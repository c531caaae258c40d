//! The authority: its directory, opened and locked.

use std::path::Path;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use time::OffsetDateTime;

use super::certificate::{Certificate, date, first_block, is_signed_by};
use super::entry::{self, Index};
use super::folder::{Folder, PRIVATE, PUBLIC};
use super::signer::{Signer, Validity, new_serial, sign_own};
use super::{Name, PkiError};

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
const REVOKED: &str = "revoked.pem";
const ISSUED: &str = "issued";

/// 2025-01-01: a clock that says less was never set.
pub const EARLIEST: i64 = 1_735_689_600;

/// A certificate authority in a directory, which other commands are kept out of as long as this value lives.
pub struct Authority {
    pub(super) folder: Folder,
    pub(super) issued: Folder,
    /// Its certificate, DER, and what it says.
    der: Vec<u8>,
    own: Certificate,
    pub(super) index: Index,
}

/// How an authority is made.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Its common name.
    pub name: Name,
    /// Days it is valid.
    pub days: u32,
    /// Whether one that is there already is replaced.
    pub force: bool,
}

impl Authority {
    /// Makes an authority in a directory, which is made too if it is not there.
    ///
    /// # Errors
    /// If one is there already and is not to be replaced, or the files cannot be written.
    pub fn init(directory: &Path, founding: &Founding, now: OffsetDateTime) -> Result<Authority, PkiError> {
        check_clock(now)?;
        let folder = Folder::open_or_make(directory)?;
        folder.lock()?;
        let cut_short = is_cut_short(&folder)?;
        for name in [CERTIFICATE, KEY] {
            if !founding.force && !cut_short && folder.has(name)? {
                let advice = "an authority that is replaced no longer vouches for what it issued; to do so nevertheless: --force";
                return Err(PkiError::Exists { path: folder.path(name), advice });
            }
        }
        let issued = folder.inner(ISSUED)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let pem = sign_own(&founding.name, Validity::days(now, founding.days), &new_serial()?, &key)?;
        let (der, own) = read_own(pem.as_bytes(), &folder.path(CERTIFICATE))?;
        let mut authority = Authority { folder, issued, der, own, index: Index::new() };
        let private = key.serialize_pem();
        // The certificate last: its presence says that the rest is there. The key after an empty index: see `is_cut_short`.
        authority.write_list(&Signer::new(&authority.der, key)?, now)?;
        authority.folder.put(KEY, PRIVATE, private.as_bytes())?;
        authority.folder.put(CERTIFICATE, PUBLIC, pem.as_bytes())?;
        Ok(authority)
    }

    /// Opens the authority in a directory. Its key is read only when something is to be signed.
    ///
    /// # Errors
    /// If there is none, or its files cannot be used.
    pub fn open(directory: &Path) -> Result<Authority, PkiError> {
        let none = || PkiError::NoAuthority { path: directory.into() };
        if !directory.exists() {
            return Err(none());
        }
        let folder = Folder::open(directory)?;
        folder.lock()?;
        let pem = folder.read(CERTIFICATE)?.ok_or_else(none)?;
        let (der, own) = read_own(&pem, &folder.path(CERTIFICATE))?;
        let index = Index::read(&folder)?;
        let issued = folder.inner(ISSUED)?;
        Ok(Authority { folder, issued, der, own, index })
    }

    /// What its own certificate says.
    pub fn certificate(&self) -> &Certificate {
        &self.own
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.folder.directory()
    }

    /// Signs its own certificate anew, with the key and name it has; what it issued stays valid.
    ///
    /// # Errors
    /// If its key or files cannot be used.
    pub fn renew_own(&mut self, days: u32, now: OffsetDateTime) -> Result<(), PkiError> {
        check_clock(now)?;
        let path = self.folder.path(CERTIFICATE);
        let name = self.own.subject.strip_prefix("CN=").and_then(|name| name.parse().ok()).ok_or_else(|| {
            PkiError::broken(&path, "its subject is not a common name alone, so it was not made here: renew it with the program that made it")
        })?;
        let key = self.key()?;
        let pem = sign_own(&name, Validity::days(now, days), &new_serial()?, &key)?;
        (self.der, self.own) = read_own(pem.as_bytes(), &path)?;
        self.folder.put(CERTIFICATE, PUBLIC, pem.as_bytes())?;
        self.write_list(&Signer::new(&self.der, key)?, now)
    }

    /// The key at work, while the authority's certificate is valid.
    pub(super) fn signer(&self, now: OffsetDateTime) -> Result<Signer, PkiError> {
        check_clock(now)?;
        if self.own.not_after <= now.unix_timestamp() {
            return Err(PkiError::Ended { date: date(self.own.not_after) });
        }
        Ok(Signer::new(&self.der, self.key()?)?)
    }

    fn key(&self) -> Result<KeyPair, PkiError> {
        let path = self.folder.path(KEY);
        let pem = self.folder.read(KEY)?.ok_or_else(|| {
            PkiError::broken(
                &path,
                "it is missing: put the authority's key there, nothing can be signed without it",
            )
        })?;
        let broken = || PkiError::broken(&path, "it is no unencrypted private key in PEM (PKCS #8)");
        let text = std::str::from_utf8(&pem).map_err(|_| broken())?;
        let key = KeyPair::from_pem(text).map_err(|_| broken())?;
        if key.subject_public_key_info() != self.own.public_key() {
            return Err(PkiError::broken(
                &path,
                "it does not belong to ca.crt: restore the pair from a backup",
            ));
        }
        Ok(key)
    }

    /// Writes the index and the list of what was revoked, under its next number.
    pub(super) fn write_list(&mut self, signer: &Signer, now: OffsetDateTime) -> Result<(), PkiError> {
        self.index.crl_number += 1;
        let until = OffsetDateTime::from_unix_timestamp(self.own.not_after).unwrap_or(now);
        let list = signer.sign_list(&self.index, now, until)?;
        self.index.write(&self.folder)?;
        self.folder.put(REVOKED, PUBLIC, list.as_bytes())
    }

    /// Whether it signed this certificate (DER).
    pub(super) fn signed(&self, der: &[u8]) -> bool {
        is_signed_by(der, &self.own)
    }
}

/// The authority's certificate, DER, and what it says.
fn read_own(bytes: &[u8], path: &Path) -> Result<(Vec<u8>, Certificate), PkiError> {
    let der = first_block(bytes, &["CERTIFICATE"]).unwrap_or_default();
    let own = Certificate::from_der(&der).map_err(|why| PkiError::broken(path, why))?;
    if !own.ca {
        return Err(PkiError::broken(
            path,
            "it is not the certificate of an authority (basic constraints say no)",
        ));
    }
    Ok((der, own))
}

/// Whether all that is there is left of an [`Authority::init`] that was killed: a key that has signed for nobody, beside an
/// index that says so. A key without an index is somebody's own.
fn is_cut_short(folder: &Folder) -> Result<bool, PkiError> {
    if folder.has(CERTIFICATE)? || !folder.has(entry::FILE)? {
        return Ok(false);
    }
    Ok(Index::read(folder)?.certificates.is_empty())
}

fn check_clock(now: OffsetDateTime) -> Result<(), PkiError> {
    match now.unix_timestamp() {
        at if at < EARLIEST => Err(PkiError::Clock { date: date(at) }),
        _ => Ok(()),
    }
}
