//! PBKDF2 with HMAC (RFC 8018 section 5.2) as five forms store it.

use std::num::NonZeroU32;

use subtle::ConstantTimeEq;

use super::write::{ITERATIONS, KEY_LENGTH, SALT_LENGTH};
use super::{MAX_KEY, MAX_PBKDF2_ROUNDS, PasswordError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    pub fn named(name: &str) -> Result<Self, PasswordError> {
        match name {
            "sha1" => Ok(Digest::Sha1),
            "sha256" => Ok(Digest::Sha256),
            "sha512" => Ok(Digest::Sha512),
            _ => Err(PasswordError::UnknownDigest),
        }
    }

    /// Bytes that one round of HMAC runs yields.
    fn output(self) -> usize {
        match self {
            Digest::Sha1 => 20,
            Digest::Sha256 => 32,
            Digest::Sha512 => 64,
        }
    }
}

pub(super) struct Pbkdf2 {
    digest: Digest,
    iterations: u32,
    /// The possible readings of the salt, likeliest first.
    salts: Vec<Vec<u8>>,
    key: Vec<u8>,
}

impl Pbkdf2 {
    /// Takes checked salts and key; bounds the work that [`Self::verify`] will do.
    pub fn new(
        digest: Digest,
        iterations: u32,
        salts: Vec<Vec<u8>>,
        key: Vec<u8>,
    ) -> Result<Self, PasswordError> {
        let rounds = u64::from(iterations) * (key.len().div_ceil(digest.output()) * salts.len()) as u64;
        match rounds {
            0 => Err(PasswordError::NoIterations),
            1..=MAX_PBKDF2_ROUNDS => Ok(Pbkdf2 { digest, iterations, salts, key }),
            _ => Err(PasswordError::TooCostly),
        }
    }

    pub fn verify(&self, password: &[u8]) -> bool {
        let mut computed = [0; MAX_KEY];
        let Some(computed) = computed.get_mut(..self.key.len()) else { return false };
        self.salts.iter().any(|salt| {
            derive(self.digest, password, salt, self.iterations, computed);
            computed.ct_eq(&self.key).into()
        })
    }

    pub fn is_current(&self) -> bool {
        self.digest == Digest::Sha512
            && self.iterations >= ITERATIONS
            && self.key.len() == KEY_LENGTH
            && matches!(&self.salts[..], [salt] if salt.len() >= SALT_LENGTH)
    }
}

/// Fills `key` from a password.
pub(super) fn derive(digest: Digest, password: &[u8], salt: &[u8], iterations: u32, key: &mut [u8]) {
    let algorithm = match digest {
        Digest::Sha1 => ring::pbkdf2::PBKDF2_HMAC_SHA1,
        Digest::Sha256 => ring::pbkdf2::PBKDF2_HMAC_SHA256,
        Digest::Sha512 => ring::pbkdf2::PBKDF2_HMAC_SHA512,
    };
    // No stored form has no rounds: they are refused when they are parsed.
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    ring::pbkdf2::derive(algorithm, iterations, salt, password, key);
}

#[cfg(test)]
mod tests {
    use hmac::Hmac;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The crate pbkdf2 is another implementation, by others.
        #[test]
        fn keys_are_those_that_another_implementation_derives(
            password in prop::collection::vec(any::<u8>(), 0..200),
            salt in prop::collection::vec(any::<u8>(), 0..80),
            iterations in 1_u32..20,
            length in 1_usize..=MAX_KEY,
        ) {
            let (mut ours, mut other) = (vec![0; length], vec![0; length]);
            for digest in [Digest::Sha1, Digest::Sha256, Digest::Sha512] {
                derive(digest, &password, &salt, iterations, &mut ours);
                let (password, salt, key) = (&password, &salt, &mut other);
                match digest {
                    Digest::Sha1 => pbkdf2::pbkdf2::<Hmac<sha1::Sha1>>(password, salt, iterations, key),
                    Digest::Sha256 => pbkdf2::pbkdf2::<Hmac<sha2::Sha256>>(password, salt, iterations, key),
                    Digest::Sha512 => pbkdf2::pbkdf2::<Hmac<sha2::Sha512>>(password, salt, iterations, key),
                }.expect("HMAC takes keys of every length (RFC 2104)");
                prop_assert_eq!(&ours, &other);
            }
        }
    }
}
