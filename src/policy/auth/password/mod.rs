//! Stored passwords: every form that is verified, and the one that is written.
//!
//! A stored password comes from a database that other programs may write, so it is hostile until parsed:
//! [`StoredPassword::parse`] does no work in proportion to what the text asks for, and refuses whatever would
//! make a later [`StoredPassword::verify`] expensive (a hostile row is a denial of service: one login attempt
//! could otherwise keep a core busy for hours). Errors are words for an operator and never repeat the text.
//!
//! Hashing takes from milliseconds to seconds by design: never call it on an async worker.

mod argon;
mod fields;
mod forms;
pub mod once;
mod pbkdf2;
mod write;

#[cfg(test)]
mod tests;

use subtle::ConstantTimeEq;

pub use forms::SaltReading;
pub use write::{Scheme, hash, hash_as};

/// Longest stored form that is looked at, in bytes. The longest honest one (128-byte key and salt) has 400.
pub const MAX_TEXT: usize = 1024;
/// Longest key, in bytes: two SHA-512 outputs. More adds cost, not strength.
pub const MAX_KEY: usize = 128;
/// Shortest key, in bytes: the key is what stands between a guess and a login, so 128 bits.
pub const MIN_KEY: usize = 16;
/// Most HMAC runs one verification may ask for: iterations times output blocks times readings of the salt.
/// Seconds on a server's core, tens of seconds on a small board, and then it ends; the costliest default in
/// the field (Django, 1.2 million) is an eighth of it.
pub const MAX_PBKDF2_ROUNDS: u64 = 10_000_000;
/// bcrypt costs accepted; each step doubles the time, and 15 takes seconds.
pub const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=15;
/// Most memory one Argon2 verification may take, in KiB (256 MiB): half of a small board.
pub const MAX_ARGON2_MEMORY: u32 = 256 * 1024;
/// Most memory one Argon2 verification may fill over all its passes, in KiB: about a second of work.
pub const MAX_ARGON2_WORK: u64 = 1024 * 1024;
/// Most Argon2 lanes.
pub const MAX_ARGON2_LANES: u32 = 64;

/// Why a stored password is refused, or a password could not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// No text.
    #[error("the stored password is empty")]
    Empty,
    /// Over [`MAX_TEXT`].
    #[error("the stored password is longer than {MAX_TEXT} bytes")]
    TooLong,
    /// None of the known prefixes.
    #[error(
        "the stored password has no known form (known: $pbkdf2-…, PBKDF2$, bcrypt, Argon2, Mosquitto $6$ and $7$, Django)"
    )]
    UnknownForm,
    /// A known prefix followed by something else.
    #[error("the stored password is not a complete {0} string")]
    Malformed(&'static str),
    /// Not sha1, sha256 or sha512.
    #[error("the stored password names an unknown digest (known: sha1, sha256, sha512)")]
    UnknownDigest,
    /// A salt or key that is not base64.
    #[error("the {0} of the stored password is not valid base64")]
    Base64(&'static str),
    /// An empty salt, or one shorter than the form allows.
    #[error("the salt of the stored password is empty or too short")]
    Salt,
    /// A key of a length that is not legal.
    #[error("the key of the stored password is {0} bytes long, which is not legal for its form")]
    KeyLength(usize),
    /// No iterations, which proves nothing.
    #[error("the stored password asks for no iterations")]
    NoIterations,
    /// More work than a login may cost.
    #[error("the stored password asks for more work than a login may cost; store it anew at a lower cost")]
    TooCostly,
    /// Nobody may have an empty password.
    #[error("an empty password is not a password")]
    EmptyPassword,
    /// bcrypt ignores what follows the 72nd byte.
    #[error("bcrypt takes passwords of up to 71 bytes; use another scheme")]
    TooLongForBcrypt,
    /// The operating system gave no random bytes, or no memory.
    #[error("the operating system gave no {0}")]
    System(&'static str),
}

/// A stored password that is safe to verify against.
pub struct StoredPassword(Form);

enum Form {
    Pbkdf2(pbkdf2::Pbkdf2),
    Argon2(argon::Argon),
    /// The checked bcrypt string.
    Bcrypt(String),
    /// Mosquitto `$6$`: one SHA-512 of password and salt.
    Sha512 {
        salt: Vec<u8>,
        key: Vec<u8>,
    },
}

impl StoredPassword {
    /// Reads a stored form, finding out for itself how a `PBKDF2$` string means its salt. Takes microseconds.
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        Self::parse_reading(text, SaltReading::Auto)
    }

    /// Reads a stored form from a source that is known to mean the salt of `PBKDF2$` strings in one way.
    pub fn parse_reading(text: &str, reading: SaltReading) -> Result<Self, PasswordError> {
        match text.len() {
            0 => Err(PasswordError::Empty),
            1..=MAX_TEXT => forms::parse(text, reading).map(StoredPassword),
            _ => Err(PasswordError::TooLong),
        }
    }

    /// Whether this is the password. An empty password never is, whatever was stored. Slow by design.
    pub fn verify(&self, password: &[u8]) -> bool {
        if password.is_empty() {
            return false;
        }
        match &self.0 {
            Form::Pbkdf2(stored) => stored.verify(password),
            Form::Argon2(stored) => stored.verify(password),
            Form::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false),
            Form::Sha512 { salt, key } => {
                use sha2::Digest;
                let computed = sha2::Sha512::new().chain_update(password).chain_update(salt).finalize();
                computed.as_slice().ct_eq(key).into()
            }
        }
    }

    /// Whether this is the form that [`hash`] writes, at no less than its cost. Others are worth rewriting when
    /// a login has just shown the password.
    pub fn is_current(&self) -> bool {
        matches!(&self.0, Form::Pbkdf2(stored) if stored.is_current())
    }
}

impl std::fmt::Debug for StoredPassword {
    /// Names the form only: a hash is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Form::Pbkdf2(_) => "StoredPassword(PBKDF2)",
            Form::Argon2(_) => "StoredPassword(Argon2)",
            Form::Bcrypt(_) => "StoredPassword(bcrypt)",
            Form::Sha512 { .. } => "StoredPassword(SHA-512)",
        })
    }
}
