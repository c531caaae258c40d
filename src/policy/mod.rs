//! May this happen? The gate, the rules and the accounts it judges by.

pub mod accounts;
pub mod acl;
pub mod auth;
