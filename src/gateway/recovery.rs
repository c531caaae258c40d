//! An administrator for whoever stands at the device: a password that works once, shown there and in the log.
//!
//! **This is the one secret that is written to the log on purpose.** Who reads it has a hand on the device or reads its
//! journal, and so is an administrator of the machine anyway; it works once, for a stated time, and the one
//! before it does not any more.

use std::time::Duration;

use crate::{
    policy::auth::password::{PasswordError, once::OneTime},
    store::{AccountsDb, StoreError},
    system::console,
};

/// The account. It is the gateway's: whatever somebody made of it before is overwritten.
pub const ADMINISTRATOR: &str = "recovery";
/// How long the password works for whoever asked for it at the device.
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

/// Makes the administrator's one-time password, for somebody at the device, and shows it. `why`: who asked for it, for the
/// log. Blocks.
///
/// # Errors
/// If it cannot be kept; nothing is shown then.
pub fn make_administrator(accounts: &AccountsDb, why: &str) -> Result<(), RecoveryError> {
    make_administrator_for(LIFETIME, accounts, why)
}

/// The same with a password that works for `lifetime`.
///
/// # Errors
/// As [`make_administrator`].
pub fn make_administrator_for(
    lifetime: Duration,
    accounts: &AccountsDb,
    why: &str,
) -> Result<(), RecoveryError> {
    let OneTime { password, stored, until: _ } = OneTime::make(lifetime)?;
    accounts.put_administrator(ADMINISTRATOR, &stored)?;
    let within = duration(lifetime);
    // At the highest severity, so that no configuration of the log hides it.
    tracing::error!(
        user = ADMINISTRATOR,
        password,
        why,
        "a one-time password for an administrator: it works once, within {within}"
    );
    console::show(&format!(
        "latchgate: log in as {ADMINISTRATOR} with the password {password} (once, within {within})"
    ));
    Ok(())
}

/// A time in words: whole days if it is some, else minutes.
fn duration(time: Duration) -> String {
    match time.as_secs() / 60 {
        minutes if minutes >= 2 * 24 * 60 && minutes % (24 * 60) == 0 => {
            format!("{} days", minutes / (24 * 60))
        }
        minutes => format!("{minutes} minutes"),
    }
}
