//! The authority's life, from its making to its end, with the time handed in.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use time::{Duration, OffsetDateTime};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::super::{Founding, State, entry};
use super::*;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn founding(days: u32) -> Founding {
    Founding { name: name("Test CA"), days, force: false }
}

fn client(days: u32) -> Order {
    Order { uses: vec![Use::Client], sans: vec![], days, request: None, force: false }
}

fn place() -> (tempfile::TempDir, Authority) {
    let place = tempfile::tempdir().unwrap();
    let authority = Authority::init(&place.path().join("pki"), &founding(3650), now()).unwrap();
    (place, authority)
}

fn read(path: &Path) -> Certificate {
    Certificate::read_all(&std::fs::read(path).unwrap()).unwrap().remove(0)
}

/// The serial numbers on the revocation list, and its number.
fn revoked(authority: &Authority) -> (Vec<String>, u64) {
    let pem = std::fs::read(authority.directory().join("revoked.pem")).unwrap();
    let der = first_block(&pem, &["X509 CRL"]).unwrap();
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    let serials = list.iter_revoked_certificates().map(|one| entry::serial_text(one.raw_serial())).collect();
    (serials, list.crl_number().unwrap().iter_u64_digits().next().unwrap())
}

#[test]
fn a_client_certificate_carries_its_name_use_and_dates() {
    let (_place, mut authority) = place();
    let issued = authority.issue(&name("lamp"), &client(825), now()).unwrap();
    let certificate = read(&issued.certificate);
    assert_eq!((certificate.subject.as_str(), certificate.issuer.as_str()), ("CN=lamp", "CN=Test CA"));
    assert_eq!((certificate.uses, certificate.ca), (vec![Use::Client], false));
    assert_eq!(certificate.key, "ECDSA P-256");
    assert_eq!(certificate.serial, issued.serial);
    assert_eq!(certificate.not_after, (now() + Duration::days(825)).unix_timestamp());
    assert_eq!(certificate.not_before, (now() - Duration::HOUR).unix_timestamp());
    let mode = issued.key.unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!issued.shortened && !issued.replaces);
}

#[test]
fn nothing_outlives_the_authority() {
    let place = tempfile::tempdir().unwrap();
    let mut authority = Authority::init(place.path(), &founding(100), now()).unwrap();
    let issued = authority.issue(&name("lamp"), &client(825), now()).unwrap();
    assert!(issued.shortened);
    assert_eq!(issued.not_after, authority.certificate().not_after);
    let late = now() + Duration::days(101);
    let error = authority.issue(&name("late"), &client(1), late).unwrap_err();
    assert!(matches!(error, PkiError::Ended { .. }) && error.to_string().contains("renew --ca"));
    authority.renew_own(3650, late).unwrap();
    let issued = authority.issue(&name("late"), &client(1), late).unwrap();
    // The key is the same, so what was issued before the renewal is still vouched for.
    assert!(
        authority
            .signed(&first_block(&std::fs::read(issued.certificate).unwrap(), &["CERTIFICATE"]).unwrap())
    );
    let before = std::fs::read(place.path().join("issued/lamp.crt")).unwrap();
    assert!(authority.signed(&first_block(&before, &["CERTIFICATE"]).unwrap()));
}

#[test]
fn nothing_is_overwritten_unless_it_is_asked_for() {
    let (place, mut authority) = place();
    authority.issue(&name("lamp"), &client(10), now()).unwrap();
    let key = std::fs::read(place.path().join("pki/issued/lamp.key")).unwrap();
    assert!(matches!(authority.issue(&name("lamp"), &client(10), now()), Err(PkiError::Exists { .. })));
    // A key without its certificate is as precious.
    std::fs::remove_file(place.path().join("pki/issued/lamp.crt")).unwrap();
    assert!(matches!(authority.issue(&name("lamp"), &client(10), now()), Err(PkiError::Exists { .. })));
    assert_eq!(std::fs::read(place.path().join("pki/issued/lamp.key")).unwrap(), key);
    let issued = authority.issue(&name("lamp"), &Order { force: true, ..client(10) }, now()).unwrap();
    assert!(issued.replaces);
    assert_ne!(std::fs::read(place.path().join("pki/issued/lamp.key")).unwrap(), key);
    drop(authority);
    let directory = place.path().join("pki");
    assert!(matches!(Authority::init(&directory, &founding(1), now()), Err(PkiError::Exists { .. })));
    let forced = Founding { force: true, ..founding(1) };
    assert!(Authority::init(&directory, &forced, now()).unwrap().list(now()).unwrap().is_empty());
}

#[test]
fn an_authority_whose_making_was_cut_short_is_made_anew_and_somebodys_own_key_is_not_replaced() {
    let (place, authority) = place();
    drop(authority);
    let directory = place.path().join("pki");
    let key = || std::fs::read(directory.join("ca.key")).unwrap();
    // Killed before the certificate was written, which is the last.
    std::fs::remove_file(directory.join("ca.crt")).unwrap();
    let first = key();
    let mut authority = Authority::init(&directory, &founding(3650), now()).unwrap();
    assert_ne!(key(), first);
    authority.issue(&name("lamp"), &client(10), now()).unwrap();
    drop(authority);
    // It has signed: what it vouches for must not be lost.
    std::fs::remove_file(directory.join("ca.crt")).unwrap();
    assert!(matches!(Authority::init(&directory, &founding(3650), now()), Err(PkiError::Exists { .. })));
    std::fs::remove_file(directory.join("index.json")).unwrap();
    assert!(matches!(Authority::init(&directory, &founding(3650), now()), Err(PkiError::Exists { .. })));
}

#[test]
fn renewing_keeps_the_key_the_names_and_the_length() {
    let (place, mut authority) = place();
    let sans = vec!["gateway.example".parse().unwrap(), "::1".parse().unwrap()];
    let order = Order { uses: vec![Use::Server], sans, ..client(90) };
    let old = authority.issue(&name("gateway"), &order, now()).unwrap();
    let key = std::fs::read(old.key.unwrap()).unwrap();
    let before = read(&old.certificate);
    let later = now() + Duration::days(80);
    let renewed = authority.renew(&name("gateway"), None, later).unwrap();
    let after = read(&renewed.certificate);
    assert_eq!(after.public_key(), before.public_key());
    assert_eq!((&after.sans, &after.uses), (&before.sans, &before.uses));
    assert_eq!(after.sans, ["gateway.example", "::1"]);
    assert_ne!(after.serial, before.serial);
    assert_eq!(after.not_after, (later + Duration::days(90)).unix_timestamp());
    assert_eq!(std::fs::read(place.path().join("pki/issued/gateway.key")).unwrap(), key);
    let states: Vec<_> = authority.list(later).unwrap().iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Replaced, State::Valid]);
}

#[test]
fn only_what_this_authority_signed_is_renewed() {
    let (place, mut authority) = place();
    let error = authority.renew(&name("nobody"), None, now()).unwrap_err();
    assert!(matches!(error, PkiError::Unknown { .. }));
    let other = place.path().join("other");
    let mut other = Authority::init(&other, &founding(10), now()).unwrap();
    let foreign = other.issue(&name("lamp"), &client(10), now()).unwrap();
    authority.issue(&name("lamp"), &client(10), now()).unwrap();
    std::fs::copy(foreign.certificate, place.path().join("pki/issued/lamp.crt")).unwrap();
    let error = authority.renew(&name("lamp"), None, now()).unwrap_err().to_string();
    assert!(error.contains("lamp.crt") && error.contains("not issued"), "{error}");
}

#[test]
fn revoking_takes_back_every_certificate_of_a_name_the_replaced_ones_too() {
    let (_place, mut authority) = place();
    assert_eq!(revoked(&authority), (vec![], 1));
    let first = authority.issue(&name("lamp"), &client(100), now()).unwrap().serial;
    let second = authority.renew(&name("lamp"), None, now()).unwrap().serial;
    authority.issue(&name("phone"), &client(100), now()).unwrap();
    assert_eq!(authority.revoke(&name("lamp"), true, now()).unwrap(), 1);
    assert_eq!(revoked(&authority), (vec![first.clone()], 2));
    assert_eq!(authority.revoke(&name("lamp"), false, now()).unwrap(), 1);
    assert_eq!(revoked(&authority), (vec![first.clone(), second.clone()], 3));
    let nothing = authority.revoke(&name("lamp"), false, now());
    assert!(matches!(nothing, Err(PkiError::NothingToRevoke { which: "valid", .. })));
    assert!(matches!(authority.revoke(&name("nobody"), false, now()), Err(PkiError::Unknown { .. })));
    assert!(matches!(authority.renew(&name("lamp"), None, now()), Err(PkiError::Revoked { .. })));
    // Issued anew it has a new key, and what was revoked stays so.
    authority.issue(&name("lamp"), &Order { force: true, ..client(1) }, now()).unwrap();
    authority.revoke(&name("phone"), false, now()).unwrap();
    assert_eq!(revoked(&authority).0[..2], [first, second]);
    let states: Vec<_> = authority.list(now()).unwrap().iter().map(|one| one.state).collect();
    assert_eq!(states, [State::Revoked, State::Revoked, State::Valid, State::Revoked]);
}

#[test]
fn what_has_ended_leaves_the_revocation_list() {
    let (_place, mut authority) = place();
    authority.issue(&name("short"), &client(1), now()).unwrap();
    authority.issue(&name("long"), &client(100), now()).unwrap();
    authority.revoke(&name("short"), false, now()).unwrap();
    let later = now() + Duration::days(2);
    authority.revoke(&name("long"), false, later).unwrap();
    assert_eq!(revoked(&authority).0.len(), 1);
}

#[test]
fn what_ends_soon_is_found_and_what_has_ended_is_not() {
    let (_place, mut authority) = place();
    for (who, days) in [("ended", 1), ("soon", 20), ("late", 400)] {
        authority.issue(&name(who), &client(days), now()).unwrap();
    }
    let later = now() + Duration::days(2);
    assert_eq!(authority.ending(30, later).unwrap(), [name("soon")]);
    let list = authority.list(later).unwrap();
    assert_eq!(list.iter().map(|one| one.days).collect::<Vec<_>>(), [-1, 398, 18]);
}

#[test]
fn a_key_that_is_missing_or_of_another_authority_signs_nothing() {
    let (place, mut authority) = place();
    let key = place.path().join("pki/ca.key");
    for (content, words) in [
        (Some(KeyPair::generate().unwrap().serialize_pem()), "does not belong"),
        (Some("hello".into()), "no unencrypted private key"),
        (None, "missing"),
    ] {
        match content {
            Some(content) => std::fs::write(&key, content).unwrap(),
            None => std::fs::remove_file(&key).unwrap(),
        }
        let error = authority.issue(&name("lamp"), &client(1), now()).unwrap_err().to_string();
        assert!(error.contains("ca.key") && error.contains(words), "{error}");
        assert!(authority.list(now()).unwrap().is_empty());
    }
}

#[test]
fn a_clock_that_was_never_set_signs_nothing() {
    let place = tempfile::tempdir().unwrap();
    let error = Authority::init(place.path(), &founding(1), OffsetDateTime::UNIX_EPOCH).err().unwrap();
    assert!(matches!(error, PkiError::Clock { .. }));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_without_an_authority_is_told_how_to_get_one() {
    let place = tempfile::tempdir().unwrap();
    for directory in [place.path().to_owned(), place.path().join("nothing")] {
        let error = Authority::open(&directory).err().unwrap().to_string();
        assert!(error.contains("pki init"), "{error}");
    }
}
