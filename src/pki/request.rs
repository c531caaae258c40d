//! A certificate signing request made on a device, whose private key never leaves it.

use std::path::Path;

use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::PkiError;
use super::certificate::first_block;

/// The public key of a request whose signature shows that its maker holds the private one. The names and
/// extensions that the request asks for are not taken: those come from the operator.
#[derive(Debug)]
pub struct Request {
    pub(super) key: SubjectPublicKeyInfo,
}

impl Request {
    /// Reads a request, PEM or DER; `path` is for messages.
    ///
    /// # Errors
    /// If it is none, is not signed with its own key, or has a key that TLS here would not accept.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Request, PkiError> {
        let refused = |why: String| PkiError::Request { path: path.into(), why };
        let der = first_block(bytes, &["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"])
            .ok_or_else(|| refused("it holds no certificate signing request".into()))?;
        let (rest, request) = X509CertificationRequest::from_der(&der)
            .map_err(|error| refused(format!("it is no certificate signing request ({error})")))?;
        if !rest.is_empty() {
            return Err(refused(format!("{} bytes follow the request", rest.len())));
        }
        let spki = &request.certification_request_info.subject_pki;
        if let Ok(PublicKey::RSA(key)) = spki.parsed()
            && key.key_size() < 2048
        {
            return Err(refused(format!(
                "an RSA key of {} bits is too short: 2048 at least",
                key.key_size()
            )));
        }
        // The key's algorithm first: a signature of an unknown one cannot be checked at all.
        let key = SubjectPublicKeyInfo::from_der(spki.raw)
            .map_err(|_| refused("its key is none of ECDSA P-256, ECDSA P-384, Ed25519 and RSA".into()))?;
        request.verify_signature().map_err(|_| {
            refused(
                "it is not signed with its own key; it was damaged, changed, or made from another key".into(),
            )
        })?;
        Ok(Request { key })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Request, String> {
        Request::parse(bytes, Path::new("device.csr")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_gives_its_public_key() {
        for algorithm in
            [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
        {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let request = CertificateParams::default().serialize_request(&key).unwrap();
            for bytes in [request.pem().unwrap().as_bytes(), request.der()] {
                let found = parse(bytes).unwrap().key;
                assert_eq!(found.subject_public_key_info(), key.subject_public_key_info());
            }
        }
    }

    #[test]
    fn a_request_that_was_changed_is_not_signed_for() {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::default().serialize_request(&key).unwrap();
        let at = request.der().windows(5).position(|five| five == b"rcgen").unwrap();
        let mut changed = request.der().to_vec();
        changed[at] = b'R';
        assert!(parse(&changed).unwrap_err().contains("not signed with its own key"));
        changed.push(0);
        assert!(parse(&changed).unwrap_err().contains("1 bytes follow"));
        assert!(parse(b"hello").unwrap_err().contains("device.csr"));
        assert!(parse(&request.der()[..40]).is_err());
    }
}
