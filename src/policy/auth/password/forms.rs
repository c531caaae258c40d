//! Telling the stored forms apart.

use super::argon::Argon;
use super::fields::{key, key_of_64, number, parameters, salt};
use super::pbkdf2::{Digest, Pbkdf2};
use super::{BCRYPT_COSTS, Form, PasswordError};

/// What the salt of `PBKDF2$digest$iterations$salt$key` stands for. Two programs write the same layout:
/// mosquitto-auth-plug uses the characters themselves, mosquitto-go-auth the bytes that they encode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaltReading {
    /// The characters themselves.
    Text,
    /// The bytes encoded in base64.
    Decoded,
    /// Either: the text first for a key of 24 bytes (mosquitto-auth-plug's length), the bytes first otherwise.
    #[default]
    Auto,
}

/// Reads any form. `text` is bounded by the caller.
pub(super) fn parse(text: &str, reading: SaltReading) -> Result<Form, PasswordError> {
    let Some((head, rest)) = text.strip_prefix('$').unwrap_or(text).split_once('$') else {
        return Err(PasswordError::UnknownForm);
    };
    match (text.starts_with('$'), head) {
        (true, "argon2id") => Argon::parse(argon2::Algorithm::Argon2id, rest).map(Form::Argon2),
        (true, "argon2i") => Argon::parse(argon2::Algorithm::Argon2i, rest).map(Form::Argon2),
        (true, "2a" | "2b" | "2y") => bcrypt(text).map(Form::Bcrypt),
        (true, "6") => mosquitto_sha512(rest),
        (true, "7") => mosquitto_pbkdf2(rest).map(Form::Pbkdf2),
        (true, head) => match head.strip_prefix("pbkdf2-") {
            Some(digest) => phc(Digest::named(digest)?, rest).map(Form::Pbkdf2),
            None => Err(PasswordError::UnknownForm),
        },
        (false, "PBKDF2") => plugin(rest, reading).map(Form::Pbkdf2),
        (false, head) => match head.strip_prefix("pbkdf2_") {
            Some(digest) => django(Digest::named(digest)?, rest).map(Form::Pbkdf2),
            None => Err(PasswordError::UnknownForm),
        },
    }
}

fn fields<'a, const N: usize>(text: &'a str, form: &'static str) -> Result<[&'a str; N], PasswordError> {
    let mut parts = text.split('$');
    let fields = std::array::from_fn(|_| parts.next());
    if parts.next().is_some() || fields.contains(&None) {
        return Err(PasswordError::Malformed(form));
    }
    Ok(fields.map(Option::unwrap_or_default))
}

/// `i=210000,l=64$salt$key`, the form that is written here.
fn phc(digest: Digest, text: &str) -> Result<Pbkdf2, PasswordError> {
    const FORM: &str = "$pbkdf2-DIGEST$i=ITERATIONS,l=LENGTH$SALT$KEY";
    let [cost, salt_text, key_text] = fields(text, FORM)?;
    let [iterations, length] = parameters(cost, ["i", "l"], FORM)?;
    let key = key(key_text)?;
    if length.is_some_and(|length| length as usize != key.len()) {
        return Err(PasswordError::KeyLength(key.len()));
    }
    let iterations = iterations.ok_or(PasswordError::Malformed(FORM))?;
    Pbkdf2::new(digest, iterations, vec![salt(salt_text)?], key)
}

/// `sha256$901$salt$key`, of mosquitto-auth-plug and mosquitto-go-auth.
fn plugin(text: &str, reading: SaltReading) -> Result<Pbkdf2, PasswordError> {
    const FORM: &str = "PBKDF2$DIGEST$ITERATIONS$SALT$KEY";
    let [digest, iterations, salt_text, key_text] = fields(text, FORM)?;
    let key = key(key_text)?;
    let as_text = salt_text.as_bytes().to_vec();
    let salts = match reading {
        SaltReading::Text if salt_text.is_empty() => return Err(PasswordError::Salt),
        SaltReading::Text => vec![as_text],
        SaltReading::Decoded => vec![salt(salt_text)?],
        SaltReading::Auto if key.len() == 24 => vec![as_text, salt(salt_text)?],
        SaltReading::Auto => vec![salt(salt_text)?, as_text],
    };
    Pbkdf2::new(Digest::named(digest)?, number(iterations, FORM)?, salts, key)
}

/// `iterations$salt$key`, of Django; the salt is text.
fn django(digest: Digest, text: &str) -> Result<Pbkdf2, PasswordError> {
    const FORM: &str = "pbkdf2_DIGEST$ITERATIONS$SALT$KEY";
    let [iterations, salt, key_text] = fields(text, FORM)?;
    if salt.is_empty() {
        return Err(PasswordError::Salt);
    }
    Pbkdf2::new(digest, number(iterations, FORM)?, vec![salt.as_bytes().to_vec()], key(key_text)?)
}

/// `iterations$salt$key`, of Mosquitto 2.
fn mosquitto_pbkdf2(text: &str) -> Result<Pbkdf2, PasswordError> {
    const FORM: &str = "$7$ITERATIONS$SALT$KEY";
    let [iterations, salt_text, key_text] = fields(text, FORM)?;
    Pbkdf2::new(Digest::Sha512, number(iterations, FORM)?, vec![salt(salt_text)?], key_of_64(key_text)?)
}

/// `salt$key`, of Mosquitto 1.
fn mosquitto_sha512(text: &str) -> Result<Form, PasswordError> {
    let [salt_text, key_text] = fields(text, "$6$SALT$KEY")?;
    Ok(Form::Sha512 { salt: salt(salt_text)?, key: key_of_64(key_text)? })
}

fn bcrypt(text: &str) -> Result<String, PasswordError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| PasswordError::Malformed("bcrypt"))?;
    match parts.get_cost() {
        cost if cost < *BCRYPT_COSTS.start() => Err(PasswordError::Malformed("bcrypt")),
        cost if cost > *BCRYPT_COSTS.end() => Err(PasswordError::TooCostly),
        _ => Ok(text.to_owned()),
    }
}
