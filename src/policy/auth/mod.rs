//! Who is this, and who can tell? Backends, stored passwords and logins.

pub mod backend;
pub mod backends;
mod complaint;
pub mod database;
pub mod desk;
pub mod files;
pub mod filters;
pub mod http;
mod login;
pub mod memory;
pub mod oauth2;
pub mod password;
mod pattern;
pub mod python;
pub mod redis;
pub mod server;
mod stamp;
pub(super) mod token;
pub mod web;

pub(super) use login::{Admitted, Candidate, Login};
