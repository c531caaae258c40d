//! The forms that are written: ours, and others for export.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fields::BASE64;
use super::pbkdf2::{Digest, derive};
use super::{PasswordError, argon};

/// Iterations of PBKDF2-HMAC-SHA512 as OWASP recommends them.
pub(super) const ITERATIONS: u32 = 210_000;
/// Iterations of PBKDF2-HMAC-SHA256 for as much work.
const ITERATIONS_SHA256: u32 = 600_000;
/// Bytes of key in our form.
pub(super) const KEY_LENGTH: usize = 64;
/// Bytes of salt in our form.
pub(super) const SALT_LENGTH: usize = 16;
/// Bytes of salt in `$7$`: Mosquitto 2.0 takes no other length.
const MOSQUITTO_SALT_LENGTH: usize = 12;
const BCRYPT_COST: u32 = 12;

/// A form in which a password can be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// PHC string with 210,000 iterations: the form the gateway writes itself.
    #[default]
    Pbkdf2Sha512,
    /// PHC string with 600,000 iterations.
    Pbkdf2Sha256,
    /// Cost 12; passwords of up to 71 bytes.
    Bcrypt,
    /// 19 MiB, two passes.
    Argon2id,
    /// Mosquitto's password file (`$7$`), 210,000 iterations.
    Mosquitto,
}

/// Stores a password in our form, `$pbkdf2-sha512$i=210000,l=64$SALT$KEY`. Slow by design.
///
/// # Errors
/// An empty password, or no random bytes from the operating system.
pub fn hash(password: &[u8]) -> Result<String, PasswordError> {
    hash_as(Scheme::default(), password)
}

/// Stores a password in any form that can be written. Slow by design.
///
/// # Errors
/// As [`hash`]; also a password too long for bcrypt, and no memory for Argon2.
pub fn hash_as(scheme: Scheme, password: &[u8]) -> Result<String, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::EmptyPassword);
    }
    match scheme {
        Scheme::Pbkdf2Sha512 => {
            let (salt, key) = derived::<SALT_LENGTH, KEY_LENGTH>(Digest::Sha512, password, ITERATIONS)?;
            Ok(phc("sha512", ITERATIONS, &salt, &key))
        }
        Scheme::Pbkdf2Sha256 => {
            let (salt, key) = derived::<SALT_LENGTH, 32>(Digest::Sha256, password, ITERATIONS_SHA256)?;
            Ok(phc("sha256", ITERATIONS_SHA256, &salt, &key))
        }
        Scheme::Mosquitto => {
            let (salt, key) =
                derived::<MOSQUITTO_SALT_LENGTH, KEY_LENGTH>(Digest::Sha512, password, ITERATIONS)?;
            Ok(format!("$7${ITERATIONS}${}${}", STANDARD.encode(salt), STANDARD.encode(key)))
        }
        Scheme::Argon2id => argon::write(password, &random::<SALT_LENGTH>()?),
        Scheme::Bcrypt => bcrypt::non_truncating_hash(password, BCRYPT_COST).map_err(|error| match error {
            bcrypt::BcryptError::Truncation(_) => PasswordError::TooLongForBcrypt,
            _ => PasswordError::System("random bytes"),
        }),
    }
}

fn phc(digest: &str, iterations: u32, salt: &[u8], key: &[u8]) -> String {
    let (length, salt, key) = (key.len(), BASE64.encode(salt), BASE64.encode(key));
    format!("$pbkdf2-{digest}$i={iterations},l={length}${salt}${key}")
}

fn derived<const SALT: usize, const KEY: usize>(
    digest: Digest,
    password: &[u8],
    iterations: u32,
) -> Result<([u8; SALT], [u8; KEY]), PasswordError> {
    let salt = random()?;
    let mut key = [0; KEY];
    derive(digest, password, &salt, iterations, &mut key);
    Ok((salt, key))
}

fn random<const N: usize>() -> Result<[u8; N], PasswordError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| PasswordError::System("random bytes"))?;
    Ok(bytes)
}
