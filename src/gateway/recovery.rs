//! An administrator for whoever stands at the device: a password that works once, shown there and in the log.
//!
//! **This is the one secret that is written to the log on purpose.** Who reads it has a hand on the device or reads its
//! journal, and so is an administrator of the machine anyway; it works once, for a quarter of an hour, and the one
//! before it does not any more.

use std::time::Duration;

use crate::{
    policy::auth::password::{PasswordError, once::OneTime},
    store::{AccountsDb, StoreError},
    system::console,
};

/// The account. It is the gateway's: whatever somebody made of it before is overwritten.
pub const ADMINISTRATOR: &str = "recovery";
/// How long the password works.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Why there is no administrator.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The password could not be made.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The account could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the administrator's one-time password and shows it. `why`: who asked for it, for the log. Blocks.
///
/// # Errors
/// If it cannot be kept; nothing is shown then.
pub fn make_administrator(accounts: &AccountsDb, why: &str) -> Result<(), RecoveryError> {
    let OneTime { password, stored, until: _ } = OneTime::make(LIFETIME)?;
    accounts.put_administrator(ADMINISTRATOR, &stored)?;
    let minutes = LIFETIME.as_secs() / 60;
    // At the highest severity, so that no configuration of the log hides it.
    tracing::error!(
        user = ADMINISTRATOR,
        password,
        why,
        "a one-time password for an administrator: it works once, within {minutes} minutes"
    );
    console::show(&format!(
        "latchgate: log in as {ADMINISTRATOR} with the password {password} (once, within {minutes} minutes)"
    ));
    Ok(())
}
