//! The pieces of a stored form: decimal numbers, base64, parameter lists.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{MAX_KEY, MIN_KEY, PasswordError};

/// Standard alphabet, padding written never and read or not: forms differ only in that.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes a salt, which may not be empty.
pub(super) fn salt(text: &str) -> Result<Vec<u8>, PasswordError> {
    let salt = BASE64.decode(text).map_err(|_| PasswordError::Base64("salt"))?;
    if salt.is_empty() { Err(PasswordError::Salt) } else { Ok(salt) }
}

/// Decodes a key of [`MIN_KEY`] to [`MAX_KEY`] bytes.
pub(super) fn key(text: &str) -> Result<Vec<u8>, PasswordError> {
    let key = BASE64.decode(text).map_err(|_| PasswordError::Base64("key"))?;
    match key.len() {
        MIN_KEY..=MAX_KEY => Ok(key),
        length => Err(PasswordError::KeyLength(length)),
    }
}

/// Decodes a key that must be one SHA-512 output.
pub(super) fn key_of_64(text: &str) -> Result<Vec<u8>, PasswordError> {
    let key = key(text)?;
    if key.len() == 64 { Ok(key) } else { Err(PasswordError::KeyLength(key.len())) }
}

/// A decimal number. One too large for 32 bits is a cost beyond every bound.
pub(super) fn number(text: &str, form: &'static str) -> Result<u32, PasswordError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PasswordError::Malformed(form));
    }
    text.parse().map_err(|_| PasswordError::TooCostly)
}

/// Reads `a=1,b=2` into the named places. Every name may come once; an unknown one is an error.
pub(super) fn parameters<const N: usize>(
    text: &str,
    names: [&str; N],
    form: &'static str,
) -> Result<[Option<u32>; N], PasswordError> {
    let mut values = [None; N];
    for parameter in text.split(',') {
        let (name, value) = parameter.split_once('=').ok_or(PasswordError::Malformed(form))?;
        let place = names.iter().position(|known| *known == name).ok_or(PasswordError::Malformed(form))?;
        if values[place].replace(number(value, form)?).is_some() {
            return Err(PasswordError::Malformed(form));
        }
    }
    Ok(values)
}
