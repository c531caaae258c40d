//! Who is this, and who can tell? Backends, stored passwords and logins.

pub mod backend;
pub mod backends;
pub mod desk;
pub mod files;
mod login;
pub mod memory;
pub mod password;
mod stamp;

pub(super) use login::{Admitted, Candidate, Login};
