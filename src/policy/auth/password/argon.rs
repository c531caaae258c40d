//! Argon2 (RFC 9106) in PHC form, as mosquitto-go-auth and Mosquitto 2.1 store it.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use subtle::ConstantTimeEq;

use super::fields::{BASE64, key, number, parameters, salt};
use super::{MAX_ARGON2_LANES, MAX_ARGON2_MEMORY, MAX_ARGON2_WORK, PasswordError};

const FORM: &str = "$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$KEY";

pub(super) struct Argon {
    context: Argon2<'static>,
    salt: Vec<u8>,
    key: Vec<u8>,
}

impl Argon {
    /// Reads what follows `$argon2id$`. Nothing is allocated for it yet.
    pub fn parse(algorithm: Algorithm, text: &str) -> Result<Self, PasswordError> {
        let mut parts = text.split('$').peekable();
        // Strings older than version 1.3 name no version.
        let version = match parts.next_if(|part| part.starts_with("v=")) {
            None => Version::V0x10,
            Some(part) => match number(&part[2..], FORM)? {
                16 => Version::V0x10,
                19 => Version::V0x13,
                _ => return Err(PasswordError::Malformed(FORM)),
            },
        };
        let (Some(cost), Some(salt_text), Some(key_text), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(PasswordError::Malformed(FORM));
        };
        let [Some(memory), Some(passes), Some(lanes)] = parameters(cost, ["m", "t", "p"], FORM)? else {
            return Err(PasswordError::Malformed(FORM));
        };
        let work = u64::from(memory) * u64::from(passes);
        if memory > MAX_ARGON2_MEMORY || work > MAX_ARGON2_WORK || lanes > MAX_ARGON2_LANES {
            return Err(PasswordError::TooCostly);
        }
        if passes == 0 {
            return Err(PasswordError::NoIterations);
        }
        let (salt, key) = (salt(salt_text)?, key(key_text)?);
        if salt.len() < argon2::MIN_SALT_LEN {
            return Err(PasswordError::Salt);
        }
        let params = Params::new(memory, passes, lanes, Some(key.len()))
            .map_err(|_| PasswordError::Malformed(FORM))?;
        Ok(Argon { context: Argon2::new(algorithm, version, params), salt, key })
    }

    pub fn verify(&self, password: &[u8]) -> bool {
        let mut computed = vec![0; self.key.len()];
        // Fails only for want of memory, and then nobody gets in.
        self.context.hash_password_into(password, &self.salt, &mut computed).is_ok()
            && bool::from(computed.ct_eq(&self.key))
    }
}

/// Writes `$argon2id$` at OWASP's smallest recommended cost: 19 MiB, two passes, one lane.
pub(super) fn write(password: &[u8], salt: &[u8]) -> Result<String, PasswordError> {
    let mut key = [0; 32];
    let params = Params::new(Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, 1, Some(key.len()))
        .map_err(|_| PasswordError::System("memory"))?;
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, &mut key)
        .map_err(|_| PasswordError::System("memory"))?;
    let (salt, key) = (BASE64.encode(salt), BASE64.encode(key));
    Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${key}"))
}
