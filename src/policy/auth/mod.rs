//! Who is this, and who can tell? Backends, stored passwords and logins.

pub mod backend;
pub mod backends;
pub mod desk;
pub mod files;
pub mod http;
mod login;
pub mod memory;
pub mod oauth2;
pub mod password;
pub mod python;
mod stamp;
pub(super) mod token;
pub mod web;

pub(super) use login::{Admitted, Candidate, Login};
